//! Units of work: what one thread reads from its beginning to its end.

use super::{Format, Sink, reader};
use crate::ScanError;
use crate::input::Inputs;
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::PathBuf;
use stillwatch_evidence::{ReadError, Reject};

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The file.
    pub file: PathBuf,
    /// What its lines are.
    pub format: Format,
    /// The bytes that the unit's lines begin in; the whole file where none are named.
    pub range: Option<Range<u64>>,
}

/// Plans the logs into units, in the order of the files.
///
/// # Errors
/// A file that can't be read.
pub fn plan(inputs: &Inputs) -> Result<Vec<Unit>, ScanError> {
    let unit = |file: &PathBuf| Unit { file: file.clone(), format: Format::Exchange, range: None };
    Ok(inputs.files.iter().map(unit).collect())
}

/// Reads a unit.
///
/// # Errors
/// The file can't be read.
pub fn read_unit(unit: &Unit, sink: &mut dyn Sink) -> Result<(), ScanError> {
    let io = |source| ReadError::Io { file: unit.file.clone(), line: None, source };
    let mut lines = BufReader::new(fs_err::File::open(&unit.file).map_err(io)?);
    let mut reader = reader(unit.format);
    let mut line = Vec::new();
    let mut number = 0;
    while lines.read_until(b'\n', &mut line).map_err(io)? > 0 && sink.goes_on() {
        number += 1;
        if let Err(reason) = reader.read(&line, &mut |row| sink.row(number, row)) {
            let raw = String::from_utf8_lossy(&line).into_owned();
            sink.reject(Reject { line: number, reason, raw });
        }
        line.clear();
    }
    Ok(())
}
