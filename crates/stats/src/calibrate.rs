//! From a p-value to an e-value, so that fixed-n tests can be averaged with e-processes.
//!
//! The other way round is Markov's inequality, [`p_from_e`].

use crate::{EValue, PValue};

/// Below this `−ln p` the closed form loses digits and the power series takes over.
const SERIES_BELOW: f64 = 0.5;
/// Terms of the series: the first one left out is below `0.5^18 / 20!`, far under rounding.
const SERIES_TERMS: u32 = 18;

/// The e-value `e(p) = (1 − p + p ln p) / (p ln² p)` of a p-value.
///
/// An e-value under the same null as the p-value: it is the mixture `∫₀¹ κ p^{κ−1} dκ`, each
/// `κ p^{κ−1}` decreases in p and integrates to 1, so the expectation is 1 for a uniform p and at
/// most 1 for a super-uniform one (Vovk and Wang 2021, Ann. Stat. 49:1736, eq. 2; Shafer et al.
/// 2011). With `L = −ln p` it is `(exp(L) − 1 − L) / L²`, which is how it is computed: by series
/// near p = 1 (where it is ½), in logarithms near p = 0.
pub fn calibrate(p: PValue) -> EValue {
    let l = -p.ln();
    if l < SERIES_BELOW {
        // Σ_{k ≥ 0} L^k / (k + 2)!
        let mut term = 0.5;
        let mut sum = 0.0;
        for k in 0..SERIES_TERMS {
            sum += term;
            term *= l / f64::from(k + 3);
        }
        return EValue::from_ln(sum.ln());
    }
    if l == f64::INFINITY {
        return EValue::from_ln(f64::INFINITY);
    }
    EValue::from_ln(l + (-(1.0 + l) * (-l).exp()).ln_1p() - 2.0 * l.ln())
}

/// The p-value `min(1, 1/e)` of an e-value, by Markov's inequality.
///
/// For the running maximum of an e-process it is valid too (Ville's inequality).
pub fn p_from_e(e: EValue) -> PValue {
    PValue::from_ln(-e.ln())
}
