//! The resampled test of one sum, for comparison with the primary statistic.
//!
//! It decides nothing in an audit; `primary` calibrates several sums jointly.

use crate::correction::Unit;
use crate::primary::{CALIBRATION_STREAM, Tail, TestParams, split};
use crate::resample::Tables;
use crate::statistic::Statistic;
use crate::types::PValue;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Resampled test of the mean scaled score of the released texts (for pairs: sign flips),
/// one-sided, `(1 + b)/(1 + B)`.
///
/// Null: given the unordered sets, each set's released text is a uniform draw from its set,
/// independently of the others. Proof: the observed outcome and the B drawn ones are exchangeable
/// (Phipson and Smyth 2010); sums are exact in fixed point, so ties count.
pub fn permuted_mean(units: &[Unit], params: &TestParams) -> PValue {
    let (unordered, orientation) = split(units);
    let statistic = Statistic::new(unordered.sorted(), Tail::Released);
    let tables = Tables::of(&statistic.scores);
    let [observed, ..] = statistic.sums(orientation.released());
    let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
    rng.set_stream(CALIBRATION_STREAM);
    let reached = (0..params.n_resamples).filter(|_| tables.draw(&mut rng)[0] >= observed).count();
    PValue::new((1 + reached) as f64 / (1.0 + f64::from(params.n_resamples)))
}
