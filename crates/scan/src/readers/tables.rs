//! Records that aren't lines: values in a JSON document, rows of a CSV table.
//!
//! Either way a record becomes an object that the products' readers take. Memory is bounded by
//! the longest record.

use super::json::Json;
use super::translate::Translator;
use super::{Container, Unit};
use crate::ScanError;
use std::borrow::Cow;
use std::io::{self, BufRead as _, BufReader, Read};
use stillwatch_evidence::Source;

/// Records between two questions whether to go on.
const ASK_EVERY: u64 = 256;
/// Records of a head that are looked at.
const RECORDS_MAX: usize = 64;
/// Longest CSV record, bytes: a quote that is never closed must not swallow the file.
const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads a file whole.
pub(super) fn read(
    reader: Box<dyn Read + Send>,
    container: Container,
    unit: &Unit,
    translator: &mut Translator<'_>,
) -> Result<(), ScanError> {
    let source = Source::unhashed(reader, &unit.file.to_path())?;
    match container {
        Container::Csv(separator) => csv(source, separator, unit, translator),
        _ => values(source, unit, translator),
    }
}

/// A broken stream is told of; a failing disk is an error.
fn broken(
    error: io::Error,
    source: &Source<'_>,
    line: u64,
    unit: &Unit,
    translator: &mut Translator<'_>,
) -> Result<(), ScanError> {
    let Some(problem) = source.damage(&error) else {
        return Err(source.failed(line, error).into());
    };
    translator.reject(line, format!("{problem}; what came before was read"), b"");
    translator.report.damages.push(format!("{}: {problem}", unit.file.display()));
    Ok(())
}

fn values(
    source: Source<'_>,
    unit: &Unit,
    translator: &mut Translator<'_>,
) -> Result<(), ScanError> {
    let mut reader = BufReader::with_capacity(64 * 1024, source);
    let mut splitter = Splitter::new(unit.line_bytes_max);
    let mut n = 0;
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                broken(error, reader.get_ref(), splitter.line, unit, translator)?;
                break;
            }
        };
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        splitter.push(chunk, &mut |piece| {
            n += 1;
            match piece {
                Piece::Value { line, bytes } => translator.line(line, bytes, true),
                Piece::TooLong { line, head } => {
                    let reason = format!("a value longer than {} bytes", unit.line_bytes_max);
                    translator.reject(line, reason, head);
                }
                Piece::Stray { line, bytes } => {
                    let reason = "expected an object or a list of objects".to_owned();
                    translator.reject(line, reason, bytes);
                }
            }
        });
        translator.report.bytes_text += length as u64;
        reader.consume(length);
        if !translator.goes_on() {
            break;
        }
    }
    if let Some((line, bytes)) = splitter.rest() {
        translator.reject(line, "the file ends in the middle of a value".to_owned(), bytes);
    }
    translator.report.n_lines = splitter.line;
    translator.report.bytes_on_disk += reader.get_ref().bytes_on_disk();
    Ok(())
}

/// The first values of a document.
pub(super) fn values_of_head(head: &[u8], most: usize) -> Vec<Json<'static>> {
    let mut found = Vec::new();
    let mut splitter = Splitter::new(head.len());
    splitter.push(head, &mut |piece| {
        if let Piece::Value { bytes, .. } = piece
            && found.len() < most
            && let Ok(json) = Json::parse(bytes, true)
        {
            found.push(json.into_owned());
        }
    });
    found
}

/// What a [`Splitter`] finds.
enum Piece<'a> {
    /// An object, and the line that it begins on.
    Value { line: u64, bytes: &'a [u8] },
    /// An object beyond the limit, and its beginning.
    TooLong { line: u64, head: &'a [u8] },
    /// Text where an object should be.
    Stray { line: u64, bytes: &'a [u8] },
}

/// Cuts a document into its objects: those of the list that it is, or one behind the other.
struct Splitter {
    limit: usize,
    /// The object that is open.
    value: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    line: u64,
    begin: u64,
    too_long: bool,
}

impl Splitter {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            value: Vec::new(),
            depth: 0,
            in_text: false,
            escaped: false,
            line: 1,
            begin: 1,
            too_long: false,
        }
    }

    fn push(&mut self, chunk: &[u8], out: &mut dyn FnMut(Piece<'_>)) {
        for &byte in chunk {
            self.line += u64::from(byte == b'\n');
            if self.depth == 0 {
                self.outside(byte, out);
                continue;
            }
            if self.value.len() < self.limit {
                self.value.push(byte);
            } else {
                self.too_long = true;
            }
            match (self.in_text, byte) {
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (_, b'"') => self.in_text = !self.in_text,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.hand_out(out);
                    }
                }
                _ => {}
            }
        }
    }

    /// Between objects: brackets of the list, commas and blanks mean nothing here.
    fn outside(&mut self, byte: u8, out: &mut dyn FnMut(Piece<'_>)) {
        match byte {
            b'{' => {
                if !self.value.is_empty() {
                    out(Piece::Stray { line: self.begin, bytes: &self.value });
                }
                self.value.clear();
                self.value.push(byte);
                self.depth = 1;
                self.begin = self.line;
            }
            b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' => {
                if !self.value.is_empty() {
                    out(Piece::Stray { line: self.begin, bytes: &self.value });
                    self.value.clear();
                }
            }
            _ => {
                if self.value.is_empty() {
                    self.begin = self.line;
                }
                if self.value.len() < self.limit.min(1024) {
                    self.value.push(byte);
                }
            }
        }
    }

    fn hand_out(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        if std::mem::take(&mut self.too_long) {
            out(Piece::TooLong { line: self.begin, head: &self.value });
        } else {
            out(Piece::Value { line: self.begin, bytes: &self.value });
        }
        self.value.clear();
    }

    /// What is left open at the end.
    fn rest(&self) -> Option<(u64, &[u8])> {
        (!self.value.is_empty()).then_some((self.begin, self.value.as_slice()))
    }
}

fn csv(
    source: Source<'_>,
    separator: u8,
    unit: &Unit,
    translator: &mut Translator<'_>,
) -> Result<(), ScanError> {
    let metered = Metered { source, left: RECORD_BYTES_MAX, spent: false };
    let mut reader = builder(separator).from_reader(metered);
    let mut header: Option<csv::ByteRecord> = None;
    let mut record = csv::ByteRecord::new();
    let mut n = 0_u64;
    loop {
        reader.get_mut().left = RECORD_BYTES_MAX;
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let line = reader.position().line();
                if reader.get_ref().spent {
                    let reason = format!(
                        "record longer than {RECORD_BYTES_MAX} bytes (a quote that is never \
                         closed?); nothing behind it was read"
                    );
                    translator.report.damages.push(format!("{}: {reason}", unit.file.display()));
                    translator.reject(line, reason, b"");
                } else if let csv::ErrorKind::Io(error) = error.into_kind() {
                    broken(error, &reader.get_ref().source, line, unit, translator)?;
                }
                break;
            }
        }
        n += 1;
        let line = record.position().map_or(n, csv::Position::line);
        translator.report.n_lines = line;
        let Some(header) = &header else {
            header = Some(record.clone());
            continue;
        };
        match object(header, &record) {
            Ok(json) => translator.record(line, json),
            Err(reason) => translator.reject(line, reason, record.as_slice()),
        }
        if n.is_multiple_of(ASK_EVERY) && !translator.goes_on() {
            break;
        }
    }
    translator.report.bytes_text += reader.position().byte();
    translator.report.bytes_on_disk += reader.get_ref().source.bytes_on_disk();
    Ok(())
}

fn builder(separator: u8) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator);
    builder
}

/// The first records of a table.
pub(super) fn records_of_head(head: &[u8], separator: u8) -> Vec<Json<'static>> {
    let mut records = builder(separator).from_reader(head).into_byte_records();
    let Some(Ok(header)) = records.next() else { return Vec::new() };
    let owned = |record| object(&header, &record).ok().map(Json::into_owned);
    let mut found: Vec<_> =
        records.map_while(Result::ok).take(RECORDS_MAX).filter_map(owned).collect();
    if found.is_empty() {
        // A table without rows still has its columns.
        found.extend(object(&header, &csv::ByteRecord::new()).ok().map(Json::into_owned));
    }
    found
}

/// A record as an object: empty cells are absent, cells that hold JSON are read as it.
fn object<'b>(
    header: &'b csv::ByteRecord,
    record: &'b csv::ByteRecord,
) -> Result<Json<'b>, String> {
    if record.len() > header.len() {
        return Err(format!("{} cells, but {} columns", record.len(), header.len()));
    }
    let mut entries = Vec::with_capacity(header.len());
    for (index, name) in header.iter().enumerate() {
        let text = |bytes: &'b [u8], what: &str| {
            std::str::from_utf8(bytes).map_err(|_| format!("{what} {} is not UTF-8", index + 1))
        };
        let name = text(name, "column")?.trim();
        let cell = text(record.get(index).unwrap_or_default(), "cell")?;
        let mut value = match cell {
            "" => Json::Null,
            text => Json::Text(Cow::Borrowed(text)),
        };
        value.expand_self();
        entries.push((Cow::Borrowed(name), value));
    }
    Ok(Json::Map(entries))
}

/// Lets a bounded number of bytes through for each record.
struct Metered<'a> {
    source: Source<'a>,
    left: usize,
    spent: bool,
}

impl Read for Metered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.spent = true;
            return Err(io::Error::other("record too long"));
        }
        let most = buf.len().min(self.left);
        let n = self.source.read(buf.get_mut(..most).unwrap_or_default())?;
        self.left -= n;
        Ok(n)
    }
}
