//! Conformal rank of one score among exchangeable ones.
//!
//! A rank on logs that may themselves be contaminated, or on groups chosen from the same data,
//! is a score and no p-value; whoever calls this must know which of the two it is.

use crate::PValue;

/// `(1 + #{calibration ≥ score}) / (n + 1)`: how unusual a large `score` is.
///
/// A p-value under the null that `score` and the `calibration` scores are exchangeable: then the
/// rank of `score` among the n + 1 is uniform if there are no ties, and counting every tie
/// against it can only raise the p-value (Vovk, Gammerman and Shafer 2005, ch. 2). No
/// randomisation, so no seed. NaN among the calibration scores counts as larger; a NaN score has
/// p = 1.
pub fn conformal_rank(calibration: &[f64], score: f64) -> PValue {
    if score.is_nan() {
        return PValue::ONE;
    }
    let at_least = calibration.iter().filter(|c| c.is_nan() || **c >= score).count();
    PValue::new((1 + at_least) as f64 / (calibration.len() + 1) as f64)
}
