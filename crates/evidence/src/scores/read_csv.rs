//! Reading scores from CSV: records become rows of cells, with the line each one begins at.

use super::ScoreTable;
use super::columns::Layout;
use super::read::Gathered;
use super::row::Cell;
use crate::error::ReadError;
use crate::source::{Limits, Source};
use std::collections::VecDeque;
use std::io::{self, Read};

/// Longest record, bytes: a quote that is never closed must not swallow the file.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn read(
    source: Source<'_>,
    limits: &Limits,
    mut gathered: Gathered,
) -> Result<ScoreTable, ReadError> {
    let limit = limits.line_bytes_max.min(RECORD_BYTES_MAX);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(Metered::new(source));
    let mut record = csv::ByteRecord::new();
    let mut layout: Option<Layout> = None;
    loop {
        let begin = reader.position().byte();
        reader.get_mut().left = limit;
        let read = reader.read_byte_record(&mut record);
        let line = reader.get_mut().line_at(begin);
        if !read.map_err(|error| failed(error, line, reader.get_ref(), limit, &gathered))? {
            let names = layout.map(|layout| layout.reference_names());
            return gathered.table(names, reader.into_inner().source);
        }
        let cells = cells(&record, line, &gathered)?;
        match (&layout, cells.as_slice()) {
            (_, [Cell::Bare(text)]) if text.trim().is_empty() => {}
            (None, [Cell::Bare(text)]) if text.contains([';', '\t']) => {
                return Err(ReadError::Columns {
                    file: gathered.file,
                    line,
                    problem: "one column only".into(),
                    hint: "separate the columns by commas".into(),
                });
            }
            (None, _) => {
                let keys = cells.into_iter().map(header_name).collect();
                layout = Some(Layout::new(keys, &gathered.file, line)?);
            }
            (Some(layout), cells) if cells.len() == layout.keys.len() => {
                gathered.push(layout, cells, line)?;
            }
            (Some(layout), cells) => {
                let problem = format!("{} cells, but {} columns", cells.len(), layout.keys.len());
                let hint = "give every row a cell for every column";
                return Err(gathered.bad_line(line, problem, Some(hint)));
            }
        }
    }
}

fn cells(record: &csv::ByteRecord, line: u64, gathered: &Gathered) -> Result<Vec<Cell>, ReadError> {
    let cell = |(i, bytes): (usize, &[u8])| match std::str::from_utf8(bytes) {
        Ok("") => Ok(Cell::Missing),
        Ok(text) => Ok(Cell::Bare(text.to_owned())),
        Err(_) => {
            let problem = format!("cell {} is not UTF-8", i + 1);
            Err(gathered.bad_line(line, problem, Some("save the file as UTF-8")))
        }
    };
    record.iter().enumerate().map(cell).collect()
}

fn header_name(cell: Cell) -> String {
    match cell {
        Cell::Bare(text) => text.trim().to_owned(),
        _ => String::new(),
    }
}

fn failed(
    error: csv::Error,
    line: u64,
    metered: &Metered<'_>,
    limit: usize,
    gathered: &Gathered,
) -> ReadError {
    if metered.spent {
        let problem = format!("row longer than {limit} bytes");
        return gathered.bad_line(line, problem, Some("look for a quote that is never closed"));
    }
    let message = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => match metered.source.damage(&source) {
            Some(problem) => ReadError::Damaged { file: gathered.file.clone(), line, problem },
            None => metered.source.failed(line, source),
        },
        _ => gathered.bad_line(line, message, None),
    }
}

/// Lets a bounded number of bytes through for each record, and remembers where lines begin:
/// the csv reader counts from the end of the record before, blank lines included.
struct Metered<'a> {
    source: Source<'a>,
    left: usize,
    spent: bool,
    bytes: u64,
    line: u64,
    at_start: bool,
    /// (offset, line) of each line that isn't blank, from the last record asked for on.
    begins: VecDeque<(u64, u64)>,
}

impl<'a> Metered<'a> {
    fn new(source: Source<'a>) -> Self {
        let begins = VecDeque::new();
        Self { source, left: 0, spent: false, bytes: 0, line: 1, at_start: true, begins }
    }

    /// The line of the first visible byte from `offset` on; offsets must not decrease.
    fn line_at(&mut self, offset: u64) -> u64 {
        while self.begins.front().is_some_and(|(begin, _)| *begin < offset) {
            self.begins.pop_front();
        }
        self.begins.front().map_or(self.line, |(_, line)| *line)
    }

    fn note_lines(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.at_start = true;
                }
                b'\r' => {}
                _ if self.at_start => {
                    self.begins.push_back((self.bytes, self.line));
                    self.at_start = false;
                }
                _ => {}
            }
            self.bytes += 1;
        }
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = buf.len().min(self.left);
        let Some(part) = buf.get_mut(..n).filter(|part| !part.is_empty()) else {
            self.spent = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        let read = self.source.read(part)?;
        self.left -= read;
        self.note_lines(part.get(..read).unwrap_or_default());
        Ok(read)
    }
}
