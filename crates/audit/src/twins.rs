//! The pooled twins test over given sets: p-value, effect, power.

use crate::{AuditError, AuditParams, params::POWER};
use stillwatch_evidence::Decide;
use stillwatch_stats::{
    Alpha, PValue, ScoreSet, TestParams, Unit, correct, effect, min_detectable_effect,
    min_detectable_effect_e, power_curve, twins_test,
};

/// What the fixed-n test says about given sets.
pub(crate) struct PooledTest {
    pub units: Vec<Unit>,
    pub beta: Vec<f64>,
    pub p: PValue,
    pub z: f64,
    /// Preference over scale of each unit.
    pub x: Vec<f64>,
    /// Estimate and 95% interval, standard deviations.
    pub effect: Option<(f64, [f64; 2])>,
    /// In the deciding number: p or e.
    pub min_detectable_effect: Option<f64>,
    pub power: Vec<(f64, f64)>,
}

/// Tests given sets at `alpha`.
pub(crate) fn pooled_test(
    sets: &[ScoreSet],
    alpha: Alpha,
    params: &AuditParams,
) -> Result<PooledTest, AuditError> {
    let corrected = correct(sets)?;
    let units = corrected.units;
    let test_params = TestParams { n_resamples: params.n_resamples, seed: params.seed };
    let test = twins_test(&units, &test_params);
    let detectable = match params.decide {
        Decide::P => min_detectable_effect(&units, alpha, POWER, &test_params),
        Decide::E => min_detectable_effect_e(&units, alpha, POWER, &test_params),
    };
    let power = match params.decide {
        Decide::P => power_curve(&units, alpha, &test_params),
        // The curve is the fixed-n test's; where e decides it would mislead.
        Decide::E => Vec::new(),
    };
    Ok(PooledTest {
        x: units.iter().map(|u| u.x() / u.scale()).collect(),
        effect: effect(&units).map(|e| (e.d_z.value, e.d_z.ci95)).filter(finite),
        min_detectable_effect: detectable.filter(|d| d.is_finite()),
        power,
        p: test.p_value,
        z: test.z,
        beta: corrected.beta,
        units,
    })
}

fn finite((estimate, [low, high]): &(f64, [f64; 2])) -> bool {
    estimate.is_finite() && low.is_finite() && high.is_finite()
}
