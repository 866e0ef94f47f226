//! From logs to one sketch per account.

use crate::ScanError;
use crate::readers::{Sink, Unit, read_unit};
use crate::row::LogRow;
use std::collections::BTreeMap;
use stillwatch_evidence::Reject;
use stillwatch_traffic::{AccountSketch, Extractor, HashKey};

/// What was read, and the sketches.
#[derive(Debug, Default)]
pub struct Sketched {
    /// Sketches by account.
    pub accounts: BTreeMap<String, AccountSketch>,
    /// Exchanges read.
    pub n_exchanges: u64,
    /// Of these, without an account.
    pub n_without_account: u64,
    /// Of these, without a time.
    pub n_without_time: u64,
    /// Lines that can't be read.
    pub n_rejected: u64,
    /// The first of them, by file.
    pub rejects: Vec<(String, Reject)>,
    /// The latest time, milliseconds since the epoch.
    pub now_ms: i64,
}

/// Bad lines kept.
const REJECTS_MAX: usize = 100_000;

/// Reads all units.
///
/// # Errors
/// A file that can't be read.
pub fn sketch(units: &[Unit], hash_key: &[u8; 32]) -> Result<Sketched, ScanError> {
    let extractor = Extractor::new(HashKey::new(hash_key));
    let all = Sketched { now_ms: i64::MIN, ..Sketched::default() };
    let mut sink = Collect { extractor, all, file: String::new() };
    for unit in units {
        sink.file = unit.file.display().to_string();
        read_unit(unit, &mut sink)?;
    }
    Ok(sink.all)
}

struct Collect {
    extractor: Extractor,
    all: Sketched,
    file: String,
}

impl Sink for Collect {
    fn row(&mut self, _line: u64, row: &LogRow<'_>) {
        self.all.n_exchanges += 1;
        self.all.n_without_time += u64::from(row.time_ms.is_none());
        let Some(observation) = row.observation() else {
            self.all.n_without_account += 1;
            return;
        };
        self.all.now_ms = self.all.now_ms.max(observation.time_ms);
        let features = self.extractor.extract(&observation);
        let name = observation.account.to_owned();
        self.all.accounts.entry(name).or_default().observe(&features);
    }

    fn reject(&mut self, reject: Reject) {
        self.all.n_rejected += 1;
        if self.all.rejects.len() < REJECTS_MAX {
            self.all.rejects.push((self.file.clone(), reject));
        }
    }
}
