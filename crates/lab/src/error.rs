//! Why work in the laboratory fails.

use std::path::PathBuf;

/// Why training, data preparation or the demo could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A parameter is outside what makes sense.
    #[error("{field} = {value} is refused: {expected}")]
    Parameter {
        /// Name of the field.
        field: &'static str,
        /// What was given.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// There is too little data, or it does not fit the model.
    #[error("training data: {0}")]
    Data(String),
    /// The loss or the gradient is not a finite number; the weights are those of the last good step.
    #[error(
        "training stopped at step {step}: {what} is {value}; the weights of step {step} are kept{}: lower the learning rate or look at the data",
        checkpoint.as_ref().map(|p| format!(" in {}", p.display())).unwrap_or_default()
    )]
    NotFinite {
        /// Steps done before the one that failed.
        step: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// What it was.
        value: f64,
        /// Where the last good state lies, if a folder for it was given.
        checkpoint: Option<PathBuf>,
    },
    /// A checkpoint belongs to another run.
    #[error(
        "checkpoint {path}: {field} is {found}, this run has {expected}; resume with the same data and parameters, or start anew"
    )]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// What it says.
        found: String,
        /// What this run has.
        expected: String,
    },
    /// The tokeniser could not be trained or used.
    #[error("tokeniser: {0}")]
    Tokenizer(String),
    /// A tensor operation failed.
    #[error("tensor operation")]
    Tensor(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error("file")]
    Io(#[from] std::io::Error),
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The ledger refused an entry, or its folder can't be used.
    #[error("ledger")]
    Ledger(#[from] stillwatch_evidence::ledger::LedgerError),
    /// A file could not be written.
    #[error("file")]
    Write(#[from] stillwatch_evidence::WriteError),
    /// A model folder written here could not be opened or used.
    #[error("model")]
    Model(#[from] stillwatch_models::ModelError),
    /// An audit of the demo could not be run.
    #[error("audit")]
    Audit(#[from] stillwatch_audit::AuditError),
    /// The user asked to stop; what was made is kept.
    #[error("interrupted: what was made is kept, the same command goes on from there")]
    Interrupted,
}

impl From<tokenizers::Error> for LabError {
    fn from(error: tokenizers::Error) -> Self {
        Self::Tokenizer(error.to_string())
    }
}
