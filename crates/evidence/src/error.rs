//! Errors of reading and writing, and their machine-readable form.
//!
//! Every error names the file, the line or field, what was expected and what to do. The
//! message holds its own level only; [`Report::report`] joins the chain for people and
//! programs. What to print and when to exit is left to the command line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The longest piece of foreign text that an error message repeats, characters.
const QUOTED_CHARS_MAX: usize = 60;

/// Exit code of usage and input errors.
pub const EXIT_INPUT: u8 = 2;
/// Exit code of work that stopped part-way and can be resumed.
pub const EXIT_PARTIAL: u8 = 3;

/// An error as programs read it: the inside of `{"error": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorReport {
    /// Stable name of the kind of error, snake case.
    pub code: String,
    /// What went wrong, one to three lines.
    pub message: String,
    /// The file it is about.
    pub file: Option<String>,
    /// The line in that file, counted from 1.
    pub line: Option<u64>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ErrorReport {
    /// The one-line JSON object `{"error": {…}}`.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "error": self }).to_string()
    }
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Errors that can say where they are and what to do.
pub trait Report: Error + Sized {
    /// Stable name of the kind of error, snake case.
    fn code(&self) -> &'static str;
    /// The file it is about.
    fn file(&self) -> Option<&Path>;
    /// The line in that file, counted from 1.
    fn line(&self) -> Option<u64>;
    /// What to do about it.
    fn hint(&self) -> Option<String>;
    /// The exit code it asks for: [`EXIT_INPUT`] or [`EXIT_PARTIAL`].
    fn exit_code(&self) -> u8 {
        EXIT_INPUT
    }

    /// All of it, with the chain of causes joined into the message.
    fn report(&self) -> ErrorReport {
        let mut message = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        ErrorReport {
            code: self.code().to_owned(),
            message,
            file: self.file().map(|path| path.display().to_string()),
            line: self.line(),
            hint: self.hint(),
        }
    }
}

/// A file that can't be read as what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file can't be opened.
    #[error("can't open {}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading stopped with an error of the operating system.
    #[error("can't read {}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The line that was being read, where lines had begun.
        line: Option<u64>,
        /// Why.
        source: io::Error,
    },
    /// A compressed stream is cut or corrupt, where nothing may be missing.
    #[error("{}:{line}: {problem}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The line at which it breaks off.
        line: u64,
        /// What the decoder says.
        problem: String,
    },
    /// The file is text of another encoding.
    #[error("{} is {encoding}, expected UTF-8", file.display())]
    Encoding {
        /// The file.
        file: PathBuf,
        /// What it seems to be.
        encoding: &'static str,
    },
    /// Nothing in it.
    #[error("{} holds no {what}", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// What was looked for, plural.
        what: &'static str,
    },
    /// Lines, but none that can be read.
    #[error("{}:{line}: none of its {count} lines can be read as {what}; the first: {reason}", file.display())]
    AllRejected {
        /// The file.
        file: PathBuf,
        /// The first bad line.
        line: u64,
        /// Bad lines.
        count: u64,
        /// What was looked for, singular with its article.
        what: &'static str,
        /// What is wrong with the first.
        reason: String,
    },
    /// More bad lines than are kept.
    #[error("{}:{line}: more than {limit} lines can't be read; this one: {reason}", file.display())]
    TooManyRejects {
        /// The file.
        file: PathBuf,
        /// The line at which reading was given up.
        line: u64,
        /// How many are kept at most.
        limit: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Two rows of one name.
    #[error("{}:{line}: id {} was already used at line {first_line}", file.display(), quoted(id))]
    DuplicateId {
        /// The file.
        file: PathBuf,
        /// The name.
        id: String,
        /// Where it was used first.
        first_line: u64,
        /// Where it is used again.
        line: u64,
    },
    /// A line that can't be read, where none may be dropped.
    #[error("{}:{line}: {problem}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong with it.
        problem: String,
        /// What to do, where something can be said.
        hint: Option<String>,
    },
    /// A field with a value that it can't have.
    #[error("{}:{line}: column `{field}`: {problem}, expected {expected}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The line.
        line: u64,
        /// The field or column.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Columns that don't fit together.
    #[error("{}:{line}: {problem}", file.display())]
    Columns {
        /// The file.
        file: PathBuf,
        /// The line of the header (CSV) or of the row (JSON lines).
        line: u64,
        /// What is wrong with them.
        problem: String,
        /// What to do.
        hint: String,
    },
}

impl Report for ReadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open_failed",
            Self::Io { .. } => "read_failed",
            Self::Damaged { .. } => "damaged_file",
            Self::Encoding { .. } => "bad_encoding",
            Self::Empty { .. } => "empty_file",
            Self::AllRejected { .. } | Self::TooManyRejects { .. } => "unreadable_lines",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::Line { .. } => "bad_line",
            Self::Field { .. } => "bad_field",
            Self::Columns { .. } => "bad_columns",
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Open { file, .. }
            | Self::Io { file, .. }
            | Self::Damaged { file, .. }
            | Self::Encoding { file, .. }
            | Self::Empty { file, .. }
            | Self::AllRejected { file, .. }
            | Self::TooManyRejects { file, .. }
            | Self::DuplicateId { file, .. }
            | Self::Line { file, .. }
            | Self::Field { file, .. }
            | Self::Columns { file, .. } => Some(file),
        }
    }

    fn line(&self) -> Option<u64> {
        match self {
            Self::Open { .. } | Self::Encoding { .. } | Self::Empty { .. } => None,
            Self::Io { line, .. } => *line,
            Self::Damaged { line, .. }
            | Self::AllRejected { line, .. }
            | Self::TooManyRejects { line, .. }
            | Self::DuplicateId { line, .. }
            | Self::Line { line, .. }
            | Self::Field { line, .. }
            | Self::Columns { line, .. } => Some(*line),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "check the path"
            }
            Self::Open { .. } => "check the path and that you may read it",
            Self::Io { .. } => "give a readable file; folders and broken devices can't be read",
            Self::Damaged { .. } => "copy or download the file again",
            Self::Encoding { .. } => "save it as UTF-8",
            Self::Empty { .. } => "check that it is the right file",
            Self::AllRejected { .. } | Self::TooManyRejects { .. } => {
                "check that it is the right file: one JSON object per line"
            }
            Self::DuplicateId { .. } => {
                "give every row an id of its own; copies of one row must not count as several"
            }
            Self::Line { hint, .. } => return hint.clone(),
            Self::Field { .. } => {
                "fill it in, or leave out the whole row (both texts of it, whichever failed)"
            }
            Self::Columns { hint, .. } => hint,
        };
        Some(hint.to_owned())
    }
}

/// A file that can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No space is left; what was there before is untouched.
    #[error("no space left to write {}", file.display())]
    DiskFull {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Any other error of the operating system.
    #[error("can't write {}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value that the format can't hold.
    #[error("can't write {}: {problem}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// What is wrong, naming the field.
        problem: String,
    },
}

impl WriteError {
    /// Tells a full disk from other failures.
    pub fn from_io(file: &Path, source: io::Error) -> Self {
        let file = file.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull { file, source },
            _ => Self::Io { file, source },
        }
    }
}

impl Report for WriteError {
    fn code(&self) -> &'static str {
        match self {
            Self::DiskFull { .. } => "disk_full",
            Self::Io { .. } => "write_failed",
            Self::Value { .. } => "unwritable_value",
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::DiskFull { file, .. } | Self::Io { file, .. } | Self::Value { file, .. } => {
                Some(file)
            }
        }
    }

    fn line(&self) -> Option<u64> {
        None
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::DiskFull { .. } => {
                Some("free some space and run the same command again: it goes on from here".into())
            }
            Self::Io { .. } => {
                Some("check that the folder exists and that you may write there".into())
            }
            Self::Value { .. } => None,
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::DiskFull { .. } => EXIT_PARTIAL,
            Self::Io { .. } | Self::Value { .. } => EXIT_INPUT,
        }
    }
}

/// Foreign text as a message may repeat it: one line, bounded, in backticks.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    let mut chars = text.chars();
    out.extend(chars.by_ref().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug));
    out.push_str(if chars.next().is_some() { "…`" } else { "`" });
    out
}
