//! What can go wrong between a plan and its result.

use crate::ScanError;
use datafusion::common::DataFusionError;
use std::path::{Path, PathBuf};
use stillwatch_evidence::{EXIT_INPUT, EXIT_PARTIAL};

/// Exit code of a failure that nobody's input explains.
const EXIT_INTERNAL: u8 = 4;

/// Why a plan has no result.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The query is refused or can't be planned.
    #[error("{message}")]
    Query {
        /// What is wrong with it.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Memory or disk ran out.
    #[error("{message}")]
    Resources {
        /// What ran out.
        message: String,
    },
    /// The engine failed.
    #[error("the engine failed: {0}")]
    Engine(#[source] Box<DataFusionError>),
    /// A file of accounts can't be written or read.
    #[error("{}: {message}", file.display())]
    Accounts {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The system refused a thread or a file.
    #[error("{what}: {source}")]
    Io {
        /// What was wanted.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl EngineError {
    /// The kind, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Query { .. } => "query",
            Self::Resources { .. } => "resources",
            Self::Engine(_) => "engine",
            Self::Accounts { .. } => "accounts",
            Self::Io { .. } => "io",
        }
    }

    /// The file that it is about.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Accounts { file, .. } => Some(file),
            _ => None,
        }
    }

    /// How the program ends.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Query { .. } => EXIT_INPUT,
            Self::Resources { .. } | Self::Accounts { .. } | Self::Io { .. } => EXIT_PARTIAL,
            Self::Engine(_) => EXIT_INTERNAL,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Query { hint, .. } => hint.clone(),
            Self::Resources { .. } => Some(
                "give more memory with --memory, or a folder with more room with --temp".to_owned(),
            ),
            Self::Accounts { .. } => Some("remove the file and scan again".to_owned()),
            Self::Engine(_) | Self::Io { .. } => None,
        }
    }
}

/// An error of ours on its way through DataFusion.
pub(crate) fn into_datafusion(error: ScanError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// What became of it on the other side.
pub(crate) fn from_datafusion(error: DataFusionError) -> ScanError {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<ScanError>() {
            Ok(ours) => *ours,
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(inner) => from_datafusion(*inner),
                Err(inner) => engine(DataFusionError::External(inner)),
            },
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            from_datafusion(*inner)
        }
        DataFusionError::Shared(inner) => match std::sync::Arc::try_unwrap(inner) {
            Ok(inner) => from_datafusion(inner),
            Err(shared) => engine(DataFusionError::Shared(shared)),
        },
        DataFusionError::ResourcesExhausted(message) => EngineError::Resources { message }.into(),
        error @ (DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_)) => {
            EngineError::Query { message: error.strip_backtrace(), hint: None }.into()
        }
        other => engine(other),
    }
}

fn engine(error: DataFusionError) -> ScanError {
    EngineError::Engine(Box::new(error)).into()
}
