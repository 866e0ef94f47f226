//! What takes longer than a test run may: benchmarks, many seeds, fuzzing.

use crate::process;
use anyhow::Context as _;

/// The benchmarks whose results are in `docs/benchmarks.md`.
pub(crate) fn bench() -> anyhow::Result<()> {
    process::run("cargo", &["bench", "--locked", "--package", "stillwatch-stats"])?;
    for example in ["power_table", "e_power", "accounts_power"] {
        let build = ["run", "--locked", "--profile", "ci", "--package", "stillwatch-stats"];
        process::run("cargo", &[&build[..], &["--example", example]].concat())?;
    }
    Ok(())
}

/// The demo once per seed from 0; prints one line per audit, false findings and misses.
pub(crate) fn seeds(count: &str) -> anyhow::Result<()> {
    let build = ["run", "--locked", "--profile", "ci", "--package", "stillwatch-lab"];
    let example = ["--example", "demo_seeds", "--", "0", count, "target/demo-seeds"];
    process::run("cargo", &[&build[..], &example[..]].concat())
}

/// Every fuzz target for `seconds`; what it finds lies in `fuzz/artifacts`.
pub(crate) fn fuzz(seconds: &str) -> anyhow::Result<()> {
    let targets = process::output("cargo", &["+nightly", "fuzz", "list"])
        .context("cargo +nightly fuzz list failed: install nightly and cargo-fuzz")?;
    for target in targets.lines() {
        let limit = format!("-max_total_time={seconds}");
        process::run("cargo", &["+nightly", "fuzz", "run", target, "--", &limit])?;
    }
    Ok(())
}
