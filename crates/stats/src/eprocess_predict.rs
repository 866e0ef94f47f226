//! What an e-process may know before a coin: slopes and scale, from sets without their coins.
//!
//! Everything here sees a set only as an [`Unordered`]: its texts sorted by their scores. Which
//! of them was released is not in that type, so slope, scale, weights and standardised scores
//! can't depend on it. What is done with the released text's position is `eprocess_bets`' affair.

use std::cmp::Ordering;

use crate::ScoreSet;

/// Sets that are kept to re-estimate slope and scale while few have been seen.
const KEPT_SETS: usize = 1024;
/// Standardised size above which a set weighs less in the slopes (Huber's weight).
const HUBER_WIDTH: f64 = 3.0;
/// Prior of each slope: mean 1 over the number of references, as two language models' differences
/// between texts are on one scale of nats, and this standard deviation. Measured at 20 pairs with
/// common noise ten times the rest: power .49 against .19 for a prior at 0.
const SLOPE_PRIOR_SD: f64 = 1.0;
/// Sweeps of coordinate descent per set; warm-started, so few are needed.
const SWEEPS: usize = 3;
/// Sweeps while few sets have been seen and each moves the slopes.
const EARLY_SWEEPS: usize = 20;
/// Median of |N(0, 1)|: turns a median magnitude into a standard deviation.
const MEDIAN_OF_ABS_NORMAL: f64 = 0.674_489_750_196_081_7;

/// One set, texts in an order that depends on their scores alone, each column centred.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unordered {
    /// Texts in the set, K + 1.
    n_texts: usize,
    /// Suspect, then the references, then (if asked for) minus the lengths; each `n_texts` long,
    /// centred within the set, divided by the root of the set's mean length where known.
    columns: Vec<f64>,
    order: Vec<usize>,
}

impl Unordered {
    /// Forgets the order of `set`; returns where the released text went.
    pub(crate) fn fill(&mut self, set: &ScoreSet, with_length: bool) -> usize {
        let n = set.k() + 1;
        self.n_texts = n;
        blind_order(set, &mut self.order);
        let mean_length = set.n_tokens().map_or(1.0, |lengths| {
            (self.order.iter().map(|&i| lengths[i]).sum::<f64>() / n as f64).max(1.0)
        });
        let unit = mean_length.sqrt().recip();
        self.columns.clear();
        self.push_column(set.suspect(), unit);
        for reference in set.references() {
            self.push_column(reference, unit);
        }
        if with_length {
            match set.n_tokens() {
                Some(lengths) => self.push_column(lengths, -unit),
                None => self.columns.extend(std::iter::repeat_n(0.0, n)),
            }
        }
        self.order.iter().position(|&i| i == 0).unwrap_or(0)
    }

    fn push_column(&mut self, values: &[f64], unit: f64) {
        let start = self.columns.len();
        self.columns.extend(self.order.iter().map(|&i| values[i] * unit));
        let column = &mut self.columns[start..];
        if let [a, b] = column {
            let half = 0.5 * (*a - *b);
            (*a, *b) = (half, -half);
        } else {
            let mean = column.iter().sum::<f64>() / column.len() as f64;
            for value in column {
                *value -= mean;
            }
        }
    }

    fn column(&self, index: usize) -> &[f64] {
        &self.columns[index * self.n_texts..(index + 1) * self.n_texts]
    }

    fn is_finite(&self) -> bool {
        self.columns.iter().all(|v| v.is_finite())
    }
}

/// Positions of the texts of `set` sorted by all that is known of them, coin excepted.
pub(crate) fn blind_order(set: &ScoreSet, order: &mut Vec<usize>) {
    let n = set.k() + 1;
    order.clear();
    order.extend(0..n);
    if (1..n).any(|i| compare(set, i - 1, i) == Ordering::Greater) {
        order.sort_by(|a, b| compare(set, *a, *b));
    }
}

/// Order of texts `a` and `b` of `set` by all that is known of them, coin excepted.
fn compare(set: &ScoreSet, a: usize, b: usize) -> Ordering {
    let columns = std::iter::once(set.suspect())
        .chain(set.references().iter().map(Vec::as_slice))
        .chain(set.n_tokens());
    columns
        .fold(Ordering::Equal, |known, column| known.then_with(|| column[a].total_cmp(&column[b])))
}

/// Slopes and scale from the sets so far, none of which it knows the coin of.
#[derive(Debug, Clone)]
pub(crate) struct Predictor {
    n_slopes: usize,
    slopes: Vec<f64>,
    gram: Vec<f64>,
    moments: Vec<f64>,
    magnitudes: Magnitudes,
    kept: Vec<Unordered>,
    n_seen: usize,
}

impl Predictor {
    pub(crate) fn new(n_slopes: usize) -> Self {
        Self {
            n_slopes,
            slopes: vec![(n_slopes.max(1) as f64).recip(); n_slopes],
            gram: vec![0.0; n_slopes * n_slopes],
            moments: vec![0.0; n_slopes],
            magnitudes: Magnitudes::new(),
            kept: Vec::new(),
            n_seen: 0,
        }
    }

    pub(crate) fn n_slopes(&self) -> usize {
        self.n_slopes
    }

    pub(crate) fn slopes(&self) -> &[f64] {
        &self.slopes
    }

    /// Standardised corrected scores of `set` into `z`, in its own order; all zero where they
    /// overflow. The set then counts among the earlier ones.
    ///
    /// Slopes and scale come from the earlier sets and this one, all unordered. Taking this one in
    /// keeps a far reference difference from being extrapolated to while slopes are uncertain.
    pub(crate) fn standardise(&mut self, set: &Unordered, z: &mut Vec<f64>) {
        correct_into(set, &self.slopes, z);
        if !set.is_finite() || z.iter().any(|v| !v.is_finite()) {
            z.fill(0.0);
            return;
        }
        self.n_seen += 1;
        if self.n_slopes == 0 {
            self.magnitudes.add(z);
        } else {
            self.learn(set, z);
        }
        divide(z, self.magnitudes.scale());
    }

    /// Takes the set into slopes and scale, and corrects `z` with them.
    fn learn(&mut self, set: &Unordered, z: &mut Vec<f64>) {
        if self.n_seen <= KEPT_SETS {
            self.kept.push(set.clone());
        } else {
            self.kept = Vec::new();
        }
        if is_refit_time(self.n_seen) && !self.kept.is_empty() {
            self.refit();
            correct_into(set, &self.slopes, z);
        } else {
            divide(z, self.magnitudes.scale());
            self.accumulate(set, z);
            self.solve();
            correct_into(set, &self.slopes, z);
            self.magnitudes.add(z);
        }
    }

    /// Adds one set to the normal equations, with Huber's weight.
    fn accumulate(&mut self, set: &Unordered, z: &[f64]) {
        let size = z.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let w = if size > HUBER_WIDTH { HUBER_WIDTH / size } else { 1.0 };
        for k in 0..self.n_slopes {
            let column = set.column(k + 1);
            self.moments[k] += w * dot(column, set.column(0));
            for l in 0..=k {
                let value = w * dot(column, set.column(l + 1));
                self.gram[k * self.n_slopes + l] += value;
                if l != k {
                    self.gram[l * self.n_slopes + k] += value;
                }
            }
        }
    }

    /// Non-negative ridge slopes by coordinate descent from the last ones.
    ///
    /// How far it has converged is no matter for validity: whatever comes out is a function of
    /// unordered sets.
    fn solve(&mut self) {
        let variance = self.magnitudes.scale().powi(2);
        let ridge = variance / SLOPE_PRIOR_SD.powi(2);
        let prior = ridge / self.n_slopes as f64;
        let sweeps = match (self.n_slopes, self.n_seen) {
            (1, _) => 1,
            (_, ..=KEPT_SETS) => EARLY_SWEEPS,
            _ => SWEEPS,
        };
        for _ in 0..sweeps {
            for k in 0..self.n_slopes {
                let row = &self.gram[k * self.n_slopes..(k + 1) * self.n_slopes];
                let others = dot(row, &self.slopes) - row[k] * self.slopes[k];
                let slope = (self.moments[k] - others + prior) / (row[k] + ridge);
                self.slopes[k] = if slope.is_finite() { slope.max(0.0) } else { 0.0 };
            }
        }
    }

    /// Re-estimates scale and slopes on the kept sets: the first magnitudes were taken before
    /// there was any slope.
    fn refit(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        let mut z = Vec::new();
        for _ in 0..2 {
            self.magnitudes = Magnitudes::new();
            for set in &kept {
                correct_into(set, &self.slopes, &mut z);
                self.magnitudes.add(&z);
            }
            let scale = self.magnitudes.scale();
            self.gram.fill(0.0);
            self.moments.fill(0.0);
            for set in &kept {
                correct_into(set, &self.slopes, &mut z);
                divide(&mut z, scale);
                self.accumulate(set, &z);
            }
            self.solve();
        }
        self.kept = kept;
    }
}

/// Whether slope and scale are re-estimated with `n` sets: at first each time, then at powers of
/// two and halfway between.
fn is_refit_time(n: usize) -> bool {
    n <= 24 || n.is_power_of_two() || (n.is_multiple_of(3) && (n / 3).is_power_of_two())
}

/// Corrected scores in units of a single text's noise: `√((K+1)/K) · (suspect − Σ slope · column)`.
fn correct_into(set: &Unordered, slopes: &[f64], z: &mut Vec<f64>) {
    z.clear();
    z.extend_from_slice(set.column(0));
    for (k, slope) in slopes.iter().enumerate() {
        if *slope > 0.0 {
            for (value, reference) in z.iter_mut().zip(set.column(k + 1)) {
                *value -= slope * reference;
            }
        }
    }
    let n = set.n_texts as f64;
    let unit = (n / (n - 1.0)).sqrt();
    for value in z {
        *value *= unit;
    }
}

fn divide(z: &mut [f64], scale: f64) {
    for value in z {
        *value /= scale;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Running median of non-zero magnitudes, in logarithmic buckets (eight to the octave).
#[derive(Debug, Clone)]
struct Magnitudes {
    /// Fenwick tree of counts, 1-based.
    tree: Vec<u32>,
    total: u32,
}

impl Magnitudes {
    /// Bits of mantissa that subdivide an octave.
    const SUB_BITS: u32 = 3;
    /// Buckets: 128 octaves, from 2^-64 on; what lies outside counts in the outermost.
    const BUCKETS: usize = 1024;
    /// Exponent and leading mantissa bits of 2^-64.
    const FIRST: u64 = (1023 - 64) << Self::SUB_BITS;

    fn new() -> Self {
        Self { tree: vec![0; Self::BUCKETS + 1], total: 0 }
    }

    /// Adds a set's magnitudes, zeros left out: many pairs that tie exactly say nothing of the
    /// size of those that don't. A pair has one magnitude, more texts one each.
    fn add(&mut self, z: &[f64]) {
        let z = if z.len() == 2 { &z[..1] } else { z };
        for value in z {
            if *value == 0.0 || self.total == u32::MAX {
                continue;
            }
            let key = value.abs().to_bits() >> (52 - Self::SUB_BITS);
            let bucket = key.saturating_sub(Self::FIRST).min(Self::BUCKETS as u64 - 1);
            let mut node = usize::try_from(bucket).unwrap_or(0) + 1;
            while node <= Self::BUCKETS {
                self.tree[node] += 1;
                node += node & node.wrapping_neg();
            }
            self.total += 1;
        }
    }

    /// Standard deviation that a normal with this median magnitude has; 1 before any.
    fn scale(&self) -> f64 {
        if self.total == 0 {
            return 1.0;
        }
        let target = 0.5 * f64::from(self.total);
        let mut node = 0;
        let mut below = 0;
        let mut step = Self::BUCKETS;
        while step > 0 {
            let next = node + step;
            if next <= Self::BUCKETS && f64::from(below + self.tree[next]) < target {
                node = next;
                below += self.tree[next];
            }
            step /= 2;
        }
        let edge =
            |bucket: usize| f64::from_bits((Self::FIRST + bucket as u64) << (52 - Self::SUB_BITS));
        (edge(node) * edge(node + 1)).sqrt() / MEDIAN_OF_ABS_NORMAL
    }
}
