//! What can go wrong with a case folder.

use super::CASE_SCHEMA;
use crate::error::{EXIT_INPUT, ReadError, Report, WriteError};
use std::path::{Path, PathBuf};

/// A case that can't be made, opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The folder holds a case already.
    #[error("{} holds a case already", dir.display())]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// A file of that name is there, but no case that it would belong to.
    #[error("{} is there already and belongs to no case", file.display())]
    Occupied {
        /// The file.
        file: PathBuf,
    },
    /// The folder holds no case.
    #[error("{} holds no case: there is no case.json", dir.display())]
    NoCase {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder holds a case about something else.
    #[error("{} holds a case with another {what}", dir.display())]
    Differs {
        /// The folder.
        dir: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// The manifest is of a version that this program doesn't read.
    #[error("{}: field `schema`: {found:?}, expected {CASE_SCHEMA:?}", file.display())]
    Schema {
        /// The manifest.
        file: PathBuf,
        /// What it says.
        found: String,
    },
    /// A JSON file of the case is malformed.
    #[error("{}:{line}: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong, naming the field.
        problem: String,
    },
    /// A file of the case can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file of the case can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Report for CaseError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "case_exists",
            Self::Occupied { .. } => "folder_occupied",
            Self::NoCase { .. } => "no_case",
            Self::Differs { .. } => "case_differs",
            Self::Schema { .. } => "case_version",
            Self::Malformed { .. } => "bad_case",
            Self::Read(error) => error.code(),
            Self::Write(error) => error.code(),
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Exists { dir } | Self::NoCase { dir } | Self::Differs { dir, .. } => Some(dir),
            Self::Occupied { file } | Self::Schema { file, .. } | Self::Malformed { file, .. } => {
                Some(file)
            }
            Self::Read(error) => error.file(),
            Self::Write(error) => error.file(),
        }
    }

    fn line(&self) -> Option<u64> {
        match self {
            Self::Malformed { line, .. } => Some(*line),
            Self::Read(error) => error.line(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Exists { .. } | Self::Differs { .. } | Self::Occupied { .. } => {
                "give another folder with --out"
            }
            Self::NoCase { .. } => "give the folder that an audit wrote with --out",
            Self::Schema { .. } => "use the version of stillwatch that made the case",
            Self::Malformed { .. } => {
                "the file was changed by hand or damaged; run the audit again"
            }
            Self::Read(error) => return error.hint(),
            Self::Write(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Write(error) => error.exit_code(),
            _ => EXIT_INPUT,
        }
    }
}
