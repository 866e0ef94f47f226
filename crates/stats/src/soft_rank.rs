//! E-values of permutation tests.
//!
//! Unlike a permutation's p-value they may be averaged over dependent tests, which is what scans
//! of logs do: families of evidence and weeks of one account depend on each other.

use crate::EValue;

/// Tilt of [`soft_rank_e`] for standardised statistics: an outcome 3 standard deviations out gets
/// about e^(3·3 − 4.5) = 90, one 5 out e^10.5, as far as the number of permutations allows.
pub const SOFT_RANK_TILT: f64 = 3.0;

/// Soft-rank e-value of an observed statistic among permuted ones:
/// `(B + 1) · exp(t · S_0) / Σ_{b = 0..B} exp(t · S_b)`, all `S` standardised by the mean and the
/// standard deviation of the B + 1 values together; `t` is [`SOFT_RANK_TILT`].
///
/// An e-value under the null that the observed value and the B permuted ones are exchangeable.
/// Proof: mean, deviation and sum are symmetric in the B + 1 values, so by exchangeability each of
/// the B + 1 terms `exp(t S_b) / Σ exp(t S_b)` has the same expectation; they add up to 1, hence
/// each has expectation 1 / (B + 1). (Koning 2023, arXiv:2310.01153; Ramdas and Wang 2025,
/// arXiv:2410.23614, on soft-rank e-values.) At most B + 1; exactly 1 where all values agree or
/// one of them isn't finite.
pub fn soft_rank_e(observed: f64, permuted: &[f64]) -> EValue {
    let n = (permuted.len() + 1) as f64;
    let all = || permuted.iter().copied().chain([observed]);
    let mean = all().sum::<f64>() / n;
    let variance = all().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
    if !variance.is_finite() || variance <= 1e-18 * (1.0 + mean * mean) {
        return EValue::ONE;
    }
    let tilt = SOFT_RANK_TILT / variance.sqrt();
    let top = all().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = all().map(|s| (tilt * (s - top)).exp()).sum();
    EValue::from_ln(n.ln() + tilt * (observed - top) - sum.ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_terms_of_all_outcomes_add_up() {
        // By definition the e-values of the B + 1 outcomes, each in turn observed, average 1.
        let values = [0.3, -1.0, 2.5, 2.5, 0.0, 9.0];
        let mean = (0..values.len())
            .map(|i| {
                let mut rest = values.to_vec();
                let observed = rest.remove(i);
                soft_rank_e(observed, &rest).value()
            })
            .sum::<f64>()
            / values.len() as f64;
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn odd_input_is_no_evidence() {
        for (observed, permuted) in [
            (1.0, vec![]),
            (2.0, vec![2.0, 2.0]),
            (f64::NAN, vec![1.0, 2.0]),
            (f64::INFINITY, vec![1.0, 2.0]),
            (1.0, vec![f64::NAN, 0.0]),
        ] {
            assert!((soft_rank_e(observed, &permuted).value() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn its_mean_under_the_null_is_at_most_one() {
        // Heavy tails and ties, 40,000 repetitions; the mean's standard error is measured.
        let mut rng = ChaCha8Rng::seed_from_u64(41);
        let n = 40_000;
        let e: Vec<f64> = (0..n)
            .map(|_| {
                let mut draw = || (1.0 / rng.random_range(0.001..1.0f64)).floor();
                let observed = draw();
                let permuted: Vec<f64> = (0..60).map(|_| draw()).collect();
                soft_rank_e(observed, &permuted).value()
            })
            .collect();
        let mean = e.iter().sum::<f64>() / f64::from(n);
        let sd = (e.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / f64::from(n)).sqrt();
        assert!(mean <= 1.0 + 3.0 * sd / f64::from(n).sqrt(), "{mean}");
    }

    #[test]
    fn far_out_is_strong_and_bounded() {
        let permuted: Vec<f64> = (0..999).map(|i| f64::from(i % 10)).collect();
        let e = soft_rank_e(60.0, &permuted).value();
        assert!(e > 900.0 && e <= 1_000.0 + 1e-9, "{e}");
    }
}
