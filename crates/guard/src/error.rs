//! Why the guard can't start or go on. What a client gets instead of an answer is in
//! [`crate::proxy`].

use std::path::{Path, PathBuf};
use stillwatch_evidence::Report;

/// A guard that can't start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The configuration isn't one.
    #[error("{}{problem}", place(file.as_deref(), *line))]
    Config {
        /// The file.
        file: Option<PathBuf>,
        /// The line, counted from 1.
        line: Option<u64>,
        /// Which key, and what was expected.
        problem: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The store can't be used.
    #[error("can't use the store")]
    Store(#[from] sqlx::Error),
    /// The ledger can't be used.
    #[error("can't use the ledger")]
    Ledger(#[from] stillwatch_evidence::ledger::LedgerError),
    /// An address can't be listened at, a file can't be read.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why.
        source: std::io::Error,
    },
}

fn place(file: Option<&Path>, line: Option<u64>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{}:{line}: ", file.display()),
        (Some(file), None) => format!("{}: ", file.display()),
        (None, _) => String::new(),
    }
}

impl GuardError {
    /// A wrong setting that stands in no file.
    pub fn setting(problem: impl Into<String>) -> Self {
        Self::Config { file: None, line: None, problem: problem.into(), hint: None }
    }
}

impl Report for GuardError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "config",
            Self::Store(_) => "store",
            Self::Ledger(_) => "ledger",
            Self::Io { .. } => "io",
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Config { file, .. } => file.as_deref(),
            _ => None,
        }
    }

    fn line(&self) -> Option<u64> {
        match self {
            Self::Config { line, .. } => *line,
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Config { hint, .. } => hint.clone(),
            Self::Ledger(error) => error.hint(),
            _ => None,
        }
    }
}
