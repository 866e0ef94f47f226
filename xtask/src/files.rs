//! The tracked files of the repository.

use crate::process;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Files that git tracks (or would), relative to the root, that end in one of `endings`.
pub(crate) fn tracked(endings: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let listed =
        process::output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])
            .context("git ls-files failed: run inside a checkout")?;
    let root = process::root();
    Ok(listed
        .lines()
        .filter(|name| endings.iter().any(|e| name.ends_with(e)))
        .map(PathBuf::from)
        .filter(|name| root.join(name).is_file())
        .collect())
}

/// The text of a file, its path relative to the root.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    Ok(fs_err::read_to_string(process::root().join(path))?)
}
