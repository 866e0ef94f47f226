//! What is read of a unit, as record batches.

use super::columns::{Builder, COLUMNS, Source};
use super::tally::{Tally, start};
use crate::ScanError;
use crate::readers::{Sink, Unit, UnitReport, first_lines};
use crate::row::LogRow;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use std::sync::Arc;
use stillwatch_evidence::Reject;
use stillwatch_traffic::{Extractor, Features, HashKey};
use tokio::sync::mpsc::Sender;

/// Rows of a batch.
const ROWS: usize = 8192;
/// Bytes of text after which a batch is full, however few its rows.
const TEXT_BYTES: usize = 4 << 20;

/// What a column needs besides the row.
pub(crate) struct Context<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: u64,
    pub(crate) features: Option<&'a [u8; Features::BYTES]>,
}

/// Where batches go.
pub(crate) type Batches = Sender<Result<RecordBatch, DataFusionError>>;

/// Makes batches of what a partition's units hold, and hands them on.
pub(crate) struct BatchSink {
    schema: SchemaRef,
    builders: Vec<Builder>,
    extractor: Option<Extractor>,
    to: Batches,
    file: String,
    /// The byte that the unit begins at.
    from: u64,
    /// Lines of the file before the unit's first, where lines are asked for.
    first_line: u64,
    numbers_lines: bool,
    tally: Option<Tally>,
    rows: usize,
    text_bytes: usize,
    /// Rows still wanted.
    left: usize,
    /// Whether nobody listens any more.
    closed: bool,
}

impl BatchSink {
    /// Fills the columns with these numbers. `limit`: rows wanted at most.
    pub(crate) fn new(
        schema: SchemaRef,
        projection: &[usize],
        hash_key: &[u8; 32],
        limit: Option<usize>,
        to: Batches,
    ) -> Self {
        let sources: Vec<Source> =
            projection.iter().filter_map(|i| COLUMNS.get(*i)).map(|c| c.source).collect();
        let asks = |wanted: fn(&Source) -> bool| sources.iter().any(wanted);
        Self {
            schema,
            extractor: asks(|s| matches!(s, Source::Features))
                .then(|| Extractor::new(HashKey::new(hash_key))),
            tally: asks(|s| matches!(s, Source::Tally)).then(Tally::default),
            numbers_lines: asks(|s| matches!(s, Source::Line)),
            builders: sources.into_iter().map(Builder::new).collect(),
            to,
            file: String::new(),
            from: 0,
            first_line: 0,
            rows: 0,
            text_bytes: 0,
            left: limit.unwrap_or(usize::MAX),
            closed: false,
        }
    }

    /// What comes now is of this unit.
    ///
    /// # Errors
    /// The file can't be read.
    pub(crate) fn begin(&mut self, unit: &Unit) -> Result<(), ScanError> {
        self.file = unit.file.display().to_string();
        self.from = start(unit);
        if self.numbers_lines {
            self.first_line = first_lines(&[unit])?.first().copied().unwrap_or(0);
        }
        Ok(())
    }

    /// The unit has been read.
    pub(crate) fn end(&mut self, report: UnitReport) {
        if let Some(tally) = &mut self.tally {
            tally.report = report;
            let bytes = std::mem::take(tally).to_bytes();
            for builder in &mut self.builders {
                builder.push_tally(&bytes);
            }
            self.rows += 1;
        }
    }

    /// Hands on what is left.
    pub(crate) fn finish(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        if self.rows == 0 {
            return;
        }
        let columns = self.builders.iter_mut().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        let sent = self.to.blocking_send(batch.map_err(|e: ArrowError| e.into()));
        self.closed |= sent.is_err();
        (self.rows, self.text_bytes) = (0, 0);
    }
}

impl Sink for BatchSink {
    fn row(&mut self, line: u64, row: &LogRow<'_>) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let features = match (&mut self.extractor, row.observation()) {
            (Some(extractor), Some(observation)) => {
                Some(extractor.extract(&observation).to_bytes())
            }
            // The tally has counted it: a row would only be carried about.
            (Some(_), None) => return,
            (None, _) => None,
        };
        let line = if line == 0 { 0 } else { line + self.first_line };
        let context = Context { file: &self.file, line, features: features.as_ref() };
        for builder in &mut self.builders {
            self.text_bytes += builder.push(row, &context);
        }
        self.rows += 1;
        if self.rows >= ROWS || self.text_bytes >= TEXT_BYTES {
            self.flush();
        }
    }

    fn reject(&mut self, reject: Reject) {
        if let Some(tally) = &mut self.tally {
            tally.reject(&self.file, self.from, reject);
        }
    }

    fn goes_on(&self) -> bool {
        !self.closed && self.left > 0
    }
}
