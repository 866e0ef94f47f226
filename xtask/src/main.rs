//! House-keeping commands of the workspace: `cargo xtask {tidy,gen,test,setup}`.

mod files;
mod generate;
mod process;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy           house rules: module docs, file length, crate graph, links in documents
  gen [--check]  write (or compare) docs/reference from the code
  setup          install what tests need: cmake, libclang, chromium, a model, a model server
  test           everything that CI runs: setup, format, lints, tidy, tests, references, demo";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["tidy"] => tidy::run(),
        ["gen"] => generate::run(generate::Mode::Write),
        ["gen", "--check"] => generate::run(generate::Mode::Check),
        ["setup"] => setup::run(),
        ["test"] => test::run(),
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
