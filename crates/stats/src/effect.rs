//! How large the preference for the released texts is, with confidence intervals.
//!
//! Effects describe; they decide nothing. Exactness lives in the tests, these intervals are
//! approximate.

use crate::correction::Unit;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Probability below the upper end of a 95% interval.
const UPPER: f64 = 0.975;

/// A number and its approximate 95% confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Lower and upper end.
    pub ci95: [f64; 2],
}

/// Size of the preference for the released texts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Cohen's `d_z`: mean of `x` over its standard deviation, per unit.
    pub d_z: Estimate,
    /// Mean of `x`, nats per unit.
    pub nats: Estimate,
}

/// Mean of [`Unit::x`] in nats and in standard deviations (Cohen 1988, `d_z`).
///
/// The interval in nats is Student's. That of `d_z` has the delta method's variance
/// `(1 − d·skewness + d²·(kurtosis − 1)/4)/n`, which doesn't assume normal differences; both rest
/// on a normal limit. `None` for fewer than three units or where all `x` are equal.
pub fn effect(units: &[Unit]) -> Option<Effect> {
    if units.len() < 3 {
        return None;
    }
    let n = units.len() as f64;
    let x: Vec<f64> = units.iter().map(Unit::x).collect();
    let mean = x.iter().sum::<f64>() / n;
    let moment = |power: i32| x.iter().map(|v| (v - mean).powi(power)).sum::<f64>() / n;
    let variance = moment(2);
    let sd = (variance * n / (n - 1.0)).sqrt();
    // Equal differences leave a spread that is rounding alone: then there is no unit.
    if !(sd > mean.abs() * f64::EPSILON * n && sd > 0.0 && sd.is_finite() && mean.is_finite()) {
        return None;
    }
    let t = StudentsT::new(0.0, 1.0, n - 1.0).ok()?.inverse_cdf(UPPER);
    let d = mean / sd;
    let (skewness, kurtosis) = (moment(3) / variance.powf(1.5), moment(4) / variance.powi(2));
    // Pearson's inequality keeps this at or above (1 − d·skewness/2)², so never negative.
    let spread = ((1.0 - d * skewness + d * d * (kurtosis - 1.0) / 4.0).max(0.0) / n).sqrt();
    let around = |value: f64, half: f64| Estimate { value, ci95: [value - half, value + half] };
    let found = Effect { d_z: around(d, t * spread), nats: around(mean, t * sd / n.sqrt()) };
    let finite = [found.d_z, found.nats]
        .iter()
        .all(|e| e.value.is_finite() && e.ci95.iter().all(|v| v.is_finite()));
    finite.then_some(found)
}
