//! What the twins test would have seen on these units, without their coins.
//!
//! The observed sets are relabelled at random (so only unordered sets enter) and the released
//! text's score is raised in every set by `d` standard deviations of x; a share of the repetitions
//! passes. A simulation with normal error bars, not a guarantee: good to about 5% of the effect.

use crate::closed_form::ClosedForm;
use crate::correction::Unit;
use crate::primary::{
    ENUMERATED_OUTCOMES_MAX, RESAMPLED_SHARE, Tail, TestParams, UnorderedUnits, split,
};
use crate::resample::Tables;
use crate::statistic::{Curves, N_COMPONENTS, Statistic};
use crate::types::{Alpha, PValue};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal};

/// Simulated audits for each effect: standard error of a power of .8 is 2.3%.
const REPETITIONS: u32 = 300;
/// Beyond this many units a thinned sample stands for all, and effects shrink by the root of the
/// ratio.
const UNITS_MAX: usize = 2_000;
/// Effects beyond this are not looked for, standard deviations of x.
const EFFECT_MAX: f64 = 40.0;
/// Halvings of the bracket [d, 1.5 d].
const HALVINGS: usize = 5;
/// Relabellings reaching the critical value that a level is judged by.
const REACHED: f64 = 10.0;
/// Most relabellings to find a critical value with.
const RESAMPLES_MAX: f64 = 40_000.0;
/// Fewest, for each sample.
const RESAMPLES_MIN: f64 = 500.0;
/// Shifted samples whose null distributions are pooled to find the critical value.
const POOLED: u32 = 4;
/// Effects of a power curve, in units of the least detectable effect of a z-test.
const CURVE: [f64; 9] = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0];
/// The power at which the z-test's effect is taken.
const CURVE_POWER: f64 = 0.8;

/// Smallest shift that the twins test at `alpha` finds with probability `power`, in standard
/// deviations of x (Cohen's `d_z`); `None` if no shift would do with so few units.
///
/// A function of the unordered units, `alpha`, `power` and the seed: coin-blind.
pub fn min_detectable_effect(
    units: &[Unit],
    alpha: Alpha,
    power: f64,
    params: &TestParams,
) -> Option<f64> {
    min_detectable_effect_against(0, units, alpha, power, params)
}

/// As [`min_detectable_effect`], where the first `n_adverse` units stand for evidence that was
/// withheld: whatever the effect, their least preferred text counts as released. The unit of the
/// answer is that of the other units.
pub fn min_detectable_effect_against(
    n_adverse: usize,
    units: &[Unit],
    alpha: Alpha,
    power: f64,
    params: &TestParams,
) -> Option<f64> {
    let bench = Bench::new(n_adverse, units, alpha, params)?;
    let reaches = |effect: f64| bench.power(effect) >= power;
    let mut high = bench.z_test_effect(power.clamp(0.05, 0.99)) / 2.0;
    while !reaches(high) {
        high *= 1.5;
        if high > EFFECT_MAX {
            return None;
        }
    }
    let mut low = high / 1.5;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if reaches(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high * bench.thinning)
}

/// Power of the twins test at `alpha` against shifts: (standard deviations of x, probability).
///
/// Empty without units or where every set is constant. Coin-blind as
/// [`min_detectable_effect`] is.
pub fn power_curve(units: &[Unit], alpha: Alpha, params: &TestParams) -> Vec<(f64, f64)> {
    power_curve_against(0, units, alpha, params)
}

/// As [`power_curve`], the first `n_adverse` units being adverse whatever the effect; see
/// [`min_detectable_effect_against`].
pub fn power_curve_against(
    n_adverse: usize,
    units: &[Unit],
    alpha: Alpha,
    params: &TestParams,
) -> Vec<(f64, f64)> {
    let Some(bench) = Bench::new(n_adverse, units, alpha, params) else { return Vec::new() };
    let unit = bench.z_test_effect(CURVE_POWER);
    CURVE.iter().map(|c| (c * unit * bench.thinning, bench.power(c * unit))).collect()
}

/// Fewest sets of K + 1 texts on which any exact test can reach `alpha`: ⌈log_{K+1}(1/alpha)⌉.
pub fn pairs_needed(alpha: Alpha, k: usize) -> usize {
    let mut n = 0;
    let mut least = 1.0;
    let texts = (k.max(1) + 1) as f64;
    // A bit of slack: 1/texts^n is exact for powers of two only.
    while least > alpha.value() * (1.0 + 1e-12) {
        least /= texts;
        n += 1;
    }
    n
}

/// Simulated audits on one set of unordered units.
struct Bench {
    units: UnorderedUnits,
    /// So many of the first units are adverse whatever the effect.
    n_adverse: usize,
    /// ln of the number of joint outcomes of the coins.
    ln_outcomes: f64,
    /// Root mean square of x over relabellings, nats.
    sd: f64,
    alpha: Alpha,
    params: TestParams,
    /// Factor on effects that accounts for units left out.
    thinning: f64,
}

impl Bench {
    fn new(n_adverse: usize, units: &[Unit], alpha: Alpha, params: &TestParams) -> Option<Self> {
        let step = units.len().div_ceil(UNITS_MAX).max(1);
        let thinned: Vec<Unit> = units.iter().step_by(step).cloned().collect();
        let (unordered, _) = split(&thinned);
        // Every step-th unit from the first on.
        let n_adverse = n_adverse.div_ceil(step).min(thinned.len());
        let squares = unordered.sorted().iter().skip(n_adverse).map(|u| {
            let mean = u.scores().iter().map(|s| s * s).sum::<f64>() / u.scores().len() as f64;
            mean * (1.0 + 1.0 / u.k() as f64).powi(2)
        });
        let sd = (squares.sum::<f64>() / (thinned.len() - n_adverse) as f64).sqrt();
        let thinning = (thinned.len() as f64 / units.len() as f64).sqrt();
        let ln_outcomes = unordered.sorted().iter().map(|u| (u.scores().len() as f64).ln()).sum();
        (sd > 0.0 && sd.is_finite()).then_some(Self {
            units: unordered,
            n_adverse,
            ln_outcomes,
            sd,
            alpha,
            params: *params,
            thinning,
        })
    }

    /// Effect at which a z-test on the mean has this power: where to start looking.
    fn z_test_effect(&self, power: f64) -> f64 {
        let quantile = |p: f64| Normal::standard().inverse_cdf(p);
        let z = quantile(1.0 - self.alpha.value().max(1e-15)) + quantile(power);
        z.max(0.5) / (self.units.len() as f64).sqrt()
    }

    /// Share of simulated audits that pass. The same throws serve every effect, so that power
    /// rises smoothly.
    fn power(&self, effect: f64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(self.params.seed);
        let critical = self.critical(effect, &mut rng);
        let passed = (0..REPETITIONS).filter(|_| self.passes(effect, &critical, &mut rng)).count();
        passed as f64 / f64::from(REPETITIONS)
    }

    /// Units relabelled at random and shifted, and where the released text now is: first.
    fn shifted(&self, effect: f64, rng: &mut ChaCha8Rng) -> Vec<Unit> {
        let thrown = self.units.throw(rng);
        let shift = effect * self.sd;
        self.units
            .sorted()
            .iter()
            .zip(thrown.released())
            .enumerate()
            .map(|(i, (unit, at))| {
                let mut scores = unit.scores().to_vec();
                if i < self.n_adverse {
                    // Scores descend: the last one is the least preferred.
                    scores.swap(0, unit.k());
                    return unit.with_scores(scores);
                }
                scores.swap(0, *at);
                let lowered = shift / scores.len() as f64;
                for (j, score) in scores.iter_mut().enumerate() {
                    *score += if j == 0 { shift - lowered } else { -lowered };
                }
                unit.with_scores(scores)
            })
            .collect()
    }

    /// What the resampled statistic must reach, from the pooled nulls of a few shifted samples;
    /// they hardly differ from one sample to the next, so that not every audit needs its own.
    fn critical(&self, effect: f64, rng: &mut ChaCha8Rng) -> Critical {
        let level = self.alpha.value() * if self.enumerated() { 1.0 } else { RESAMPLED_SHARE };
        // Neither the coins nor the resamples allow so small a p-value: the closed form decides.
        let n_resamples = 1.0 + f64::from(self.params.n_resamples);
        if self.ln_outcomes < -level.ln() || (!self.enumerated() && n_resamples * level < 1.0) {
            return Critical { curves: None, value: f64::INFINITY };
        }
        let mut curves = None;
        let mut draws = Vec::new();
        let needed = (REACHED / level / f64::from(POOLED)).clamp(RESAMPLES_MIN, RESAMPLES_MAX);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let each = needed as usize;
        for _ in 0..POOLED {
            let statistic = Statistic::new(&self.shifted(effect, rng), Tail::Released);
            let tables = Tables::of(&statistic.scores);
            let sample: Vec<[f64; N_COMPONENTS]> =
                (0..each).map(|_| statistic.directed(&tables.draw(rng))).collect();
            let curves = curves.get_or_insert_with(|| Curves::of(&sample));
            draws.extend(sample.iter().map(|z| curves.best(z)));
        }
        draws.sort_unstable_by(|a, b| b.total_cmp(a));
        // Strictly above the draw that would be one too many.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
        let at = (level * draws.len() as f64) as usize;
        let value = draws.get(at).copied().unwrap_or(f64::INFINITY);
        Critical { curves, value }
    }

    fn enumerated(&self) -> bool {
        self.ln_outcomes <= (ENUMERATED_OUTCOMES_MAX as f64).ln() + 1e-9
    }

    fn passes(&self, effect: f64, critical: &Critical, rng: &mut ChaCha8Rng) -> bool {
        let units = self.shifted(effect, rng);
        let released = vec![0; units.len()];
        // The most extreme outcome of enumerated ones has p = 1/outcomes.
        if self.enumerated() && units.iter().all(released_on_top) {
            return self.ln_outcomes >= -self.alpha.ln() - 1e-9;
        }
        if let Some(curves) = &critical.curves {
            let statistic = Statistic::new(&units, Tail::Released);
            let z = statistic.directed(&statistic.sums(&released));
            return curves.best(&z) > critical.value;
        }
        if self.enumerated() {
            return false;
        }
        let closed: PValue = ClosedForm::new(&units).p_value(&released, Tail::Released).0;
        closed.over(1.0 - RESAMPLED_SHARE).ln() <= self.alpha.ln()
    }
}

/// The level in terms of the statistic.
struct Critical {
    curves: Option<Curves>,
    value: f64,
}

fn released_on_top(unit: &Unit) -> bool {
    unit.scores().split_first().is_some_and(|(own, others)| others.iter().all(|s| s < own))
}
