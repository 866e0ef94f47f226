//! House-keeping commands of the workspace: `cargo xtask {tidy,gen,setup,test,bench,seeds,fuzz,bench-gateway,soak}`.

mod files;
mod gateway;
mod generate;
mod long;
mod process;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy           house rules: module docs, file length, crate graph, links in documents
  gen [--check]  write (or compare) docs/reference from the code
  setup          install what tests need: cmake, libclang, chromium, a model, a model server
  test           everything that CI runs: setup, format, lints, tidy, tests, references, demo
  bench          the benchmarks of docs/benchmarks.md
  seeds [COUNT]  the demo once per seed (20 unless told otherwise), coins from the seed
  fuzz SECONDS   each fuzz target for so long (needs a nightly toolchain and cargo-fuzz)
  bench-gateway [--quick] [--only PARTS] [--peers PEERS] [--rounds N] [--seconds S]
                 [--accounts N] [PROGRAM]  the guard beside nginx, LiteLLM and Portkey (which are
                 set up if missing); PROGRAM: not built, but this one; PARTS: of throughput,latency,
                 streams,memory,start; PEERS: of nginx,stillwatch,unexposed,portkey,litellm
  soak [SECONDS [PROGRAM]]  the guard at half load (600 s unless told otherwise; PROGRAM: not
                 built, but this one): memory, lost and doubled requests";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["tidy"] => tidy::run(),
        ["gen"] => generate::run(generate::Mode::Write),
        ["gen", "--check"] => generate::run(generate::Mode::Check),
        ["setup"] => setup::run(),
        ["test"] => test::run(),
        ["bench"] => long::bench(),
        ["seeds"] => long::seeds("20"),
        ["seeds", count] => long::seeds(count),
        ["bench-gateway", flags @ ..] => {
            gateway::options::Options::parse(flags).and_then(|plan| gateway::bench::run(&plan))
        }
        ["soak"] => gateway::soak::run("600"),
        ["soak", seconds] => gateway::soak::run(seconds),
        ["soak", seconds, program] => gateway::soak::run_program(seconds, program.as_ref()),
        ["fuzz", seconds] => long::fuzz(seconds),
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
