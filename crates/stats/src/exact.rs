//! Exact tests of "released and withheld are exchangeable": sign, signed-rank, ranks within sets,
//! and a bound on the mean; one-sided towards "the released text is preferred".
//!
//! The two-sided version of each is twice the smaller one-sided p-value. Which of them decides an
//! audit is `primary`'s business: whoever takes the smallest of these cheats.

use crate::correction::Unit;
use crate::lattice;
use crate::rows::Rows;
use crate::types::PValue;
use statrs::function::gamma::ln_gamma;
use std::f64::consts::LN_2;

/// Most work (see `lattice::work`) for an exact distribution: that of signed ranks of 5,000 pairs,
/// some seconds. Work grows as n^2.5; beyond this, Chernoff's bound, which is never
/// anti-conservative.
const EXACT_WORK_MAX: f64 = 3e10;

/// What the signed-rank test does with differences of exactly 0, which carry no sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zeros {
    /// Rank them with the rest, then leave them out of the sum (Pratt 1959): the others keep
    /// large, nearly equal ranks, so many zeros bring the test close to the sign test.
    #[default]
    Pratt,
    /// Leave them out before ranking (Wilcoxon 1945).
    Drop,
}

/// Exact sign test, one-sided.
///
/// Null: each difference that isn't 0 is as likely positive as negative, independently (zeros are
/// left out). Proof: given the magnitudes, the number of positive ones is binomial with
/// probability 1/2; the tail is summed in log space.
/// An input that isn't finite gives 1.
pub fn sign_test(x: &[f64]) -> PValue {
    if !x.iter().all(|v| v.is_finite()) {
        return PValue::ONE;
    }
    let positive = x.iter().filter(|v| **v > 0.0).count();
    let negative = x.iter().filter(|v| **v < 0.0).count();
    PValue::from_ln(ln_binomial_tail(positive + negative, positive))
}

/// Exact Wilcoxon signed-rank test with mid-ranks for ties, one-sided.
///
/// Null: given the magnitudes, the signs of the differences that aren't 0 are independent fair
/// coins. Proof: the ranks are functions of the magnitudes, so the sum of signed ranks has the
/// distribution of `Σ ± R_i` with fair signs, whatever the ties (Wilcoxon 1945; conditional on the
/// mid-ranks, which twice over are integers). Exact to n = 5,000, beyond that
/// Chernoff's bound on the same sum.
/// An input that isn't finite gives 1.
pub fn signed_rank(x: &[f64], zeros: Zeros) -> PValue {
    if !x.iter().all(|v| v.is_finite()) {
        return PValue::ONE;
    }
    let ranked: Vec<f64> = match zeros {
        Zeros::Pratt => x.to_vec(),
        Zeros::Drop => x.iter().copied().filter(|v| *v != 0.0).collect(),
    };
    let magnitudes: Vec<f64> = ranked.iter().map(|v| v.abs()).collect();
    let signed: Vec<i64> = doubled_midranks(&magnitudes)
        .iter()
        .zip(&ranked)
        .filter(|(_, v)| **v != 0.0)
        .map(|(r, v)| if *v > 0.0 { *r } else { -r })
        .collect();
    let rows: Rows<i64> = signed.iter().map(|r| vec![*r, -r]).collect();
    integer_tail(&rows, &vec![0; rows.len()], EXACT_WORK_MAX)
}

/// Exact p-value of one set: the share of its texts that score at least as high as the released
/// one.
///
/// Null: the released text is a uniform draw from the set. Proof: then its rank is uniform, and
/// ties only enlarge the share.
pub fn exact_rank(unit: &Unit) -> PValue {
    let released = unit.scores().first().copied().unwrap_or(0.0);
    let reached = unit.scores().iter().filter(|s| **s >= released).count();
    PValue::new(reached as f64 / unit.scores().len() as f64)
}

/// Sum of the released texts' mid-ranks within their sets, exact, one-sided. For K = 1 this is
/// the sign test.
///
/// Null: each set's released text is a uniform draw from the set, independently. Proof: given the
/// unordered sets, each mid-rank is a uniform draw from a known list; the sum's distribution is
/// their convolution. Beyond some 10^5 sets of K > 1, Chernoff's bound.
pub fn rank_sum(units: &[Unit]) -> PValue {
    let rows: Rows<i64> = units.iter().map(|u| centred_ranks(u.scores())).collect();
    integer_tail(&rows, &vec![0; rows.len()], EXACT_WORK_MAX)
}

/// Quade's statistic: within-set ranks weighted by the rank of the set's spread over its scale,
/// exact, one-sided. For K = 1 this is the signed-rank test with Pratt's zeros.
///
/// Null: each set's released text is a uniform draw from the set, independently. Proof: the
/// weights are functions of the unordered sets (Quade 1979), so the sum is one draw from each of
/// n known lists of integers. Exact to 5,000 pairs or 1,500 sets of K = 8, beyond that Chernoff's
/// bound.
pub fn quade(units: &[Unit]) -> PValue {
    let rows = quade_scores(units);
    integer_tail(&rows, &vec![0; rows.len()], EXACT_WORK_MAX)
}

/// Chernoff's bound on the sum of scaled scores of the released texts, one-sided: for pairs
/// `min_t e^{−tS} Π cosh(t·x_i)`.
///
/// Null: each set's released text is a uniform draw from the set, independently. Proof: Markov's
/// inequality on `e^{tS}`, whose expectation given the unordered sets is the product. Not exact
/// but never too small, and it needs no normal limit and no resampling.
pub fn chernoff(units: &[Unit]) -> PValue {
    PValue::from_ln(scaled_scores(units).chernoff_ln(&vec![0; units.len()]))
}

/// ln P(X ≥ k) for X binomial(n, 1/2), never below the truth by more than rounding.
///
/// The term at k by ln Γ, the rest by their ratios, all positive.
pub(crate) fn ln_binomial_tail(n: usize, k: usize) -> f64 {
    if k == 0 || n == 0 {
        return 0.0;
    }
    let (total, at) = (n as f64, k as f64);
    let rounding = 8.0 * f64::EPSILON * (1.0 + ln_gamma(total + 1.0).abs());
    if 2 * k <= n {
        // Below the middle: one minus the (smaller or equal) mirrored tail, P(X ≥ n − k + 1).
        let mirrored = ln_binomial_tail(n, n - k + 1).exp();
        return ((-mirrored).ln_1p() + 2.0 * rounding).min(0.0);
    }
    let ln_choose = ln_gamma(total + 1.0) - ln_gamma(at + 1.0) - ln_gamma(total - at + 1.0);
    let (mut term, mut sum) = (1.0, 1.0);
    for j in k..n {
        term *= (n - j) as f64 / (j + 1) as f64;
        sum += term;
        if term < 1e-18 * sum {
            break;
        }
    }
    (ln_choose - total * LN_2 + f64::ln(sum) + rounding).min(0.0)
}

/// P(sum ≥ that of the `chosen` texts): exact where that takes at most `work_max`, and for pairs
/// of ±1 at any number; Chernoff's bound beyond.
pub(crate) fn integer_tail(rows: &Rows<i64>, chosen: &[usize], work_max: f64) -> PValue {
    let signs = || rows.iter().all(|r| matches!(r, [-1, 1] | [1, -1] | [0, 0]));
    if lattice::work(rows) <= work_max || signs() {
        return PValue::from_ln(lattice::tail_ln(rows, rows.chosen(chosen).sum()));
    }
    PValue::from_ln(rows.map(|v| *v as f64).chernoff_ln(chosen))
}

/// Scores over scale.
pub(crate) fn scaled_scores(units: &[Unit]) -> Rows<f64> {
    let mut rows = Rows::default();
    for unit in units {
        rows.push(unit.scores().iter().map(|s| s / unit.scale()));
    }
    rows
}

/// Twice the within-set mid-ranks, centred at 0: K + 2 less than twice each rank from 1 to K + 1.
pub(crate) fn centred_ranks(scores: &[f64]) -> Vec<i64> {
    if let [a, b] = scores {
        let order = i64::from(a > b) - i64::from(a < b);
        return vec![order, -order];
    }
    let centre = i64::try_from(scores.len()).unwrap_or(i64::MAX - 1) + 1;
    doubled_midranks(scores).iter().map(|r| r - centre).collect()
}

/// Within-set centred ranks times twice the mid-rank of the set's spread over its scale.
pub(crate) fn quade_scores(units: &[Unit]) -> Rows<i64> {
    let spread: Vec<f64> = units.iter().map(relative_spread).collect();
    units
        .iter()
        .zip(doubled_midranks(&spread))
        .map(|(u, q)| centred_ranks(u.scores()).iter().map(|r| r * q).collect())
        .collect()
}

pub(crate) fn relative_spread(unit: &Unit) -> f64 {
    let high = unit.scores().iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = unit.scores().iter().copied().fold(f64::INFINITY, f64::min);
    (high - low) / unit.scale()
}

/// Twice the mid-rank of each value, 2 for the smallest of distinct ones; equal values share the
/// mean of their ranks.
pub(crate) fn doubled_midranks(values: &[f64]) -> Vec<i64> {
    let mut order: Vec<(f64, usize)> = values.iter().copied().zip(0..).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0; values.len()];
    let mut from = 0;
    // -0.0 sorts before 0.0 but equals it, so runs are found by comparison.
    for run in order.chunk_by(|a, b| a.0 >= b.0) {
        // Ranks from+1 ..= from+run: twice their mean is 2·from + run + 1.
        let doubled = i64::try_from(2 * from + run.len() + 1).unwrap_or(i64::MAX);
        for (_, i) in run {
            ranks[*i] = doubled;
        }
        from += run.len();
    }
    ranks
}
