//! Samples by smallest hash: bounded, and merged without loss.
//!
//! A [`Sample`] keeps the `k` entries with the smallest keys ever offered, and absorbs repeats
//! into them. A key among the smallest `k` of the whole stream has been among the smallest `k`
//! at every moment before, so what is absorbed is complete: a merge of two samples is exactly
//! the sample of the joined stream, in any order (Cohen and Kaplan 2007).

/// Something kept by its key.
pub(crate) trait Entry: Copy {
    /// What it is kept by: uniform hash.
    fn key(&self) -> u32;
    /// Takes in another entry with the same key. Commutative and associative.
    fn absorb(&mut self, other: &Self);
}

/// A hash and how often it was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) hash: u32,
    pub(crate) n: u32,
}

impl Entry for Counted {
    fn key(&self) -> u32 {
        self.hash
    }

    fn absorb(&mut self, other: &Self) {
        self.n = self.n.saturating_add(other.n);
    }
}

/// The entries with the smallest keys, sorted by key, each key once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample<T, const K: usize> {
    entries: Vec<T>,
}

impl<T, const K: usize> Default for Sample<T, K> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T: Entry, const K: usize> Sample<T, K> {
    pub(crate) fn offer(&mut self, entry: T) {
        // Most of what comes to a full sample is too large.
        if self.entries.len() == K && self.entries.last().is_some_and(|l| entry.key() > l.key()) {
            return;
        }
        match self.entries.binary_search_by_key(&entry.key(), Entry::key) {
            Ok(i) => {
                if let Some(known) = self.entries.get_mut(i) {
                    known.absorb(&entry);
                }
            }
            Err(i) if i < K => {
                if self.entries.len() == K {
                    self.entries.pop();
                } else if self.entries.len() == self.entries.capacity() {
                    // Grows by a quarter, so that many small samples waste little.
                    let room = (self.entries.len() / 4).max(2).min(K - self.entries.len());
                    self.entries.reserve_exact(room);
                }
                self.entries.insert(i, entry);
            }
            Err(_) => {}
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for entry in &other.entries {
            self.offer(*entry);
        }
    }

    pub(crate) fn entries(&self) -> &[T] {
        &self.entries
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<T>()
    }

    /// From entries as they were; none where they aren't a sample's (unsorted, repeated, too many).
    pub(crate) fn from_entries(entries: Vec<T>) -> Option<Self> {
        let sorted = entries.is_sorted_by(|a, b| a.key() < b.key());
        (sorted && entries.len() <= K).then_some(Self { entries })
    }

    /// How many different keys were offered: all while they fit, then `(K − 1) / share of the
    /// key space below the largest kept`, with relative error 1/√(K − 2).
    pub(crate) fn distinct(&self) -> f64 {
        match self.entries.last() {
            Some(last) if self.entries.len() == K => {
                (K as f64 - 1.0) * 2f64.powi(32) / f64::from(last.key()).max(1.0)
            }
            _ => self.entries.len() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_is_exact_while_it_fits_and_near_after() {
        let mut sample = Sample::<Counted, 48>::default();
        let mut h = 1u32;
        for i in 0..10_000u32 {
            h = h.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let mixed = h ^ (h >> 15);
            sample.offer(Counted { hash: mixed, n: 1 });
            if i < 40 {
                assert!((sample.distinct() - f64::from(i + 1)).abs() < 1e-9);
            }
        }
        assert!((5_000.0..20_000.0).contains(&sample.distinct()), "{}", sample.distinct());
    }
}
