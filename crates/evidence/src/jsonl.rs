//! JSON lines of any record type, streamed: good records come out, bad lines are kept with
//! their number and the reason.
//!
//! Nothing is dropped silently: every line that isn't blank is either a record or a
//! [`Reject`]. What a record means, and whether rejects are tolerable, is left to the caller.

use crate::error::{ReadError, WriteError, quoted};
use crate::source::{FileDigest, KEPT_BYTES, Limits, Lines, Source, Step};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::marker::PhantomData;
use std::path::Path;

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reject {
    /// Line number, counted from 1.
    pub line: u64,
    /// What is wrong with it, naming the field.
    pub reason: String,
    /// The line as it was; only its first 1,024 bytes, bytes that aren't UTF-8 replaced.
    pub raw: String,
}

/// What stands on one line.
#[derive(Debug, Clone, PartialEq)]
pub enum Record<T> {
    /// A good record.
    Good {
        /// Line number, counted from 1.
        line: u64,
        /// The record.
        value: T,
    },
    /// A bad line.
    Bad(Reject),
}

/// A record type that can say what is wrong with a value that has the right shape.
pub trait Validate {
    /// `Err` names the field and says what was expected.
    fn validate(&self) -> Result<(), String>;
}

/// Iterator over the records of a file, in order, in memory bounded by the longest line.
///
/// An `Err` is fatal (the file can't be read at all); after it the iterator is at its end.
#[derive(Debug)]
pub struct JsonLines<'a, T> {
    lines: Lines<'a>,
    damage: Option<String>,
    record: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Validate> JsonLines<'static, T> {
    /// Opens a plain, gzip or zstd file.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, ReadError> {
        Ok(Self::from_source(Source::open(path)?, limits))
    }
}

impl<'a, T: DeserializeOwned + Validate> JsonLines<'a, T> {
    /// Reads from anything; `file` is what errors call it.
    pub fn new(
        reader: impl Read + Send + 'a,
        file: &Path,
        limits: &Limits,
    ) -> Result<Self, ReadError> {
        Ok(Self::from_source(Source::new(reader, file)?, limits))
    }

    fn from_source(source: Source<'a>, limits: &Limits) -> Self {
        Self { lines: Lines::new(source, limits), damage: None, record: PhantomData }
    }

    /// Why the file ended before its end, once it did: a cut or corrupt compressed stream.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Hashes what is left and gives the digest of the bytes on disk.
    pub fn finish(self) -> Result<FileDigest, ReadError> {
        self.lines.into_source().finish()
    }

    fn bad(&self, reason: String) -> Record<T> {
        Record::Bad(Reject {
            line: self.lines.number(),
            reason,
            raw: lossy_head(self.lines.bytes()),
        })
    }

    fn parse(&self, ended: bool) -> Record<T> {
        let parsed = parse_line::<T>(self.lines.bytes(), ended)
            .and_then(|value| value.validate().map(|()| value));
        match parsed {
            Ok(value) => Record::Good { line: self.lines.number(), value },
            Err(reason) => self.bad(reason),
        }
    }
}

impl<T: DeserializeOwned + Validate> Iterator for JsonLines<'_, T> {
    type Item = Result<Record<T>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            return match self.lines.step() {
                Err(error) => Some(Err(error)),
                Ok(Step::End) => None,
                Ok(Step::Line { .. }) if is_blank(self.lines.bytes()) => continue,
                Ok(Step::Line { ended }) => Some(Ok(self.parse(ended))),
                Ok(Step::TooLong) => {
                    let limit = self.lines.limit();
                    Some(Ok(self.bad(format!("line longer than {limit} bytes"))))
                }
                Ok(Step::Damaged(problem)) => {
                    self.damage = Some(problem.clone());
                    Some(Ok(self.bad(format!("{problem}; what came before was read"))))
                }
            };
        }
    }
}

/// Writes bad lines as JSON lines, whole or not at all.
pub fn write_rejects(path: &Path, rejects: &[Reject]) -> Result<(), WriteError> {
    let mut out = Vec::new();
    for reject in rejects {
        serde_json::to_writer(&mut out, reject)
            .map_err(|error| WriteError::from_io(path, error.into()))?;
        out.push(b'\n');
    }
    crate::atomic::write(path, &out)
}

pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// One line as a record; the reason names the field where there is one. `ended`: whether the line
/// has its end, without which it may have been cut.
///
/// # Errors
/// What is wrong with the line.
pub fn parse_line<T: DeserializeOwned>(line: &[u8], ended: bool) -> Result<T, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
    // serde would take a list for the fields in order, which nobody means.
    if !text.trim_start().starts_with('{') {
        return Err(format!("expected a JSON object, found {}", quoted(text)));
    }
    // The path to the field costs time, so it is looked for only once there is an error.
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = quoted(&path);
        let inner = error.into_inner();
        if inner.is_eof() && !ended {
            return "the line is cut short: the file ends in the middle of it".to_owned();
        }
        let problem = without_position(&inner);
        let at = inner.column();
        match (inner.is_data(), path.as_str()) {
            (true, ".") => problem,
            (true, _) => format!("field {field}: {problem}"),
            (false, ".") => format!("not valid JSON: {problem} at column {at}"),
            (false, _) => format!("not valid JSON at field {field}: {problem} at column {at}"),
        }
    })?;
    json.end().map_err(|error| {
        format!("not valid JSON: {} at column {}", without_position(&error), error.column())
    })?;
    Ok(value)
}

/// serde_json counts lines within the one line that it was given, which only misleads.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

fn lossy_head(bytes: &[u8]) -> String {
    let head = bytes.get(..KEPT_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(head).into_owned()
}
