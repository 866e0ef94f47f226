//! What was met in a unit besides its rows. Counts add up, so that reports of units can be
//! merged in any order.

use super::Format;
use crate::row::NoContent;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts of one unit, or of several merged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitReport {
    /// Lines, records or rows, blank ones included.
    pub n_lines: u64,
    /// Exchanges.
    pub n_rows: u64,
    /// Exchanges by the format of their line.
    pub n_by_format: BTreeMap<Format, u64>,
    /// Lines that can't be read.
    pub n_rejected: u64,
    /// Lines that are sound but no exchange: spans of tools, embeddings, traces.
    pub n_passed_over: u64,
    /// Exchanges without an account.
    pub n_without_account: u64,
    /// Exchanges without a time.
    pub n_without_time: u64,
    /// Of these, the ones whose time can't be: before 2015 or more than a day from now.
    pub n_implausible_time: u64,
    /// Exchanges without any text, by the reason.
    pub n_without_content: BTreeMap<NoContent, u64>,
    /// Bytes read of what lies on disk.
    pub bytes_on_disk: u64,
    /// Bytes of text that they became.
    pub bytes_text: u64,
    /// Where compressed streams broke, and why; what came before was read.
    pub damages: Vec<String>,
}

impl UnitReport {
    /// Adds another report.
    pub fn merge(&mut self, other: Self) {
        self.n_lines += other.n_lines;
        self.n_rows += other.n_rows;
        self.n_rejected += other.n_rejected;
        self.n_passed_over += other.n_passed_over;
        self.n_without_account += other.n_without_account;
        self.n_without_time += other.n_without_time;
        self.n_implausible_time += other.n_implausible_time;
        self.bytes_on_disk += other.bytes_on_disk;
        self.bytes_text += other.bytes_text;
        for (format, n) in other.n_by_format {
            *self.n_by_format.entry(format).or_default() += n;
        }
        for (reason, n) in other.n_without_content {
            *self.n_without_content.entry(reason).or_default() += n;
        }
        self.damages.extend(other.damages);
        self.damages.sort();
    }

    /// Whether something that was asked for couldn't be read to its end.
    pub fn is_partial(&self) -> bool {
        !self.damages.is_empty()
    }
}
