//! The pooled twins test over given sets: p-value, effect, power.

use crate::{
    AuditError, AuditParams,
    params::{POWER, PowerAnalysis, Stopping},
};
use stillwatch_evidence::Decide;
use stillwatch_stats::{
    Alpha, EStop, PValue, ScoreSet, TestParams, Unit, correct, effect,
    min_detectable_effect_against, min_detectable_effect_e_against, power_curve_against,
    twins_test,
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
    /// In the deciding number, p or e; of the deciding run only.
    pub min_detectable_effect: Option<f64>,
}

/// Tests given sets.
pub(crate) fn pooled_test(
    sets: &[ScoreSet],
    params: &AuditParams,
) -> Result<PooledTest, AuditError> {
    let corrected = correct(sets)?;
    let units = corrected.units;
    let test = twins_test(&units, &test_params(params));
    Ok(PooledTest {
        x: units.iter().map(|u| u.x() / u.scale()).collect(),
        effect: effect(&units).map(|e| (e.d_z.value, e.d_z.ci95)).filter(finite),
        min_detectable_effect: None,
        p: test.p_value,
        z: test.z,
        beta: corrected.beta,
        units,
    })
}

/// Smallest effect that the deciding number finds at `alpha` with power [`POWER`]; takes a
/// simulation of about a second. The first `n_adverse` of the sets, and so of the units, are
/// adverse whatever the effect; slopes are learnt along the way where e decides.
pub(crate) fn detectable(
    n_adverse: usize,
    (sets, units): (&[ScoreSet], &[Unit]),
    alpha: Alpha,
    params: &AuditParams,
) -> Option<f64> {
    let effect = match (params.power_analysis, params.decide) {
        (PowerAnalysis::Skip, _) => None,
        (PowerAnalysis::Full, Decide::P) => {
            min_detectable_effect_against(n_adverse, units, alpha, POWER, &test_params(params))
        }
        (PowerAnalysis::Full, Decide::E) => {
            let stop = match params.stopping {
                Stopping::AtEvidence => EStop::AtThreshold,
                Stopping::AtEnd => EStop::AtEnd,
            };
            let (adverse, sets) = sets.split_at_checked(n_adverse)?;
            let units = units.get(n_adverse..)?;
            let test = test_params(params);
            min_detectable_effect_e_against(adverse, sets, units, alpha, POWER, stop, &test)
        }
    };
    effect.filter(|d| d.is_finite())
}

/// The fixed-n test's power curve, for the report; none where e decides, which it would mislead
/// about.
pub(crate) fn curve(
    n_adverse: usize,
    units: &[Unit],
    alpha: Alpha,
    params: &AuditParams,
) -> Vec<(f64, f64)> {
    match (params.power_analysis, params.decide) {
        (PowerAnalysis::Full, Decide::P) => {
            monotone(power_curve_against(n_adverse, units, alpha, &test_params(params)))
        }
        _ => Vec::new(),
    }
}

/// The nearest non-decreasing curve (pool adjacent violators): power rises with the effect, and
/// what falls is noise of the simulation.
fn monotone(curve: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (_, power) in &curve {
        let mut block = (*power, 1);
        while let Some(before) = blocks.pop_if(|before| before.0 > block.0) {
            let n = before.1 + block.1;
            let total = before.0 * before.1 as f64 + block.0 * block.1 as f64;
            block = (total / n as f64, n);
        }
        blocks.push(block);
    }
    let powers = blocks.into_iter().flat_map(|(power, n)| std::iter::repeat_n(power, n));
    curve.into_iter().zip(powers).map(|((effect, _), power)| (effect, power)).collect()
}

/// How the statistics resample.
pub(crate) fn test_params(params: &AuditParams) -> TestParams {
    TestParams { n_resamples: params.n_resamples, seed: params.seed }
}

fn finite((estimate, [low, high]): &(f64, [f64; 2])) -> bool {
    estimate.is_finite() && low.is_finite() && high.is_finite()
}
