//! Which hashes are shared by accounts, and by how many: an inverted index with bounded memory.
//!
//! The index is never held whole. A first pass counts into a table of saturating bytes, which
//! rules out most hashes that only one account has; the rest are gathered, sorted and grouped in
//! slices of the hash space, so that memory stays near [`POSTINGS_MAX`] entries whatever the
//! number of accounts.

use crate::sample::{Counted, Entry};
use crate::sketch::{AccountSketch, Record};

/// Postings (one hash per account) held at a time: 4 bytes each.
const POSTINGS_MAX: usize = 1 << 19;
/// Bytes of the counting table at most.
const COUNTERS_MAX: usize = 1 << 22;

/// Hashes that at least two accounts have, with how many do.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Sorted by hash.
    entries: Vec<(u32, u32)>,
}

impl Shared {
    /// Counts the hashes that `list` pushes for each account.
    pub(crate) fn count(
        sketches: &[&AccountSketch],
        mut list: impl FnMut(&AccountSketch, &mut Vec<u32>),
    ) -> Self {
        let mut buffer = Vec::new();
        let mut total = 0;
        for sketch in sketches {
            buffer.clear();
            list(sketch, &mut buffer);
            total += buffer.len();
        }
        let n_counters = (2 * total).next_power_of_two().clamp(1 << 10, COUNTERS_MAX);
        let mut counters = vec![0u8; n_counters];
        let slot = |hash: u32| (hash.wrapping_mul(0x9e37_79b1) >> 8) as usize & (n_counters - 1);
        let mut n_postings = 0usize;
        for sketch in sketches {
            buffer.clear();
            list(sketch, &mut buffer);
            for hash in &buffer {
                if let Some(counter) = counters.get_mut(slot(*hash)) {
                    n_postings += usize::from(*counter > 0);
                    *counter = counter.saturating_add(1);
                }
            }
        }
        let n_slices = u64::try_from((2 * n_postings).div_ceil(POSTINGS_MAX)).unwrap_or(1).max(1);
        let mut entries = Vec::new();
        let mut postings = Vec::new();
        for slice in 0..n_slices {
            let (from, to) = ((slice << 32) / n_slices, ((slice + 1) << 32) / n_slices);
            postings.clear();
            for sketch in sketches {
                buffer.clear();
                list(sketch, &mut buffer);
                buffer.retain(|hash| {
                    (from..to).contains(&u64::from(*hash))
                        && counters.get(slot(*hash)).is_some_and(|n| *n >= 2)
                });
                buffer.sort_unstable();
                buffer.dedup();
                postings.extend_from_slice(&buffer);
            }
            postings.sort_unstable();
            for group in postings.chunk_by(|a, b| a == b) {
                if let (Some(hash), 2..) = (group.first(), group.len()) {
                    entries.push((*hash, u32::try_from(group.len()).unwrap_or(u32::MAX)));
                }
            }
        }
        entries.shrink_to_fit();
        Self { entries }
    }

    /// Index and number of accounts of a shared hash.
    pub(crate) fn get(&self, hash: u32) -> Option<(usize, u32)> {
        let i = self.entries.binary_search_by_key(&hash, |(h, _)| *h).ok()?;
        self.entries.get(i).map(|(_, n)| (i, *n))
    }

    /// Accounts that have the hash: 1 where it isn't shared.
    pub(crate) fn accounts(&self, hash: u32) -> u32 {
        self.get(hash).map_or(1, |(_, n)| n)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// All text items of an account.
pub(crate) fn text_items(sketch: &AccountSketch, out: &mut Vec<u32>) {
    for record in sketch.records.entries() {
        out.extend(record.text_items());
    }
}

/// Prompts of an account.
pub(crate) fn prompts(sketch: &AccountSketch, out: &mut Vec<u32>) {
    out.extend(sketch.records.entries().iter().map(Entry::key));
}

/// Networks of an account.
pub(crate) fn networks(sketch: &AccountSketch, out: &mut Vec<u32>) {
    out.extend(sketch.networks.entries().iter().map(Entry::key));
}

/// What the account's client looks like: its commonest client name with its commonest profile of
/// parameters, and that profile alone.
pub(crate) fn clients(sketch: &AccountSketch, out: &mut Vec<u32>) {
    out.extend(client(sketch));
    out.extend(profile(sketch));
}

/// The commonest client name with the commonest profile, as one hash; none where both are unknown.
pub(crate) fn client(sketch: &AccountSketch) -> Option<u32> {
    let agent = commonest(sketch.agents.entries()).unwrap_or(0);
    let profile = commonest(sketch.profiles.entries()).unwrap_or(0);
    (agent != 0 || profile != 0).then(|| (agent ^ profile.rotate_left(13)).max(1))
}

/// The commonest profile of parameters; none where it is unknown.
pub(crate) fn profile(sketch: &AccountSketch) -> Option<u32> {
    commonest(sketch.profiles.entries())
}

fn commonest(entries: &[Counted]) -> Option<u32> {
    entries.iter().max_by_key(|e| (e.n, e.hash)).map(|e| e.hash)
}

impl Record {
    /// The items by which texts are compared, without empty ones.
    pub(crate) fn text_items(&self) -> impl Iterator<Item = u32> + '_ {
        self.items.iter().copied().filter(|item| *item != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(networks: &[u32]) -> AccountSketch {
        let mut sketch = AccountSketch::default();
        for hash in networks {
            sketch.networks.offer(Counted { hash: *hash, n: 1 });
        }
        sketch
    }

    #[test]
    fn counts_accounts_not_occurrences() {
        let sketches =
            [account(&[5, 5, 9]), account(&[5, 7]), account(&[7, u32::MAX]), account(&[5])];
        let sketches: Vec<&AccountSketch> = sketches.iter().collect();
        let shared = Shared::count(&sketches, networks);
        let counts = [5, 7, 9, u32::MAX].map(|h| shared.accounts(h));
        assert_eq!(counts, [3, 2, 1, 1]);
        assert_eq!(shared.len(), 2);
    }
}
