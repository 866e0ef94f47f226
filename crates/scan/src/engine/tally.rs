//! What a unit of work amounts to beside its exchanges: counters, and the lines that can't be read.
//!
//! Counters add up; of the bad lines, the first by file and line are kept. Both are the same
//! whatever the order in which tallies are merged.

use crate::readers::{Unit, UnitReport, first_lines};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stillwatch_evidence::{ReadError, Reject};

/// Bad lines kept.
pub const REJECTS_MAX: usize = 100_000;
/// Bytes kept of a bad line.
const RAW_BYTES_MAX: usize = 1024;

/// Where a bad line stands: the file, the byte that its unit begins at, the line in the unit.
pub(crate) type Place = (String, u64, u64);

/// Counters and bad lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Counters.
    pub report: UnitReport,
    /// The first bad lines by their place, with reason and text.
    #[serde(with = "as_list")]
    pub(crate) rejects: BTreeMap<Place, (String, String)>,
}

impl Tally {
    /// Takes a bad line.
    pub(crate) fn reject(&mut self, file: &str, from: u64, reject: Reject) {
        let Reject { line, reason, mut raw } = reject;
        raw.truncate(raw.floor_char_boundary(RAW_BYTES_MAX));
        self.keep((file.to_owned(), from, line), (reason, raw));
    }

    /// Takes in another.
    pub(crate) fn merge(&mut self, other: Self) {
        self.report.merge(other.report);
        for (place, what) in other.rejects {
            self.keep(place, what);
        }
    }

    /// As bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Plain maps and strings: serialising them doesn't fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The tally that the bytes hold.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| format!("a tally: {e}"))
    }

    /// Bytes in memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let n = self.rejects.len();
        let texts = self
            .rejects
            .first_key_value()
            .map_or(0, |((file, ..), (reason, raw))| file.len() + reason.len() + raw.len());
        size_of::<Self>() + n * (96 + texts)
    }

    /// The bad lines with their files, numbered as in these.
    ///
    /// # Errors
    /// A file can't be read any more.
    pub(crate) fn numbered(self, units: &[Unit]) -> Result<Vec<(String, Reject)>, ReadError> {
        let mut wanted: BTreeMap<(&str, u64), u64> =
            self.rejects.keys().map(|(file, from, _)| ((file.as_str(), *from), 0)).collect();
        let named = units.iter().map(|unit| ((unit.file.display().to_string(), start(unit)), unit));
        let (keys, kept): (Vec<_>, Vec<&Unit>) =
            named.filter(|((file, from), _)| wanted.contains_key(&(file.as_str(), *from))).unzip();
        for ((file, from), first) in keys.iter().zip(first_lines(&kept)?) {
            if let Some(slot) = wanted.get_mut(&(file.as_str(), *from)) {
                *slot = first;
            }
        }
        let line = |file: &str, from: u64, line: u64| {
            if line == 0 { 0 } else { line + wanted.get(&(file, from)).copied().unwrap_or(0) }
        };
        let rejects = self.rejects.iter().map(|((file, from, at), (reason, raw))| {
            let (reason, raw) = (reason.clone(), raw.clone());
            (file.clone(), Reject { line: line(file, *from, *at), reason, raw })
        });
        Ok(rejects.collect())
    }

    fn keep(&mut self, place: Place, what: (String, String)) {
        if self.rejects.len() >= REJECTS_MAX {
            match self.rejects.last_key_value() {
                Some((last, _)) if *last >= place => {}
                _ => return,
            }
        }
        // Two bad exchanges of one line: the smaller reason, whichever came first.
        match self.rejects.get_mut(&place) {
            Some(known) if *known <= what => {}
            Some(known) => *known = what,
            None => drop(self.rejects.insert(place, what)),
        }
        if self.rejects.len() > REJECTS_MAX {
            self.rejects.pop_last();
        }
    }
}

/// The byte that a unit begins at.
pub(crate) fn start(unit: &Unit) -> u64 {
    unit.range.as_ref().map_or(0, |range| range.start)
}

/// A map whose keys aren't strings, as a list.
mod as_list {
    use super::Place;
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::collections::BTreeMap;

    type Map = BTreeMap<Place, (String, String)>;

    pub(super) fn serialize<S: Serializer>(map: &Map, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map.iter())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
        Ok(Vec::<(Place, (String, String))>::deserialize(from)?.into_iter().collect())
    }
}
