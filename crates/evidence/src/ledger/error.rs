//! What can go wrong with a ledger, and what to do then.

use crate::Report;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the ledger. Each names the file or entry and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The folder holds no ledger.
    #[error("{path}: no ledger here: log.json is missing")]
    NotALedger {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds a ledger already.
    #[error("{path}: a ledger exists already")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes this ledger.
    #[error("{path}: another process has this ledger open for writing")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The key file is no key, or belongs to another log.
    #[error("{path}: not a usable signing key: {reason}")]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The disk is full; nothing of the batch was kept.
    #[error("{path}: the disk is full; nothing was recorded")]
    DiskFull {
        /// The file that couldn't grow.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("{path}: the file couldn't be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// An acknowledged part of a file was altered or is missing.
    #[error("{path}, byte {offset}: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What was expected.
        reason: String,
    },
    /// A line of a JSON lines file is wrong.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What was expected.
        reason: String,
    },
    /// An entry is no leaf of this format, or contradicts an earlier one.
    #[error("leaf {index}: {reason}")]
    Leaf {
        /// Index of the leaf in the tree.
        index: u64,
        /// What was expected.
        reason: String,
    },
    /// The random source failed.
    #[error("the random source failed: {reason}")]
    Entropy {
        /// What it said.
        reason: String,
    },
    /// An entry that the ledger refuses to write.
    #[error("entry {id:?} refused: {reason}")]
    Refused {
        /// Identifier of the exposure or entry.
        id: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The last write left the file in an unknown state.
    #[error("{path}: an earlier write failed")]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
    /// A time that goes back.
    #[error("the time {given} lies before that of the last head, {last}")]
    Clock {
        /// The time passed in.
        given: String,
        /// The last head's.
        last: String,
    },
    /// A size or index beyond the tree.
    #[error("{what} {value} lies beyond the log, which has {limit}")]
    OutOfRange {
        /// Name of the quantity.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The largest size.
        limit: u64,
    },
    /// A signature, proof, seal or beacon round that doesn't verify.
    #[error("{what} doesn't verify: {reason}")]
    Verification {
        /// What was checked.
        what: &'static str,
        /// What failed.
        reason: String,
    },
}

impl LedgerError {
    /// An input or output error of `path`, a full disk told apart.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull { path, source },
            _ => Self::Io { path, source },
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), offset, reason: reason.into() }
    }

    pub(crate) fn verification(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Verification { what, reason: reason.into() }
    }

    pub(crate) fn refused(id: &str, reason: impl Into<String>) -> Self {
        Self::Refused { id: id.to_owned(), reason: reason.into() }
    }
}

impl Report for LedgerError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotALedger { .. } => "no_ledger",
            Self::Exists { .. } => "ledger_exists",
            Self::Locked { .. } => "ledger_locked",
            Self::Key { .. } => "bad_key",
            Self::DiskFull { .. } => "disk_full",
            Self::Io { .. } => "io",
            Self::Corrupt { .. } => "ledger_corrupt",
            Self::Line { .. } => "bad_line",
            Self::Leaf { .. } => "bad_leaf",
            Self::Entropy { .. } => "no_entropy",
            Self::Refused { .. } => "entry_refused",
            Self::Poisoned { .. } => "ledger_poisoned",
            Self::Clock { .. } => "clock_went_back",
            Self::OutOfRange { .. } => "out_of_range",
            Self::Verification { .. } => "verification_failed",
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::NotALedger { path }
            | Self::Exists { path }
            | Self::Locked { path }
            | Self::Key { path, .. }
            | Self::DiskFull { path, .. }
            | Self::Io { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Line { path, .. }
            | Self::Poisoned { path } => Some(path),
            _ => None,
        }
    }

    fn line(&self) -> Option<u64> {
        match self {
            Self::Line { line, .. } => Some(*line),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotALedger { .. } => "create one first, or name the folder that holds it",
            Self::Exists { .. } => "choose another folder, or append to this one",
            Self::Locked { .. } => "end that process or wait for it",
            Self::Key { .. } => "restore the key file from a copy; a log can't change its key",
            Self::DiskFull { .. } => "free space and repeat",
            Self::Corrupt { .. } => "restore the file from a copy",
            Self::Poisoned { .. } => "open the ledger again before writing",
            Self::Clock { .. } => "check the clock",
            Self::OutOfRange { .. } => "name one that the log has",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::DiskFull { .. } => crate::EXIT_PARTIAL,
            _ => crate::EXIT_INPUT,
        }
    }
}
