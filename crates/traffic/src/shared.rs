//! Which hashes are shared by accounts, and by how many: an inverted index with bounded memory.
//!
//! The index is never held whole. A first pass marks hashes in a table of two bits each (met once,
//! met twice), which rules out most hashes that only one account has; the rest are gathered, sorted and
//! grouped in slices of the hash space, so that memory stays within [`StreamBounds`] whatever the
//! number of accounts. Where too many hashes are shared, those of fewest accounts are left out: among
//! a million accounts, hashes of 32 bits agree by chance. The result depends on the population alone.

use crate::sample::{Counted, Entry};
use crate::sketch::{AccountSketch, Record};
#[cfg(doc)]
use crate::sketches::StreamBounds;
use crate::sketches::{Sketches, Source};

/// Pushes the hashes of an account.
pub(crate) type List = fn(&AccountSketch, &mut Vec<u32>);

/// Hashes that at least two accounts have, with how many do.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Sorted by hash.
    entries: Vec<(u32, u32)>,
}

/// Which hashes were met, and which by more than one account; collisions err on the safe side.
struct Met {
    once: Vec<u64>,
    twice: Vec<u64>,
    n_postings: usize,
}

impl Met {
    fn new(bytes: usize) -> Self {
        let n = (bytes / 16).next_power_of_two().max(16);
        Self { once: vec![0; n], twice: vec![0; n], n_postings: 0 }
    }

    fn place(&self, hash: u32) -> (usize, u64) {
        let slot = (u64::from(hash)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        (usize::try_from(slot >> 6).unwrap_or(0) & (self.once.len() - 1), 1 << (slot & 63))
    }

    fn meet(&mut self, hash: u32) {
        let (i, bit) = self.place(hash);
        if let (Some(once), Some(twice)) = (self.once.get_mut(i), self.twice.get_mut(i)) {
            let again = *once & bit != 0;
            *twice |= if again { bit } else { 0 };
            *once |= bit;
            self.n_postings += 2 * usize::from(again);
        }
    }

    fn is_shared(&self, hash: u32) -> bool {
        let (i, bit) = self.place(hash);
        self.twice.get(i).is_some_and(|word| word & bit != 0)
    }
}

fn sorted(sketch: &AccountSketch, list: List, buffer: &mut Vec<u32>) {
    buffer.clear();
    list(sketch, buffer);
    buffer.sort_unstable();
    buffer.dedup();
}

impl Shared {
    /// Counts the accounts of each hash.
    pub(crate) fn count<S: Sketches>(
        source: &Source<'_, S>,
        n_accounts: usize,
        list: List,
    ) -> Result<Self, S::Error> {
        let bounds = source.bounds;
        let mut buffer = Vec::new();
        // Two bits for each of some 300 hashes of an account, twice over.
        let mut met = Met::new(bounds.counter_bytes.min(n_accounts.saturating_mul(256)));
        source.each(|_, sketch| {
            sorted(sketch, list, &mut buffer);
            for hash in &buffer {
                met.meet(*hash);
            }
        })?;
        let n_slices = met.n_postings.div_ceil(bounds.postings.max(1)).max(1) as u64;
        let (mut entries, mut postings) = (Vec::new(), Vec::new());
        let mut least = 2;
        for slice in 0..n_slices {
            let (from, to) = ((slice << 32) / n_slices, ((slice + 1) << 32) / n_slices);
            postings.clear();
            source.each(|_, sketch| {
                sorted(sketch, list, &mut buffer);
                let within = |hash: &&u32| (from..to).contains(&u64::from(**hash));
                postings.extend(buffer.iter().filter(within).filter(|h| met.is_shared(**h)));
            })?;
            postings.sort_unstable();
            for group in postings.chunk_by(|a, b| a == b) {
                if let (Some(hash), true) = (group.first(), group.len() >= least) {
                    entries.push((*hash, u32::try_from(group.len()).unwrap_or(u32::MAX)));
                }
            }
            while entries.len() > bounds.shared {
                least += 1;
                entries.retain(|(_, n)| *n as usize >= least);
            }
        }
        entries.shrink_to_fit();
        Ok(Self { entries })
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
    use crate::sketches::{InMemory, StreamBounds};

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
        let population = InMemory { names: vec!["a", "b", "c", "d"], sketches };
        let source = Source { sketches: &population, in_memory: None, bounds: StreamBounds::LIVE };
        let Ok(shared) = Shared::count(&source, 4, networks);
        let counts = [5, 7, 9, u32::MAX].map(|h| shared.accounts(h));
        assert_eq!(counts, [3, 2, 1, 1]);
        assert_eq!(shared.len(), 2);
        // In slices of one hash, and with room for one.
        let bounds = StreamBounds { postings: 1, shared: 1, ..StreamBounds::LIVE };
        let Ok(shared) = Shared::count(&Source { bounds, ..source }, 4, networks);
        assert_eq!(shared.entries, [(5, 3)]);
    }
}
