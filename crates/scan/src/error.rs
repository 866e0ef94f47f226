//! What can keep a scan from its result, each with where and what to do.

use crate::engine::EngineError;
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
    /// Something was given, but nothing of it can be read.
    #[error("nothing can be read; the first of what was given: {}: {reason}", path.display())]
    Unreadable {
        /// The first that can't be read.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A log whose format nobody knows.
    #[error("{}: no known format: {reason}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// What was looked for.
        reason: String,
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
    /// The plan failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Report for ScanError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty { .. } | Self::Unreadable { .. } => "input",
            Self::Format { .. } => "format",
            Self::NoExchange { .. } => "log",
            Self::Read(error) => error.code(),
            Self::Engine(error) => error.code(),
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Empty { .. } => None,
            Self::Unreadable { path: file, .. }
            | Self::Format { file, .. }
            | Self::NoExchange { file, .. } => Some(file),
            Self::Read(error) => error.file(),
            Self::Engine(error) => error.file(),
        }
    }

    fn line(&self) -> Option<u64> {
        match self {
            Self::Empty { .. }
            | Self::Unreadable { .. }
            | Self::Format { .. }
            | Self::Engine(_) => None,
            Self::NoExchange { line, .. } => Some(*line),
            Self::Read(error) => error.line(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Empty { .. } => Some(
                "in folders, names that end in .jsonl, .json, .csv, .parquet, .log, with or \
                 without .gz or .zst, are read; name other files one by one"
                    .to_owned(),
            ),
            Self::Unreadable { .. } => Some("check the path and that you may read it".to_owned()),
            Self::Format { .. } | Self::NoExchange { .. } => {
                Some("name the format with --format, or the fields with --map".to_owned())
            }
            Self::Read(error) => error.hint(),
            Self::Engine(error) => error.hint(),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Read(error) => error.exit_code(),
            Self::Engine(error) => error.exit_code(),
            _ => EXIT_INPUT,
        }
    }
}
