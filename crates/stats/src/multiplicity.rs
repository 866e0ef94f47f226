//! Many questions at once: family-wise error, false discovery rate, and merging.
//!
//! Naming accounts or teachers accuses someone, so it takes family-wise control: [`holm`] on
//! p-values, [`e_holm`] on e-values. [`e_bh`] controls the false discovery *rate* only and is for
//! lists that carry that label. [`simes`] merges independent p-values, [`mean_e`] e-values that
//! depend on each other in any way, [`product_e`] e-values of independent data. What the
//! p- and e-values themselves assume is said where they are made.

use crate::{Alpha, EValue, PValue, StatsError};

/// Holm's step-down p-values: the smallest family-wise level at which each hypothesis falls.
///
/// In the order of the input. `adjusted_(i) = max_{j ≤ i} min(1, (m − j + 1) · p_(j))`, the
/// closed test whose local tests are Bonferroni's (Holm 1979, Scand. J. Stat. 6:65–70), so it
/// is valid under any dependence between the p-values.
pub fn holm_adjusted(p: &[PValue]) -> Vec<PValue> {
    let order = ascending(p.iter().map(|p| p.ln()));
    let mut adjusted = vec![PValue::ONE; p.len()];
    let mut running = f64::NEG_INFINITY;
    for (rank, &index) in order.iter().enumerate() {
        let left = (p.len() - rank) as f64;
        running = running.max(p[index].ln() + left.ln());
        adjusted[index] = PValue::from_ln(running);
    }
    adjusted
}

/// Which hypotheses Holm's procedure rejects at family-wise error `alpha`.
///
/// Valid under any dependence; see [`holm_adjusted`].
pub fn holm(p: &[PValue], alpha: Alpha) -> Vec<bool> {
    holm_adjusted(p).iter().map(|p| p.ln() <= alpha.ln()).collect()
}

/// E-values after closed testing over means, in the order of the input.
///
/// The adjusted e-value of hypothesis k is the smallest arithmetic mean over all sets S of
/// hypotheses that contain k. The mean of e-values is an e-value for the intersection of their
/// nulls however they depend on each other, so `P(some true null has adjusted ≥ 1/α) ≤ α` by
/// Markov's inequality on the mean over the true nulls (Vovk and Wang 2021, Ann. Stat. 49:1736,
/// Algorithm 1). Valid too at any common stopping time of e-processes in one filtration.
pub fn e_holm_adjusted(e: &[EValue]) -> Vec<EValue> {
    let order = ascending(e.iter().map(|e| e.ln()));
    // prefix[i] = ln of the sum of the i smallest.
    let mut prefix = Vec::with_capacity(e.len() + 1);
    prefix.push(f64::NEG_INFINITY);
    for &index in &order {
        let last = prefix.last().copied().unwrap_or(f64::NEG_INFINITY);
        prefix.push(ln_add(last, e[index].ln()));
    }
    let mut adjusted = vec![EValue::ONE; e.len()];
    // Taking one more of the smallest lowers the mean as long as it is below the mean, so the
    // best count never falls as k grows: one pass of two pointers.
    let mut count = 0;
    for (rank, &index) in order.iter().enumerate() {
        let mean = |count: usize| ln_add(e[index].ln(), prefix[count]) - ((count + 1) as f64).ln();
        while count < rank && mean(count + 1) <= mean(count) {
            count += 1;
        }
        adjusted[index] = EValue::from_ln(mean(count));
    }
    adjusted
}

/// Which hypotheses fall at family-wise error `alpha` by closed testing over means of e-values.
///
/// Valid under any dependence; see [`e_holm_adjusted`].
pub fn e_holm(e: &[EValue], alpha: Alpha) -> Vec<bool> {
    e_holm_adjusted(e).iter().map(|e| e.ln() >= -alpha.ln()).collect()
}

/// Which hypotheses e-BH rejects at **false discovery rate** `fdr`: not family-wise.
///
/// Rejects the k* largest, `k* = max{k : k · e_(k) / m ≥ 1/fdr}`; the expected share of false
/// ones among those rejected is at most `fdr` under any dependence (Wang and Ramdas 2022,
/// J. R. Stat. Soc. B 84:822). A single name on such a list is not established at `fdr`.
pub fn e_bh(e: &[EValue], fdr: Alpha) -> Vec<bool> {
    let m = (e.len() as f64).ln();
    let shares: Vec<EValue> = e.iter().map(|e| EValue::from_ln(e.ln() - m)).collect();
    e_bh_compound(&shares, fdr)
}

/// e-BH on values that are e-values only together: rejects the k* largest,
/// `k* = max{k : k · s_(k) ≥ 1/fdr}`.
///
/// The false discovery rate is at most `fdr` if the expected sum of the true nulls' shares `s` is
/// at most 1, under any dependence. Proof: what is rejected has `1 ≤ fdr · k* · s`, so the false
/// ones' number over k* is at most `fdr · Σ s` over the true nulls (Ignatiadis, Wang and Ramdas
/// 2024, arXiv:2409.19812). Used where the *number* of hypotheses is itself random: two halves of
/// a log test each other's discoveries, and each half's e-values are divided by twice the number
/// of that half's discoveries, which is fixed given the half that made them.
pub fn e_bh_compound(shares: &[EValue], fdr: Alpha) -> Vec<bool> {
    let mut order = ascending(shares.iter().map(|e| e.ln()));
    order.reverse();
    let enough = |rank: usize| shares[order[rank]].ln() + ((rank + 1) as f64).ln() >= -fdr.ln();
    let count = (0..shares.len()).rev().find(|&rank| enough(rank)).map_or(0, |rank| rank + 1);
    let mut rejected = vec![false; shares.len()];
    for &index in &order[..count] {
        rejected[index] = true;
    }
    rejected
}

/// Simes' p-value for the intersection of all nulls: `min_i m · p_(i) / i`.
///
/// Valid for independent p-values (and positively dependent ones in the sense of Benjamini and
/// Yekutieli 2001); not under arbitrary dependence. Simes 1986, Biometrika 73:751. Of no
/// p-values: 1.
pub fn simes(p: &[PValue]) -> PValue {
    let m = (p.len() as f64).ln();
    ascending(p.iter().map(|p| p.ln()))
        .iter()
        .enumerate()
        .map(|(rank, &index)| PValue::from_ln(p[index].ln() + m - ((rank + 1) as f64).ln()))
        .fold(PValue::ONE, |best, p| if p.ln() < best.ln() { p } else { best })
}

/// Bonferroni's p-value for the intersection of all nulls: `m · min p`, under any dependence.
///
/// Of no p-values: 1.
pub fn bonferroni(p: &[PValue]) -> PValue {
    let least = p.iter().map(|p| p.ln()).fold(0.0, f64::min);
    if p.is_empty() { PValue::ONE } else { PValue::from_ln(least + (p.len() as f64).ln()) }
}

/// Arithmetic mean: an e-value for the intersection of the nulls, however the values depend on
/// each other (expectation is linear). Of no e-values: 1.
pub fn mean_e(e: &[EValue]) -> EValue {
    if e.is_empty() {
        return EValue::ONE;
    }
    EValue::from_ln(ln_sum(e.iter().map(|e| e.ln())) - (e.len() as f64).ln())
}

/// Weighted mean of e-values, under any dependence; the weights are fixed beforehand.
///
/// # Errors
/// [`StatsError::Shape`] if lengths differ, a weight is negative or not finite, or all are 0.
pub fn weighted_mean_e(e: &[EValue], weights: &[f64]) -> Result<EValue, StatsError> {
    let total: f64 = weights.iter().sum();
    let fine = weights.iter().all(|w| w.is_finite() && *w >= 0.0) && total > 0.0;
    if e.len() != weights.len() || !fine || !total.is_finite() {
        return Err(StatsError::Shape(format!(
            "a weighted mean of {} e-values needs as many weights, none negative, some positive",
            e.len()
        )));
    }
    let terms = e
        .iter()
        .zip(weights)
        .map(|(e, w)| if *w > 0.0 { e.ln() + w.ln() } else { f64::NEG_INFINITY });
    Ok(EValue::from_ln(ln_sum(terms) - total.ln()))
}

/// Product: an e-value for the intersection of the nulls **if** the values come from independent
/// data, or if each has expectation at most 1 given the ones before it. Of no e-values: 1.
pub fn product_e(e: &[EValue]) -> EValue {
    // An e-value of 0 settles the product, even against an infinite one.
    if e.iter().any(|e| e.ln() == f64::NEG_INFINITY) {
        return EValue::from_ln(f64::NEG_INFINITY);
    }
    EValue::from_ln(e.iter().map(|e| e.ln()).sum())
}

/// Indices in ascending order of value; ties keep the order of the input.
fn ascending(values: impl Iterator<Item = f64>) -> Vec<usize> {
    let mut keyed: Vec<(f64, usize)> = values.zip(0..).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, index)| index).collect()
}

/// `ln(exp(a) + exp(b))` without overflow.
pub(crate) fn ln_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY || high == f64::INFINITY {
        return high;
    }
    high + (low - high).exp().ln_1p()
}

/// `ln Σ exp(v)` without overflow; negative infinity of nothing.
pub(crate) fn ln_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let high = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if high.is_infinite() {
        return high;
    }
    high + values.map(|v| (v - high).exp()).sum::<f64>().ln()
}
