//! Which pieces of text how many accounts have, as an aggregate of its own: for nodes and time
//! windows that don't hold each other's sketches.
//!
//! Per hash it keeps the eight smallest hashes of the accounts that had it, from which their
//! number is estimated (bottom-k, see [`crate::sample`]), and the last day. Adding and merging
//! are unions: commutative, associative and idempotent. What bounds memory is a step of its own,
//! [`Population::trim`], so that no merge depends on what an earlier one forgot.

use crate::codec::SketchError;
use crate::sketch::AccountSketch;
use std::collections::BTreeMap;

/// Hashes of accounts kept per piece of text.
const ACCOUNTS: usize = 8;
/// Version of the bytes.
const VERSION: u8 = 1;
/// Bytes of an entry in encoded form.
const ENTRY_BYTES: usize = 4 + 4 + 1 + 4 * ACCOUNTS;

/// Pieces of text with the accounts that have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Population {
    entries: BTreeMap<u32, Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Days since the epoch.
    last_day: u32,
    n: u8,
    /// The smallest hashes, ascending; the first `n` count.
    accounts: [u32; ACCOUNTS],
}

impl Seen {
    fn offer(&mut self, account: u32) {
        let known = self.accounts.get(..usize::from(self.n)).unwrap_or_default();
        let Err(at) = known.binary_search(&account) else { return };
        if at >= ACCOUNTS {
            return;
        }
        let n = (usize::from(self.n) + 1).min(ACCOUNTS);
        if let Some(room) = self.accounts.get_mut(at..n) {
            room.rotate_right(1);
            if let Some(slot) = room.first_mut() {
                *slot = account;
            }
        }
        self.n = u8::try_from(n).unwrap_or(u8::MAX);
    }

    fn estimate(&self) -> f64 {
        match self.accounts.last() {
            Some(last) if usize::from(self.n) == ACCOUNTS => {
                (ACCOUNTS as f64 - 1.0) * 2f64.powi(32) / f64::from(*last).max(1.0)
            }
            _ => f64::from(self.n),
        }
    }
}

impl Population {
    /// Adds what an account's sketch holds. `account`: [`Extractor::account`](crate::Extractor::account).
    pub fn add(&mut self, account: u64, sketch: &AccountSketch) {
        let account = crate::hash::narrow(account);
        for record in sketch.records.entries() {
            let last_day = record.time_s / 86_400;
            for item in record.text_items() {
                let fresh = Seen { last_day, n: 0, accounts: [0; ACCOUNTS] };
                let seen = self.entries.entry(item).or_insert(fresh);
                seen.last_day = seen.last_day.max(last_day);
                seen.offer(account);
            }
        }
    }

    /// Takes in another aggregate.
    pub fn merge(&mut self, other: &Self) {
        for (item, theirs) in &other.entries {
            let seen = self.entries.entry(*item).or_insert(*theirs);
            seen.last_day = seen.last_day.max(theirs.last_day);
            for account in theirs.accounts.iter().take(usize::from(theirs.n)) {
                seen.offer(*account);
            }
        }
    }

    /// About how many accounts have the piece of text: exact up to seven, then with a relative
    /// error of some 40%.
    pub fn accounts(&self, item: u32) -> f64 {
        self.entries.get(&item).map_or(0.0, Seen::estimate)
    }

    /// Pieces of text that at least so many accounts have, with how many, ascending by hash.
    pub fn hot(&self, accounts_min: f64) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.entries
            .iter()
            .map(|(item, seen)| (*item, seen.estimate()))
            .filter(move |(_, n)| *n >= accounts_min)
    }

    /// Pieces of text known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets what wasn't seen since the day (days since the epoch).
    pub fn age(&mut self, since_day: u32) {
        self.entries.retain(|_, seen| seen.last_day >= since_day);
    }

    /// Keeps at most so many pieces of text: those of most accounts, the latest among equals.
    pub fn trim(&mut self, entries_max: usize) {
        if self.entries.len() <= entries_max {
            return;
        }
        // By estimate, then day, then hash: a total order, so the result is that of the contents.
        let rank = |item: u32, seen: &Seen| (seen.n, u32::MAX - last(seen), seen.last_day, item);
        let mut ranks: Vec<_> = self.entries.iter().map(|(i, s)| rank(*i, s)).collect();
        ranks.sort_unstable_by(|a, b| b.cmp(a));
        let Some(least) = entries_max.checked_sub(1).and_then(|i| ranks.get(i)).copied() else {
            self.entries.clear();
            return;
        };
        self.entries.retain(|item, seen| rank(*item, seen) >= least);
    }

    /// The aggregate as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.entries.len() * ENTRY_BYTES);
        out.push(VERSION);
        for (item, seen) in &self.entries {
            out.extend(item.to_le_bytes());
            out.extend(seen.last_day.to_le_bytes());
            out.push(seen.n);
            for account in seen.accounts {
                out.extend(account.to_le_bytes());
            }
        }
        out
    }

    /// The aggregate that the bytes hold.
    ///
    /// # Errors
    /// Another version, or bytes that no encoder writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let (version, rest) = bytes.split_first().ok_or(SketchError::Short { field: "version" })?;
        if *version != VERSION {
            return Err(SketchError::Version { found: *version });
        }
        let (entries, trailing) = rest.as_chunks::<ENTRY_BYTES>();
        if !trailing.is_empty() {
            return Err(SketchError::Short { field: "entries" });
        }
        let mut population = Self::default();
        let mut previous = 0;
        for entry in entries {
            let invalid = SketchError::Invalid { field: "entries" };
            let (item, seen) = decode(entry).ok_or(invalid)?;
            if item <= previous {
                return Err(invalid);
            }
            previous = item;
            population.entries.insert(item, seen);
        }
        Ok(population)
    }
}

fn last(seen: &Seen) -> u32 {
    seen.accounts.last().copied().unwrap_or(0)
}

/// One entry; none where no encoder writes it.
fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<(u32, Seen)> {
    let (item, rest) = bytes.split_first_chunk::<4>()?;
    let (day, rest) = rest.split_first_chunk::<4>()?;
    let (n, rest) = rest.split_first()?;
    let mut seen = Seen { last_day: u32::from_le_bytes(*day), n: *n, accounts: [0; ACCOUNTS] };
    for (slot, account) in seen.accounts.iter_mut().zip(rest.as_chunks::<4>().0) {
        *slot = u32::from_le_bytes(*account);
    }
    let (counted, empty) = seen.accounts.split_at_checked(usize::from(*n))?;
    let valid = *n > 0
        && counted.is_sorted_by(|a, b| a < b)
        && counted.iter().all(|a| *a != 0)
        && empty.iter().all(|a| *a == 0);
    valid.then_some((u32::from_le_bytes(*item), seen))
}
