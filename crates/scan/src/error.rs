//! What can keep a scan from its result, each with where and what to do.

use std::path::{Path, PathBuf};
use stillwatch_evidence::{EXIT_INPUT, ReadError, Report};

/// Why a scan ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Nothing to read.
    #[error("no log among {paths:?}: give files, globs or folders that hold logs")]
    Empty {
        /// What was given.
        paths: Vec<String>,
    },
    /// No line of any log could be read.
    #[error("{}: none of its lines is an exchange; the first: line {line}: {reason}", file.display())]
    NoExchange {
        /// The first file.
        file: PathBuf,
        /// The first bad line.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A file can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Report for ScanError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "input",
            Self::NoExchange { .. } => "log",
            Self::Read(error) => error.code(),
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Empty { .. } => None,
            Self::NoExchange { file, .. } => Some(file),
            Self::Read(error) => error.file(),
        }
    }

    fn line(&self) -> Option<u64> {
        match self {
            Self::Empty { .. } => None,
            Self::NoExchange { line, .. } => Some(*line),
            Self::Read(error) => error.line(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Empty { .. } => None,
            Self::NoExchange { .. } => {
                Some("name the format with --format, or the fields with --map".to_owned())
            }
            Self::Read(error) => error.hint(),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Read(error) => error.exit_code(),
            _ => EXIT_INPUT,
        }
    }
}
