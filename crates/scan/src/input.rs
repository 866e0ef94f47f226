//! Which files are meant by what was given.

use crate::ScanError;
use std::path::PathBuf;

/// The logs that were found, and what couldn't be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Logs, sorted, each once.
    pub files: Vec<PathBuf>,
    /// What couldn't be read, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Finds the logs.
///
/// # Errors
/// Nothing is left to read.
pub fn find(paths: &[String]) -> Result<Inputs, ScanError> {
    let mut files: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    files.sort();
    files.dedup();
    if files.is_empty() {
        return Err(ScanError::Empty { paths: paths.to_vec() });
    }
    Ok(Inputs { files, unreadable: Vec::new() })
}
