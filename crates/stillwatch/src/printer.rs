//! Who prints what where: standard output carries data only, standard error carries talk.

use crate::outcome::{Exit, Failure};
use serde::Serialize;
use std::io::{self, Write as _};

/// The one way to the terminal.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    json: bool,
}

impl Printer {
    /// `json`: standard output carries one JSON value and nothing else.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether `--json` was given.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// One text to standard output. A closed pipe is the reader's choice, not an error.
    pub fn out(self, text: &str) {
        let mut stdout = io::stdout().lock();
        ignore_closed_pipe(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
    }

    /// One line of talk to standard error.
    pub fn talk(self, text: &str) {
        ignore_closed_pipe(writeln!(io::stderr().lock(), "{text}"));
    }

    /// One JSON value to standard output, pretty, with a final newline.
    pub fn json(self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.out(&text),
            Err(error) => self.talk(&format!("error: can't write JSON: {error}")),
        }
    }

    /// A failure: text on standard error, and under `--json` an object on standard output.
    pub fn failure(self, failure: &Failure) {
        if self.json {
            let mut value = serde_json::json!({ "error": failure });
            if failure.exit == Exit::Partial
                && let Some(object) = value.as_object_mut()
            {
                object.insert("partial".to_owned(), true.into());
            }
            self.json(&value);
        }
        self.talk(&format!("error: {}", failure.message));
        if let Some(hint) = &failure.hint {
            self.talk(&format!("hint: {hint}"));
        }
    }
}

/// Nobody is left to be told when the terminal is gone; the verb's own files are unaffected.
fn ignore_closed_pipe(result: io::Result<()>) {
    drop(result);
}
