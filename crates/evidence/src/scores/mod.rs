//! Files of scores: what each model gave to the released text and to its withheld siblings.
//!
//! CSV with a header or JSON lines with the same flat keys, told apart by the first character:
//!
//! - `id`, then for the suspect `suspect_released` and `suspect_withheld` (or
//!   `suspect_withheld_1` … `suspect_withheld_K`), log-likelihoods in nats;
//! - the same for each reference by its name: `NAME_released`, `NAME_withheld…`. The name is
//!   what stands before the *last* such ending, so it may hold underscores;
//! - optional: `account`, `coin`, `unit` (rows of one unit share one coin),
//!   `n_tokens_released` and `n_tokens_withheld…`, and `k`.
//!
//! **No value may be missing.** A failure on one text must drop both of the pair, and only
//! whoever scored them can do that; so an empty cell, NaN or infinity is an error, never a
//! smaller K. Where K varies from row to row, JSON lines simply have more or fewer keys, and a
//! CSV file says how many in its column `k` (cells beyond it stay empty).
//!
//! What the scores mean is left to the audit.

mod columns;
mod read;
mod read_csv;
mod row;
mod write;

use crate::Coin;
use crate::error::{ReadError, WriteError};
use crate::source::{FileDigest, Limits, Source};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// One row: the scores of one released text and its siblings.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    /// Unique name.
    pub id: String,
    /// Whom it was sent to.
    pub account: Option<String>,
    /// Grade of the coin.
    pub coin: Option<Coin>,
    /// Rows of one unit share one coin.
    pub unit: Option<String>,
    /// Scores by the suspect, nats: released first, then the K withheld.
    pub suspect: Vec<f64>,
    /// The same by each reference, in the order of [`ScoreTable::reference_names`].
    pub references: Vec<Vec<f64>>,
    /// Tokens of each text, released first.
    pub n_tokens: Option<Vec<f64>>,
}

impl ScoreRow {
    /// Withheld texts.
    pub fn k(&self) -> usize {
        self.suspect.len().saturating_sub(1)
    }
}

/// All rows of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScoreTable {
    /// Names of the references, in the order of their columns.
    pub reference_names: Vec<String>,
    /// The rows, in the order of the file.
    pub rows: Vec<ScoreRow>,
    /// SHA-256 of the bytes on disk, hexadecimal; empty for a table that was not read.
    pub sha256: String,
}

/// Reads scores from a plain, gzip or zstd file, CSV or JSON lines, with the usual [`Limits`].
///
/// Errors: the file can't be read, holds no row, has columns that don't fit together, uses an
/// id twice, or has a value that is missing or not finite; each names file and line.
pub fn read_scores(path: &Path) -> Result<ScoreTable, ReadError> {
    read::read(Source::open(path)?, &Limits::default())
}

/// Reads scores from anything; `file` is what errors call it.
pub fn read_scores_from<'a>(
    reader: impl Read + Send + 'a,
    file: &Path,
    limits: &Limits,
) -> Result<ScoreTable, ReadError> {
    read::read(Source::new(reader, file)?, limits)
}

/// Writes scores, whole or not at all: JSON lines where the name ends in `.jsonl`, `.ndjson`
/// or `.json`, else CSV. Reading them again gives the same table bit for bit.
///
/// Errors: besides those of the disk, a table that [`ScoreTable::check`] refuses.
pub fn write_scores(path: &Path, table: &ScoreTable) -> Result<FileDigest, WriteError> {
    write::write(path, table)
}

/// Groups rows by unit; rows without one stand alone. Groups are ordered by their first
/// member, every index occurs once.
pub fn score_groups(table: &ScoreTable) -> Vec<Vec<usize>> {
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, row) in table.rows.iter().enumerate() {
        let known = row.unit.as_deref().map(|unit| *place.entry(unit).or_insert(groups.len()));
        match known.and_then(|at| groups.get_mut(at)) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    groups
}

impl ScoreTable {
    /// Whether a file can hold the table: names and ids usable and unique, every row with
    /// K ≥ 1 and a finite score for each text by each model. `Err` says what is wrong where.
    pub fn check(&self) -> Result<(), String> {
        for (i, name) in self.reference_names.iter().enumerate() {
            columns::check_name(name)?;
            if self.reference_names.iter().take(i).any(|other| other == name) {
                return Err(format!("two references are called `{name}`"));
            }
        }
        let mut row_of_id = BTreeMap::new();
        let with_tokens = self.rows.first().is_some_and(|row| row.n_tokens.is_some());
        for (i, row) in self.rows.iter().enumerate() {
            self.check_row(row, with_tokens)
                .map_err(|problem| format!("row {}: {problem}", i + 1))?;
            if let Some(first) = row_of_id.insert(row.id.as_str(), i) {
                return Err(format!("rows {} and {} have the same id", first + 1, i + 1));
            }
        }
        Ok(())
    }

    fn check_row(&self, row: &ScoreRow, with_tokens: bool) -> Result<(), String> {
        let texts =
            [("id", Some(&row.id)), ("account", row.account.as_ref()), ("unit", row.unit.as_ref())];
        for (field, text) in texts {
            if text.is_some_and(String::is_empty) {
                return Err(format!("`{field}` is empty"));
            }
        }
        if row.suspect.len() < 2 {
            return Err("no withheld text".into());
        }
        if row.references.len() != self.reference_names.len() {
            return Err(format!(
                "scores by {} references, expected {}",
                row.references.len(),
                self.reference_names.len()
            ));
        }
        if row.n_tokens.is_some() != with_tokens {
            return Err("token counts must be given for all rows or for none".into());
        }
        let named = self.reference_names.iter().map(String::as_str).zip(&row.references);
        let all = [("suspect", &row.suspect)].into_iter().chain(named);
        for (name, values) in all.chain(row.n_tokens.as_ref().map(|n| ("n_tokens", n))) {
            if values.len() != row.suspect.len() {
                return Err(format!(
                    "`{name}` has {} values, expected {}",
                    values.len(),
                    row.suspect.len()
                ));
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(format!("`{name}` holds {value}, expected finite numbers"));
            }
        }
        if row.n_tokens.iter().flatten().any(|&n| n <= 0.0) {
            return Err("`n_tokens` must be positive".into());
        }
        Ok(())
    }
}
