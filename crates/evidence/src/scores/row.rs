//! One row of cells as scores, the same for CSV and JSON lines.

use super::ScoreRow;
use super::columns::Layout;
use crate::Coin;
use crate::error::{ReadError, quoted};
use std::path::Path;

const NATS: &str = "a finite number of nats";
const COUNT: &str = "a positive number of tokens";
const TEXT: &str = "text in quotes";
const COINS: &str = "public, server, iid or none";

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// Nothing: an empty cell, `null`.
    Missing,
    /// Text that may also be read as a number (CSV).
    Bare(String),
    /// Text and nothing else (JSON).
    Text(String),
    /// A number (JSON).
    Number(f64),
    /// Something that never belongs here, in words.
    Wrong(&'static str),
}

/// A row with the place it stands at.
pub(super) struct Row<'a> {
    pub(super) layout: &'a Layout,
    pub(super) cells: &'a [Cell],
    pub(super) file: &'a Path,
    pub(super) line: u64,
}

impl Row<'_> {
    pub(super) fn scores(&self) -> Result<ScoreRow, ReadError> {
        let layout = self.layout;
        let id = self.text(layout.id)?.ok_or_else(|| self.wrong(layout.id, "empty", "a name"))?;
        let texts = self.texts()?;
        let references = layout.references.iter();
        Ok(ScoreRow {
            id,
            account: self.optional_text(layout.account)?,
            coin: layout.coin.map_or(Ok(None), |column| self.coin(column))?,
            unit: self.optional_text(layout.unit)?,
            suspect: self.numbers(&layout.suspect, texts, NATS)?,
            references: references
                .map(|(_, columns)| self.numbers(columns, texts, NATS))
                .collect::<Result<_, _>>()?,
            n_tokens: match &layout.tokens {
                Some(columns) => Some(self.counts(columns, texts)?),
                None => None,
            },
        })
    }

    /// Texts of this row, from its `k` or from the number of columns.
    fn texts(&self) -> Result<usize, ReadError> {
        let columns = self.layout.suspect.len();
        let Some(column) = self.layout.k else { return Ok(columns) };
        let expected = "how many of the withheld columns this row fills, at least 1";
        let k = self.number(column, expected)?;
        (1..columns)
            .find(|&i| (i as f64).to_bits() == k.to_bits())
            .map(|i| i + 1)
            .ok_or_else(|| self.wrong(column, format!("{k}"), expected))
    }

    fn numbers(
        &self,
        columns: &[usize],
        texts: usize,
        expected: &'static str,
    ) -> Result<Vec<f64>, ReadError> {
        let (filled, beyond) = columns.split_at_checked(texts).unwrap_or((columns, &[]));
        if let Some(&column) = beyond.iter().find(|&&column| *self.cell(column) != Cell::Missing) {
            return Err(self.wrong(column, "a value beyond the row's `k`", "an empty cell"));
        }
        filled.iter().map(|&column| self.number(column, expected)).collect()
    }

    fn counts(&self, columns: &[usize], texts: usize) -> Result<Vec<f64>, ReadError> {
        let counts = self.numbers(columns, texts, COUNT)?;
        match columns.iter().zip(&counts).find(|(_, count)| **count <= 0.0) {
            Some((&column, count)) => Err(self.wrong(column, format!("{count}"), COUNT)),
            None => Ok(counts),
        }
    }

    fn number(&self, column: usize, expected: &'static str) -> Result<f64, ReadError> {
        let value = match self.cell(column) {
            Cell::Missing => return Err(self.wrong(column, "empty", expected)),
            Cell::Bare(text) if text.trim().is_empty() => {
                return Err(self.wrong(column, "empty", expected));
            }
            Cell::Wrong(what) => return Err(self.wrong(column, *what, expected)),
            Cell::Number(value) => *value,
            Cell::Text(text) => {
                return Err(self.wrong(column, format!("the text {}", quoted(text)), expected));
            }
            Cell::Bare(text) => text.trim().parse().map_err(|_| {
                self.wrong(column, format!("{} is no number", quoted(text)), expected)
            })?,
        };
        if value.is_finite() {
            Ok(value)
        } else {
            Err(self.wrong(column, format!("{value}"), expected))
        }
    }

    fn text(&self, column: usize) -> Result<Option<String>, ReadError> {
        match self.cell(column) {
            Cell::Missing => Ok(None),
            Cell::Text(text) if text.is_empty() => Ok(None),
            Cell::Bare(text) | Cell::Text(text) => Ok(Some(text.clone())),
            Cell::Number(value) => Err(self.wrong(column, format!("the number {value}"), TEXT)),
            Cell::Wrong(what) => Err(self.wrong(column, *what, TEXT)),
        }
    }

    fn optional_text(&self, column: Option<usize>) -> Result<Option<String>, ReadError> {
        column.map_or(Ok(None), |column| self.text(column))
    }

    fn coin(&self, column: usize) -> Result<Option<Coin>, ReadError> {
        let Some(text) = self.text(column)? else { return Ok(None) };
        match text.trim() {
            "none" => Ok(Some(Coin::None)),
            "iid" => Ok(Some(Coin::Iid)),
            "server" => Ok(Some(Coin::Server)),
            "public" => Ok(Some(Coin::Public)),
            other => Err(self.wrong(column, format!("{} is no coin", quoted(other)), COINS)),
        }
    }

    fn cell(&self, column: usize) -> &Cell {
        self.cells.get(column).unwrap_or(&Cell::Missing)
    }

    fn wrong(
        &self,
        column: usize,
        problem: impl Into<String>,
        expected: &'static str,
    ) -> ReadError {
        ReadError::Field {
            file: self.file.to_owned(),
            line: self.line,
            field: self.layout.key(column).to_owned(),
            problem: problem.into(),
            expected,
        }
    }
}
