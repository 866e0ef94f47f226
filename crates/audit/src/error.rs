//! Why an audit can't be made: names the field, row or file, and what to do.

use std::path::PathBuf;

/// Why an audit can't be made or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A parameter is out of its range.
    #[error("{field}: {reason}")]
    Params {
        /// Name of the parameter, as on the command line without dashes.
        field: &'static str,
        /// What was expected and what was given.
        reason: String,
    },
    /// The scores or exposures can't be tested as they are.
    #[error("{what}: {reason}")]
    Data {
        /// The row, column or file at fault.
        what: String,
        /// What was expected and what to do.
        reason: String,
    },
    /// The statistics refused the data.
    #[error("scores can't be tested")]
    Stats(#[from] stillwatch_stats::StatsError),
    /// A model can't be used.
    #[error("{role} can't be used")]
    Model {
        /// Its part in the audit and its model string.
        role: String,
        /// Why.
        #[source]
        source: stillwatch_models::ModelError,
    },
    /// An input file can't be read.
    #[error("input can't be read")]
    Read(#[from] stillwatch_evidence::ReadError),
    /// The case folder can't be written or read.
    #[error("case folder {}", path.display())]
    Case {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AuditError {
    /// A parameter out of its range.
    pub(crate) fn params(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Params { field, reason: reason.into() }
    }

    /// Data that can't be tested.
    pub(crate) fn data(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Data { what: what.into(), reason: reason.into() }
    }
}
