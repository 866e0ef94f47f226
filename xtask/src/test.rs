//! The test run: the same steps here and in CI, with minutes per step.

use crate::{gateway, generate, process, setup, tidy};
use anyhow::{Context as _, bail};
use std::time::Instant;

// The steps after "tests" run the program that the tests built: building the package alone would
// select other features of shared dependencies, and compile most of them again.

/// Beyond this many minutes the run fails: CI's own limit is not far behind.
const MAX_MINUTES: f64 = 75.0;

/// Version of the licence and source checker.
const DENY: &str = "0.20.2";

type Step = (&'static str, fn() -> anyhow::Result<()>);

const STEPS: [Step; 12] = [
    ("set-up", setup::run),
    ("format", || process::run("cargo", &["fmt", "--all", "--check"])),
    ("tidy", tidy::run),
    ("pure Rust build", || {
        process::run(
            "cargo",
            &["check", "--locked", "--profile", "ci", "--workspace", "--no-default-features"],
        )
    }),
    ("lints", || {
        process::run(
            "cargo",
            &[
                "clippy",
                "--locked",
                "--profile",
                "ci",
                "--workspace",
                "--all-features",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        )
    }),
    ("tests", tests),
    ("documentation", || {
        process::run(
            "cargo",
            &["test", "--locked", "--profile", "ci", "--workspace", "--all-features", "--doc"],
        )
    }),
    ("soak", || gateway::soak::run_program("60", &process::built())),
    ("references", || generate::run_program(generate::Mode::Check, &process::built())),
    ("demo", demo),
    ("prove", prove),
    ("licences", deny),
];

/// Runs every step, the first failure ends it; prints minutes per step.
pub(crate) fn run() -> anyhow::Result<()> {
    let start = Instant::now();
    let mut minutes: Vec<(&str, f64)> = Vec::new();
    let mut failure = None;
    for (name, step) in STEPS {
        process::say(&format!("\n=== {name}"));
        let since = Instant::now();
        let result = step();
        minutes.push((name, since.elapsed().as_secs_f64() / 60.0));
        if let Err(error) = result {
            failure = Some(error.context(format!("step {name:?}")));
            break;
        }
    }
    process::say("\nminutes per step");
    for (name, spent) in &minutes {
        process::say(&format!("{spent:6.1}  {name}"));
    }
    let all = start.elapsed().as_secs_f64() / 60.0;
    process::say(&format!("{all:6.1}  in all"));
    if let Some(error) = failure {
        return Err(error);
    }
    if all > MAX_MINUTES {
        bail!("{all:.0} minutes, at most {MAX_MINUTES:.0}");
    }
    Ok(())
}

/// The README's demo, in a fresh folder.
fn demo() -> anyhow::Result<()> {
    let out = process::root().join("target/demo");
    if out.exists() {
        fs_err::remove_dir_all(&out)?;
    }
    process::run(&process::built().to_string_lossy(), &["demo", "--out", "target/demo"])
}

/// The proving ground, in a fresh folder, with few throws: exit code 0 means as expected.
fn prove() -> anyhow::Result<()> {
    let out = process::root().join("target/prove");
    if out.exists() {
        fs_err::remove_dir_all(&out)?;
    }
    let program = process::built();
    process::run(
        &program.to_string_lossy(),
        &["prove", "--throws", "1000", "--out", "target/prove"],
    )
}

/// nextest where it is installed, `cargo test` elsewhere.
fn tests() -> anyhow::Result<()> {
    let common = ["--locked", "--workspace", "--all-features", "--no-fail-fast"];
    if process::output("cargo", &["nextest", "--version"]).is_some() {
        process::run("cargo", &[&["nextest", "run", "--cargo-profile", "ci"][..], &common].concat())
    } else {
        process::run(
            "cargo",
            &[&["test", "--profile", "ci", "--all-targets"][..], &common].concat(),
        )
    }
}

/// Licences, sources and bans; advisories need a database from outside and are left to people.
fn deny() -> anyhow::Result<()> {
    if process::output("cargo", &["deny", "--version"]).is_none() {
        process::run(
            "cargo",
            &[
                "install",
                "--locked",
                "--quiet",
                "--no-default-features",
                "--version",
                DENY,
                "cargo-deny",
            ],
        )
        .context("can't install cargo-deny")?;
    }
    process::run("cargo", &["deny", "--all-features", "check", "bans", "licenses", "sources"])
}
