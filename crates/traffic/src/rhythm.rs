//! When an account asks: a sample of times that doesn't depend on their order, and what shows in it.
//!
//! Kept are the 64 smallest times in the order of (keyed hash of the week, time). For an account
//! of at most 64 requests that is all of them; for others it is some whole weeks, chosen by the
//! hash, and the beginning of one more, so that the gaps between kept times of one week are gaps
//! between requests. The smallest 64 of a union are the smallest 64 of the smallest 64 of its
//! parts: samples merge without loss, in any order.

use crate::sketch::{AccountSketch, BINS, log2_bin};

/// Times kept.
pub(crate) const TIMES: usize = 64;
/// Gaps from which their regularity can be told.
const GAPS_MIN: usize = 8;
/// The lowest bin of gaps that can be a pace: 256 s, longer than anybody reads an answer.
const PACE_BIN_MIN: usize = 8;

/// The sample of times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Hash of the week above the seconds since the epoch; ascending, repeats kept.
    kept: Vec<u64>,
}

impl Times {
    pub(crate) fn offer(&mut self, week: u32, time_s: u32) {
        self.insert(u64::from(week) << 32 | u64::from(time_s));
    }

    fn insert(&mut self, time: u64) {
        let full = self.kept.len() == TIMES;
        if full && self.kept.last().is_some_and(|last| time >= *last) {
            return;
        }
        let at = self.kept.partition_point(|t| *t <= time);
        if full {
            self.kept.pop();
        } else if self.kept.len() == self.kept.capacity() {
            let room = (self.kept.len() / 4).max(4).min(TIMES - self.kept.len());
            self.kept.reserve_exact(room);
        }
        self.kept.insert(at, time);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for time in &other.kept {
            self.insert(*time);
        }
    }

    pub(crate) fn kept(&self) -> &[u64] {
        &self.kept
    }

    /// From times as they were kept; none where they aren't ascending, or too many.
    pub(crate) fn from_kept(kept: Vec<u64>) -> Option<Self> {
        (kept.len() <= TIMES && kept.is_sorted()).then_some(Self { kept })
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<u64>()
    }

    /// Gaps between requests that followed each other, seconds. `n`: requests in all.
    fn gaps(&self, n: u32) -> Vec<u32> {
        let second = |t: &u64| u32::try_from(t & 0xffff_ffff).unwrap_or(u32::MAX);
        if self.kept.len() < n as usize {
            // A sample: neighbours within a week.
            let same = |(a, b): &(&u64, &u64)| *a >> 32 == *b >> 32;
            let pairs = self.kept.iter().zip(self.kept.iter().skip(1)).filter(same);
            return pairs.map(|(a, b)| second(b) - second(a)).collect();
        }
        let mut times: Vec<u32> = self.kept.iter().map(second).collect();
        times.sort_unstable();
        times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a).collect()
    }
}

impl AccountSketch {
    /// The pace of an account that asks at regular intervals: the lower of two neighbouring bins
    /// (log2 of seconds) that hold nine tenths of its gaps. None where gaps are irregular, few, or
    /// below [`PACE_BIN_MIN`], where they are those within a session.
    pub(crate) fn pace(&self) -> Option<usize> {
        let gaps = self.times.gaps(self.n);
        let mut bins = [0usize; BINS];
        for gap in &gaps {
            if let Some(bin) = bins.get_mut(log2_bin(u64::from(*gap))) {
                *bin += 1;
            }
        }
        let two = |(i, pair): (usize, &[usize])| (i, pair.iter().sum::<usize>());
        let (bin, most) = bins.windows(2).enumerate().map(two).max_by_key(|(_, n)| *n)?;
        (gaps.len() >= GAPS_MIN && bin >= PACE_BIN_MIN && 10 * most >= 9 * gaps.len())
            .then_some(bin)
    }

    /// Share of gaps below an eighth of the mean gap; none where there are too few to say.
    pub(crate) fn bursts(&self) -> Option<f64> {
        let gaps = self.times.gaps(self.n);
        if gaps.len() < GAPS_MIN {
            return None;
        }
        let span_s = self.last_ms.abs_diff(self.first_ms) as f64 / 1000.0;
        Some(short(&gaps, span_s / f64::from(self.n - 1)))
    }
}

/// The same of the times given, seconds.
pub(crate) fn bursts_of_times(times: &mut [u32]) -> Option<f64> {
    times.sort_unstable();
    let (first, last) = (times.first()?, times.last()?);
    let n = times.len() - 1;
    if n < GAPS_MIN {
        return None;
    }
    let gaps: Vec<u32> = times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a).collect();
    Some(short(&gaps, f64::from(last - first) / n as f64))
}

fn short(gaps: &[u32], mean_s: f64) -> f64 {
    gaps.iter().filter(|gap| f64::from(**gap) < mean_s / 8.0).count() as f64 / gaps.len() as f64
}

/// Share of the quietest six hours in a row, times 4.
pub(crate) fn quiet(hours: &[f64; 24]) -> f64 {
    let total: f64 = hours.iter().sum();
    let windows = (0..24).map(|from| hours.iter().cycle().skip(from).take(6).sum::<f64>());
    4.0 * windows.fold(f64::INFINITY, f64::min) / total.max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_of_a_sample_are_gaps_of_the_traffic() {
        // Three weeks at an even pace: what is kept of them shows it.
        let mut times = Times::default();
        for i in 0..2_000u32 {
            let week = [9, 4, 7][i as usize * 3 / 2_000];
            times.offer(week, 1_000_000 + i * 900);
        }
        assert_eq!(times.gaps(2_000), vec![900; TIMES - 1]);
        // Few: all of them, across weeks.
        let mut few = Times::default();
        for (week, t) in [(9, 30), (4, 100), (9, 10), (2, 400), (4, 100)] {
            few.offer(week, t);
        }
        assert_eq!(few.gaps(5), [20, 70, 0, 300]);
        // One more request than kept times: the week of (2, 400) has no neighbour.
        assert_eq!(few.gaps(6), [0, 20]);
    }
}
