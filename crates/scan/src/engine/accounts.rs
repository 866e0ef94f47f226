//! Sketches of accounts on disk: sorted by account, read back one by one.
//!
//! A million accounts are gigabytes of sketches, so they are never in memory together unless
//! somebody [loads](Accounts::load) them. The file is Parquet with two columns, `account` and
//! `sketch`, and is the same bit for bit for the same logs.

use super::error::EngineError;
use crate::ScanError;
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, LargeBinaryBuilder, RecordBatch, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use stillwatch_traffic::AccountSketch;
use tempfile::TempDir;

/// Accounts written or read at a time.
const ROWS: usize = 512;
/// Accounts of a row group: some 10 MB.
const GROUP_ROWS: usize = 4096;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("account", DataType::Utf8, false),
        Field::new("sketch", DataType::LargeBinary, false),
    ]))
});

/// Sketches of accounts, sorted by account.
#[derive(Debug, Clone)]
pub struct Accounts {
    file: PathBuf,
    n: u64,
    last_ms: i64,
    /// Goes with the last that looks at it.
    _folder: Option<Arc<TempDir>>,
}

impl Accounts {
    /// How many.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The latest time of any, milliseconds since the epoch; `i64::MIN` where there is none.
    pub fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// One after the other, sorted.
    ///
    /// # Errors
    /// The file is gone.
    pub fn read(&self) -> Result<AccountsIter, ScanError> {
        AccountsIter::open(&self.file)
    }

    /// All in memory: some 3 KB each.
    ///
    /// # Errors
    /// The file is gone or damaged.
    pub fn load(&self) -> Result<BTreeMap<String, AccountSketch>, ScanError> {
        self.read()?.collect()
    }

    /// The accounts of a file that is kept.
    ///
    /// # Errors
    /// It can't be read, or isn't one.
    pub fn open(file: &Path) -> Result<Self, ScanError> {
        let (mut n, mut last_ms) = (0, i64::MIN);
        for account in AccountsIter::open(file)? {
            n += 1;
            last_ms = last_ms.max(account?.1.last_ms());
        }
        Ok(Self { file: file.to_owned(), n, last_ms, _folder: None })
    }

    /// Those of two, merged.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn merged(one: &Self, two: &Self, to: AccountsWriter) -> Result<Self, ScanError> {
        let mut to = to;
        let mut one = one.read()?;
        let mut two = two.read()?;
        let (mut left, mut right) = (one.next().transpose()?, two.next().transpose()?);
        loop {
            let order = match (&left, &right) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let from_left = if order.is_le() { left.take() } else { None };
            let from_right = if order.is_ge() { right.take() } else { None };
            match (from_left, from_right) {
                (Some((account, mut sketch)), Some((_, other))) => {
                    sketch.merge(&other);
                    to.push(&account, &sketch.to_bytes(), sketch.last_ms())?;
                }
                (Some((account, sketch)), None) | (None, Some((account, sketch))) => {
                    to.push(&account, &sketch.to_bytes(), sketch.last_ms())?;
                }
                (None, None) => {}
            }
            if order.is_le() {
                left = one.next().transpose()?;
            }
            if order.is_ge() {
                right = two.next().transpose()?;
            }
        }
        to.finish()
    }
}

fn bad(file: &Path, message: impl Display) -> ScanError {
    EngineError::Accounts { file: file.to_owned(), message: message.to_string() }.into()
}

/// Writes accounts; they come sorted.
#[derive(Debug)]
pub struct AccountsWriter {
    file: PathBuf,
    folder: Option<Arc<TempDir>>,
    to: ArrowWriter<std::fs::File>,
    names: StringBuilder,
    sketches: LargeBinaryBuilder,
    n: u64,
    last_ms: i64,
}

impl AccountsWriter {
    /// Into a new folder below `temp`, which goes with the accounts.
    ///
    /// # Errors
    /// It can't be made.
    pub fn temporary(temp: &Path) -> Result<Self, ScanError> {
        let folder = tempfile::Builder::new()
            .prefix("stillwatch-accounts-")
            .tempdir_in(temp)
            .map_err(|e| bad(temp, e))?;
        let mut writer = Self::create(&folder.path().join("accounts.parquet"))?;
        writer.folder = Some(Arc::new(folder));
        Ok(writer)
    }

    /// Into a file.
    ///
    /// # Errors
    /// It can't be made.
    pub fn create(file: &Path) -> Result<Self, ScanError> {
        let to = fs_err::File::create(file).map_err(|e| bad(file, e))?.into_parts().0;
        // Sketches are hashes: nothing repeats, nothing is worth an index.
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by("stillwatch".to_owned())
            .build();
        let to = ArrowWriter::try_new(to, Arc::clone(&SCHEMA), Some(properties))
            .map_err(|e| bad(file, e))?;
        Ok(Self {
            file: file.to_owned(),
            folder: None,
            to,
            names: StringBuilder::new(),
            sketches: LargeBinaryBuilder::new(),
            n: 0,
            last_ms: i64::MIN,
        })
    }

    /// Takes the next account.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn push(&mut self, account: &str, sketch: &[u8], last_ms: i64) -> Result<(), ScanError> {
        self.names.append_value(account);
        self.sketches.append_value(sketch);
        self.n += 1;
        self.last_ms = self.last_ms.max(last_ms);
        if self.n.is_multiple_of(ROWS as u64) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ScanError> {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(self.names.finish()), Arc::new(self.sketches.finish())];
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns);
        let batch = batch.map_err(|e| bad(&self.file, e))?;
        self.to.write(&batch).map_err(|e| bad(&self.file, e))
    }

    /// All accounts have come.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(mut self) -> Result<Accounts, ScanError> {
        self.flush()?;
        let Self { file, folder, to, n, last_ms, .. } = self;
        let inner = to.into_inner().map_err(|e| bad(&file, e))?;
        if folder.is_none() {
            inner.sync_all().map_err(|e| bad(&file, e))?;
        }
        Ok(Accounts { file, n, last_ms, _folder: folder })
    }
}

/// Accounts, one after the other.
pub struct AccountsIter {
    file: PathBuf,
    batches: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    row: usize,
}

impl std::fmt::Debug for AccountsIter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountsIter").field("file", &self.file).finish_non_exhaustive()
    }
}

impl AccountsIter {
    fn open(file: &Path) -> Result<Self, ScanError> {
        let from = fs_err::File::open(file).map_err(|e| bad(file, e))?.into_parts().0;
        let batches = ParquetRecordBatchReaderBuilder::try_new(from)
            .and_then(|b| b.with_batch_size(ROWS).build())
            .map_err(|e| bad(file, e))?;
        Ok(Self { file: file.to_owned(), batches, batch: None, row: 0 })
    }

    fn read(&self, batch: &RecordBatch) -> Result<(String, AccountSketch), ScanError> {
        let names = batch.columns().first().and_then(|c| c.as_string_opt::<i32>());
        let sketches = batch.columns().get(1).and_then(|c| c.as_binary_opt::<i64>());
        match (names, sketches) {
            (Some(names), Some(sketches)) if self.row < names.len() => {
                let sketch = AccountSketch::from_bytes(sketches.value(self.row))
                    .map_err(|e| bad(&self.file, e))?;
                Ok((names.value(self.row).to_owned(), sketch))
            }
            _ => Err(bad(&self.file, "isn't a file of accounts")),
        }
    }
}

impl Iterator for AccountsIter {
    type Item = Result<(String, AccountSketch), ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = &self.batch
                && self.row < batch.num_rows()
            {
                let item = self.read(batch);
                self.row += 1;
                return Some(item);
            }
            match self.batches.next()? {
                Ok(batch) => (self.batch, self.row) = (Some(batch), 0),
                Err(e) => return Some(Err(bad(&self.file, e))),
            }
        }
    }
}
