//! Fast relabelling: sums of per-text scores when every coin is thrown again.
//!
//! Coins are taken in groups whose joint outcomes number at most 256 (8 pairs); each group has a
//! table of its partial sums, so one relabelling costs one look-up per group. Scores are integers
//! held in f64 below 2^53: sums are exact, equal labellings give equal sums to the last bit, and
//! ties are ties. What the sums mean is the caller's business.

use crate::rows::Rows;
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;

/// Most joint outcomes of a group: one byte of randomness picks one.
const GROUP_OUTCOMES_MAX: usize = 256;
/// From this many coins on, tables of [`LARGE_OUTCOMES_MAX`] keep memory bounded (100 MB for 10^6
/// pairs and three statistics).
const LARGE_UNITS_MIN: usize = 20_000;
/// See [`LARGE_UNITS_MIN`].
const LARGE_OUTCOMES_MAX: usize = 16;

/// Integer scores of every text of every coin, `C` statistics at once.
pub(crate) type Scores<const C: usize> = Rows<[f64; C]>;

/// The sums where coin i released text `chosen[i]`.
pub(crate) fn sums<const C: usize>(scores: &Scores<C>, chosen: &[usize]) -> [f64; C] {
    let mut out = [0.0; C];
    for score in scores.chosen(chosen) {
        add(&mut out, &score);
    }
    out
}

/// Tables of partial sums.
#[derive(Debug, Clone)]
pub(crate) struct Tables<const C: usize> {
    /// Groups of exactly 256 outcomes: one byte each.
    bytes: Vec<Vec<[f64; C]>>,
    /// The others, of any smaller number (one coin with more than 256 texts makes a larger one).
    others: Vec<Vec<[f64; C]>>,
}

impl<const C: usize> Tables<C> {
    pub(crate) fn of(scores: &Scores<C>) -> Self {
        let outcomes_max =
            if scores.len() > LARGE_UNITS_MIN { LARGE_OUTCOMES_MAX } else { GROUP_OUTCOMES_MAX };
        let mut out = Self { bytes: Vec::new(), others: Vec::new() };
        let mut group: Vec<[f64; C]> = vec![[0.0; C]];
        for row in scores.iter() {
            if row.iter().flatten().all(|v| *v == 0.0) {
                continue; // a coin that decides nothing
            }
            if group.len() > 1 && group.len() * row.len() > outcomes_max {
                out.close(std::mem::replace(&mut group, vec![[0.0; C]]));
            }
            group = group
                .iter()
                .flat_map(|partial| {
                    row.iter().map(|score| {
                        let mut sum = *partial;
                        add(&mut sum, score);
                        sum
                    })
                })
                .collect();
        }
        if group.len() > 1 {
            out.close(group);
        }
        out
    }

    fn close(&mut self, group: Vec<[f64; C]>) {
        if group.len() == GROUP_OUTCOMES_MAX { &mut self.bytes } else { &mut self.others }
            .push(group);
    }

    /// Sums under one fresh throw of every coin.
    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; C] {
        let mut out = [0.0; C];
        for eight in self.bytes.chunks(8) {
            let random = rng.next_u64().to_le_bytes();
            for (group, byte) in eight.iter().zip(random) {
                if let Some(score) = group.get(usize::from(byte)) {
                    add(&mut out, score);
                }
            }
        }
        for group in &self.others {
            if let Some(score) = group.get(rng.random_range(0..group.len())) {
                add(&mut out, score);
            }
        }
        out
    }

    /// Look-ups that one relabelling costs.
    pub(crate) fn n_groups(&self) -> usize {
        self.bytes.len() + self.others.len()
    }

    /// Number of joint outcomes, if at most `limit`.
    pub(crate) fn outcomes(&self, limit: usize) -> Option<usize> {
        self.groups().try_fold(1_usize, |n, g| n.checked_mul(g.len()).filter(|n| *n <= limit))
    }

    /// Calls `visit` with the sums of every joint outcome.
    pub(crate) fn enumerate(&self, visit: &mut impl FnMut([f64; C])) {
        let groups: Vec<&[[f64; C]]> = self.groups().collect();
        walk(&groups, [0.0; C], visit);
    }

    fn groups(&self) -> impl Iterator<Item = &[[f64; C]]> {
        self.bytes.iter().chain(&self.others).map(Vec::as_slice)
    }
}

fn walk<const C: usize>(
    groups: &[&[[f64; C]]],
    partial: [f64; C],
    visit: &mut impl FnMut([f64; C]),
) {
    let Some((first, rest)) = groups.split_first() else { return visit(partial) };
    for score in *first {
        let mut sum = partial;
        add(&mut sum, score);
        walk(rest, sum, visit);
    }
}

fn add<const C: usize>(sum: &mut [f64; C], score: &[f64; C]) {
    for (s, v) in sum.iter_mut().zip(score) {
        *s += v;
    }
}
