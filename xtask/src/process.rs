//! Running other programs, and saying what happens.

use anyhow::{Context as _, bail};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The workspace's root: the parent of this crate.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The program as profile `ci` builds it.
pub(crate) fn built() -> PathBuf {
    root().join("target/ci/stillwatch")
}

/// One line to standard output.
pub(crate) fn say(line: &str) {
    // Talk is best effort.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// Runs a program in the root, inheriting the terminal; an exit code other than 0 is an error.
pub(crate) fn run(program: &str, args: &[&str]) -> anyhow::Result<()> {
    run_expecting(program, args, 0)
}

/// Like [`run`], for a program that should leave with `code`.
pub(crate) fn run_expecting(program: &str, args: &[&str], code: i32) -> anyhow::Result<()> {
    say(&format!("$ {program} {}", args.join(" ")));
    let status = Command::new(program)
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("can't start {program}"))?;
    if status.code() != Some(code) {
        bail!("`{program} {}` ended with {status}, expected {code}", args.join(" "));
    }
    Ok(())
}

/// What a program prints, or nothing where it can't be started or fails.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program can be started.
pub(crate) fn has(program: &str) -> bool {
    output("sh", &["-c", &format!("command -v {program}")]).is_some()
}
