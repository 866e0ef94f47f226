//! The four sums whose jointly calibrated best is the primary statistic, and their calibration.
//!
//! Everything here is a function of unordered units. Which text was released enters only as the
//! sums that are asked about.

use crate::correction::Unit;
use crate::exact::{centred_ranks, doubled_midranks, relative_spread};
use crate::resample::{Scores, sums};

/// Number of sums.
pub(crate) const N_COMPONENTS: usize = 4;
/// Their names, in the order of the arrays.
pub(crate) const COMPONENTS: [&str; N_COMPONENTS] = ["mean", "signed_rank", "sign", "tail"];
/// Weights of the sums' p-values in their minimum; chosen by measured power over normal, t,
/// outlier and zero-laden differences at n = 40 … 600 (`examples/power_table.rs`). Signs get less
/// because, with Pratt's zeros, signed ranks cover most of what they are good for; the tail because
/// where it speaks it mostly speaks loudly.
const WEIGHTS: [f64; N_COMPONENTS] = [1.0, 1.0, 0.75, 0.75];
/// A set belongs to the tail if one of its texts is this many robust standard deviations out.
const TAIL_SD: f64 = 3.0;
/// How much more a sign weighs at the largest rank than at the smallest, as 1 + 1/this times half.
/// Breaks the ties that make a sum of signs coarse, for 25% at most.
const SIGN_SLOPE: i64 = 8;
/// The fixed-point sums of scaled scores stay below this: f64 adds integers below 2^53 exactly.
const FIXED_POINT_MAX: f64 = (1_u64 << 50) as f64;
/// Spacing of a curve's knots, in standard deviations of its sum.
const KNOT_STEP: f64 = 0.005;
/// A curve follows its sample as far as this many draws reach, and Gaussian decay beyond.
const REACHED_MIN: usize = 10;

/// Which alternative counts as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// The released text is preferred.
    Released,
    /// Either text is preferred: for references and placebos.
    Either,
}

/// The sums' scores for every text, and what standardises them.
///
/// 1. `mean`: scores over scale. 2. `signed_rank`: within-set centred ranks times the rank of the
///    set's spread (for pairs Wilcoxon's signed ranks with Pratt's zeros). 3. `sign`: within-set
///    centred ranks, slightly larger for larger spreads. 4. `tail`: scores over scale in sets
///    that stand out, 0 elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Statistic {
    pub(crate) scores: Scores<N_COMPONENTS>,
    mean: [f64; N_COMPONENTS],
    /// 1/standard deviation under relabelling; 0 where a sum is constant.
    inverse_sd: [f64; N_COMPONENTS],
    tail: Tail,
}

impl Statistic {
    /// Any order of scores within the units gives the same scores to the same texts.
    pub(crate) fn new(units: &[Unit], tail: Tail) -> Self {
        let largest =
            |u: &Unit| u.scores().iter().map(|s| (s / u.scale()).abs()).fold(0.0, f64::max);
        let total: f64 = units.iter().map(largest).sum();
        let step = if total > 0.0 && total.is_finite() { FIXED_POINT_MAX / total } else { 0.0 };
        let far = TAIL_SD * robust_sd(units);
        let spread: Vec<f64> = units.iter().map(relative_spread).collect();
        let base = SIGN_SLOPE * (i64::try_from(units.len()).unwrap_or(i64::MAX / 16) + 1);
        let mut scores = Scores::default();
        for (unit, rank) in units.iter().zip(doubled_midranks(&spread)) {
            let degrees = unit.k() as f64;
            let in_tail = largest(unit) * ((degrees + 1.0) / degrees).sqrt() > far;
            scores.push(unit.scores().iter().zip(centred_ranks(unit.scores())).map(|(s, r)| {
                // Rounding half away from zero is odd: a swap still negates.
                let fixed = (s / unit.scale() * step).round();
                [
                    fixed,
                    (r * rank) as f64,
                    (r * (base + rank)) as f64,
                    if in_tail { fixed } else { 0.0 },
                ]
            }));
        }
        let (mut mean, mut variance) = ([0.0; N_COMPONENTS], [0.0; N_COMPONENTS]);
        for row in scores.iter() {
            let size = row.len() as f64;
            for c in 0..N_COMPONENTS {
                let own = row.iter().map(|s| s[c]).sum::<f64>() / size;
                mean[c] += own;
                variance[c] += row.iter().map(|s| (s[c] - own).powi(2)).sum::<f64>() / size;
            }
        }
        let inverse_sd = variance.map(|v| if v > 0.0 { 1.0 / v.sqrt() } else { 0.0 });
        Self { scores, mean, inverse_sd, tail }
    }

    /// The sums where coin i released text `released[i]`.
    pub(crate) fn sums(&self, released: &[usize]) -> [f64; N_COMPONENTS] {
        sums(&self.scores, released)
    }

    /// Each sum in standard deviations from its mean under relabelling.
    pub(crate) fn standardised(&self, sums: &[f64; N_COMPONENTS]) -> [f64; N_COMPONENTS] {
        let mut out = [0.0; N_COMPONENTS];
        for c in 0..N_COMPONENTS {
            out[c] = (sums[c] - self.mean[c]) * self.inverse_sd[c];
        }
        out
    }

    /// [`Self::standardised`] towards the alternative: magnitudes if two-sided.
    pub(crate) fn directed(&self, sums: &[f64; N_COMPONENTS]) -> [f64; N_COMPONENTS] {
        let z = self.standardised(sums);
        match self.tail {
            Tail::Released => z,
            Tail::Either => z.map(f64::abs),
        }
    }
}

/// Turns each directed sum into −ln of its own p-value, roughly, so that they can be compared.
///
/// Made from a sample of relabellings that has nothing to do with the one under test; being a
/// fixed function then, it needn't be accurate for the joint calibration to be exact.
#[derive(Debug, Clone)]
pub(crate) struct Curves {
    curves: [Curve; N_COMPONENTS],
}

#[derive(Debug, Clone, Default)]
struct Curve {
    /// −ln(p/weight) at 0, `KNOT_STEP`, 2·`KNOT_STEP`, …
    knots: Vec<f64>,
}

impl Curves {
    /// `sample`: directed sums of relabellings.
    pub(crate) fn of(sample: &[[f64; N_COMPONENTS]]) -> Self {
        let curve = |c: usize| {
            let mut values: Vec<f64> = sample.iter().map(|s| s[c]).collect();
            values.sort_unstable_by(f64::total_cmp);
            Curve::of(&values, WEIGHTS[c])
        };
        Self { curves: std::array::from_fn(curve) }
    }

    /// The primary statistic: the best of the sums.
    pub(crate) fn best(&self, directed: &[f64; N_COMPONENTS]) -> f64 {
        self.curves.iter().zip(directed).map(|(c, z)| c.at(*z)).fold(f64::NEG_INFINITY, f64::max)
    }
}

impl Curve {
    fn of(ascending: &[f64], weight: f64) -> Self {
        let n = ascending.len();
        let mut knots = Vec::new();
        let mut below = 0;
        loop {
            let z = knots.len() as f64 * KNOT_STEP;
            while ascending.get(below).is_some_and(|v| *v < z) {
                below += 1;
            }
            let reached = n - below;
            knots.push(-((1 + reached) as f64 / (1 + n) as f64 / weight).ln());
            if reached < REACHED_MIN {
                return Self { knots };
            }
        }
    }

    fn at(&self, z: f64) -> f64 {
        let last = self.knots.len() - 1;
        let position = z / KNOT_STEP;
        if position >= last as f64 {
            let end = last as f64 * KNOT_STEP;
            return self.knots[last] + (z * z - end * end) / 2.0;
        }
        if position <= 0.0 {
            // Against the alternative: p above a half, only the order matters.
            return self.knots[0] + z;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 ≤ position < last"
        )]
        let at = position as usize;
        // The knot below counts every draw that reaches z, so that a sum of few values isn't
        // taken to be rarer than it is.
        self.knots[at]
    }
}

/// Robust standard deviation of a text's scaled score within its set: median over the sets that
/// aren't constant of their root mean squares, over that median at the normal.
fn robust_sd(units: &[Unit]) -> f64 {
    let mut ratios: Vec<f64> = units
        .iter()
        .map(|u| {
            let degrees = u.k() as f64;
            let squares: f64 = {
                let mut terms: Vec<f64> =
                    u.scores().iter().map(|s| (s / u.scale()).powi(2)).collect();
                terms.sort_unstable_by(f64::total_cmp);
                terms.iter().sum()
            };
            // Median of sqrt(χ²_K/K) by Wilson and Hilferty (1931).
            let at_normal = (1.0 - 2.0 / (9.0 * degrees)).powf(1.5);
            (squares / degrees).sqrt() / at_normal
        })
        .filter(|r| *r > 0.0)
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(0.0)
}
