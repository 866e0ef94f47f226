//! Units of work: what one thread reads from its beginning to its end.

use super::lines::{self, Stop};
use super::mapping::Mapping;
use super::translate::Translator;
use super::{Format, Sink, UnitReport};
use crate::ScanError;
use crate::input::{Location, NoObjects, Objects};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::ops::Range;
use stillwatch_evidence::{Limits, ReadError, Source};

/// What a file's records lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// A JSON object on each line.
    Lines,
    /// JSON objects over several lines, or a list of them.
    Json,
    /// A table with a header and this separator.
    Csv(u8),
    /// Parquet.
    Parquet,
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The log.
    pub file: Location,
    /// What its records lie in.
    pub container: Container,
    /// Whose log it is.
    pub format: Format,
    /// Whether the format was named, so that no line is taken for another's.
    pub named: bool,
    /// The bytes that the unit's lines begin in; the whole file where none are named. Only plain
    /// files of lines are cut.
    pub range: Option<Range<u64>>,
    /// Fields that are found elsewhere than the format's reader looks.
    pub mapping: Mapping,
    /// The present, milliseconds since the epoch: times long after it are broken clocks.
    pub now_ms: Option<i64>,
    /// Longest line, bytes.
    pub line_bytes_max: usize,
}

impl Unit {
    pub(super) fn limits(&self) -> Limits {
        Limits { line_bytes_max: self.line_bytes_max, ..Limits::default() }
    }
}

/// Reads a unit that lies in the file system.
///
/// # Errors
/// The file can't be read. A stream that breaks off is no error: what came before is read, and
/// the report tells of the damage.
pub fn read_unit(unit: &Unit, sink: &mut dyn Sink) -> Result<UnitReport, ScanError> {
    read_unit_from(unit, &NoObjects, sink)
}

/// Reads a unit, from an object store where it lies in one.
///
/// # Errors
/// As [`read_unit`].
pub fn read_unit_from(
    unit: &Unit,
    objects: &dyn Objects,
    sink: &mut dyn Sink,
) -> Result<UnitReport, ScanError> {
    let mut translator = Translator::new(unit, sink);
    let open = |from| -> Result<Box<dyn Read + Send>, ScanError> {
        let file = || unit.file.to_path();
        let opened = unit.file.open(from, objects);
        Ok(opened.map_err(|source| ReadError::Open { file: file(), source })?)
    };
    let path = unit.file.to_path();
    match (unit.container, &unit.range) {
        (Container::Lines, Some(range)) if range.start > 0 => {
            // The byte before tells whether the first one begins a line.
            let source = Source::middle(open(range.start - 1)?, &path);
            lines::read(source, unit, Some(range.end - range.start + 1), &mut translator)?;
        }
        (Container::Lines, range) => {
            let source = Source::unhashed(open(0)?, &path)?;
            let stop: Stop = range.as_ref().map(|range| range.end);
            lines::read(source, unit, stop, &mut translator)?;
        }
        (Container::Parquet, _) => super::parquet::read(unit, &mut translator)?,
        (container, _) => {
            let reader = open(0)?;
            super::tables::read(reader, container, unit, &mut translator)?;
        }
    }
    Ok(translator.report)
}
