//! Parquet dumps of the same products: batches become JSON objects, which the products' readers
//! take as they take lines. Our own table isn't meant for this way; the engine reads its columns.

use super::json::Json;
use super::plan::ReadOptions;
use super::translate::Translator;
use super::{Format, Unit, detect};
use crate::ScanError;
use crate::input::Location;
use datafusion::arrow::array::{RecordBatch, RecordBatchReader as _};
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use std::io;
use stillwatch_evidence::ReadError;

/// Rows held at once.
const BATCH_ROWS: usize = 1024;
/// Rows that say whose table it is.
const HEAD_ROWS: usize = 32;

/// Whose table it is, and what tells so.
///
/// # Errors
/// It can't be read, or nobody knows its columns.
pub(super) fn look(location: &Location, options: &ReadOptions) -> Result<(Format, String), String> {
    if let Some(format) = options.format {
        return Ok((format, "it was named".to_owned()));
    }
    let reader = open(location, HEAD_ROWS).map_err(|error| error.to_string())?;
    let columns: Vec<String> =
        reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut records = Vec::new();
    for batch in reader.take(1) {
        let lines =
            lines(&batch.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        records
            .extend(lines.split(|byte| *byte == b'\n').filter_map(|line| record(line, &columns)));
    }
    if records.is_empty() {
        records.extend(record(b"{}", &columns));
    }
    let ours = ["account", "time_ms", "user", "response", "n_messages"];
    if records.first().is_some_and(|record| record.has_all(&ours)) {
        return Ok((Format::ExchangeParquet, "account, time_ms and n_messages are there".into()));
    }
    detect::vote(&records, options)
}

/// Reads a table whole.
///
/// # Errors
/// It can't be read; what came before was handed out.
pub(super) fn read(unit: &Unit, translator: &mut Translator<'_>) -> Result<(), ScanError> {
    let failed = |source| ReadError::Io { file: unit.file.to_path(), line: None, source };
    let mut number = 0;
    for batch in open(&unit.file, BATCH_ROWS).map_err(failed)? {
        let lines = batch.map_err(io::Error::other).and_then(|batch| lines(&batch));
        let lines = match lines {
            Ok(lines) => lines,
            Err(error) => {
                let problem = format!("row group behind row {number} is damaged ({error})");
                translator.reject(number + 1, problem.clone(), b"");
                translator.report.damages.push(format!("{}: {problem}", unit.file.display()));
                break;
            }
        };
        translator.report.bytes_text += lines.len() as u64;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            number += 1;
            match record(line, &[]) {
                Some(json) => translator.record(number, json),
                None => translator.reject(number, "not readable as a record".to_owned(), line),
            }
        }
        translator.report.n_lines = number;
        if !translator.goes_on() {
            break;
        }
    }
    Ok(())
}

fn open(location: &Location, rows: usize) -> io::Result<ParquetRecordBatchReader> {
    let Location::File(path) = location else {
        let problem = "Parquet tables are read from files: copy the object first";
        return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
    };
    let file = std::fs::OpenOptions::new().read(true).open(path)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(io::Error::other)?;
    builder.with_batch_size(rows).build().map_err(io::Error::other)
}

/// One JSON object a row, nulls left out.
fn lines(batch: &RecordBatch) -> io::Result<Vec<u8>> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(writer.into_inner())
}

/// A row as an object; columns without a value count as null, texts that hold JSON as it.
fn record(line: &[u8], columns: &[String]) -> Option<Json<'static>> {
    if line.is_empty() {
        return None;
    }
    let Json::Map(mut entries) = Json::parse(line, true).ok()?.into_owned() else { return None };
    for (_, value) in &mut entries {
        value.expand_self();
    }
    for column in columns {
        if !entries.iter().any(|(name, _)| name == column) {
            entries.push((column.clone().into(), Json::Null));
        }
    }
    Some(Json::Map(entries))
}
