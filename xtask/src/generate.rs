//! `docs/reference/`: the CLI reference and JSON schemas, made by the binary from its own code.

use crate::process;
use anyhow::bail;
use std::{collections::BTreeMap, path::Path};

/// Write the files, or compare them with what would be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

/// Builds the binary and runs its hidden verb `reference`.
pub(crate) fn run(mode: Mode) -> anyhow::Result<()> {
    let build = ["build", "--quiet", "--locked", "--profile", "ci", "--package", "stillwatch"];
    let features = if process::has("cmake") { &["--all-features"][..] } else { &[] };
    process::run("cargo", &[&build[..], features].concat())?;
    run_program(mode, &process::built())
}

/// Runs the hidden verb `reference` of a binary that is built already, with all features.
pub(crate) fn run_program(mode: Mode, program: &Path) -> anyhow::Result<()> {
    let root = process::root();
    let kept = root.join("docs/reference");
    let fresh = root.join("target/reference");
    if fresh.exists() {
        fs_err::remove_dir_all(&fresh)?;
    }
    let target = if mode == Mode::Write { &kept } else { &fresh };
    let folder = target.to_string_lossy().into_owned();
    process::run(&program.to_string_lossy(), &["reference", folder.as_str()])?;
    if mode == Mode::Write {
        return Ok(());
    }
    let (kept, fresh) = (contents(&kept)?, contents(&fresh)?);
    let stale: Vec<&String> = kept
        .keys()
        .chain(fresh.keys())
        .filter(|name| kept.get(*name) != fresh.get(*name))
        .collect();
    if !stale.is_empty() {
        bail!("docs/reference is stale: {stale:?}; run `cargo xtask gen` and commit");
    }
    process::say("gen: docs/reference is up to date");
    Ok(())
}

fn contents(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        files.insert(
            entry.file_name().to_string_lossy().into_owned(),
            fs_err::read_to_string(entry.path())?,
        );
    }
    Ok(files)
}
