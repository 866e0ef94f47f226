//! Exit codes and failures: what the shell and `--json` readers see when something ends.

use serde::Serialize;
use std::{fmt, process::ExitCode};
use stillwatch_evidence::{EXIT_PARTIAL, ErrorReport, Report, ledger::LedgerError};

/// The documented exit codes. Precedence: internal > input > partial > finding > clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As expected; nothing found.
    Clean = 0,
    /// A finding (`audit`: established or indicated), or not as expected (`demo`, `verify`).
    Finding = 1,
    /// Usage or input.
    Input = 2,
    /// Stopped early; what was done is kept, running again resumes.
    Partial = 3,
    /// A defect of the program.
    Internal = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a verb ended without its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Exit code that goes with it.
    #[serde(skip)]
    pub exit: Exit,
    /// Short machine-readable name, such as `usage`, `input`, `model`.
    pub code: String,
    /// What was wrong, one to three lines.
    pub message: String,
    /// The file it was in.
    pub file: Option<String>,
    /// The line of that file, counted from 1.
    pub line: Option<u64>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with no file or hint yet.
    pub fn new(exit: Exit, code: &str, message: impl fmt::Display) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message: message.to_string(),
            file: None,
            line: None,
            hint: None,
        }
    }

    /// Bad input or usage.
    pub fn input(code: &str, message: impl fmt::Display) -> Self {
        Self::new(Exit::Input, code, message)
    }

    /// An error that says itself where it is and what to do.
    pub fn report(error: &impl Report) -> Self {
        let exit = if error.exit_code() == EXIT_PARTIAL { Exit::Partial } else { Exit::Input };
        let ErrorReport { code, message, file, line, hint } = error.report();
        Self { exit, code, message, file, line, hint }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds the file.
    #[must_use]
    pub fn file(mut self, file: impl fmt::Display) -> Self {
        self.file = Some(file.to_string());
        self
    }

    /// Adds the line, counted from 1.
    #[must_use]
    pub fn line(mut self, line: Option<u64>) -> Self {
        self.line = line;
        self
    }

    /// What clap said, without its colours and its own exit.
    pub fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let text = text.trim_end();
        Self::input("usage", text.strip_prefix("error: ").unwrap_or(text))
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::report(&error)
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        message = format!("{message}: {deeper}");
        cause = deeper.source();
    }
    message
}
