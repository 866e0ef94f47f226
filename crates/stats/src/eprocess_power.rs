//! Smallest effect that the e-process would have seen on these pairs, without their coins.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::eprocess_bets::Wealth;
use crate::eprocess_predict::{Predictor, Unordered};
use crate::{Alpha, ScoreSet, TestParams, Unit};

/// Sets settled at most in one search, which bounds its time to about half a second.
const SETS_MAX: usize = 2_000_000;
/// Evaluations of power that a search takes at most.
const EVALUATIONS_MAX: usize = 14;
/// Repetitions per evaluation: at least, for a power good to about 0.05 ...
const REPETITIONS_MIN: usize = 60;
/// ... and at most.
const REPETITIONS_MAX: usize = 400;
/// Halvings of the bracket, which starts as a factor of two.
const HALVINGS: usize = 5;
/// First effect tried; doubled until there is power enough.
const LEAST_EFFECT: f64 = 0.02;
/// Effects beyond this are not looked for.
const EFFECT_MAX: f64 = 40.0;
/// More units than this are thinned to so many, and the effect scaled by the root of the ratio.
const UNITS_MAX: usize = 2_000;

/// Smallest shift that the e-process would have found with probability `power`, in standard
/// deviations of x (Cohen's `d_z`); `None` if no shift would do with so few units.
///
/// Coin-blind: the observed scores are relabelled at random, so only unordered magnitudes
/// enter; then the released text's score is raised by `d` standard deviations of x in every
/// set, and the e-process must reach `1/alpha` somewhere within the n units (the stopping
/// rule "stop at 1/alpha"). The standard deviation is the root mean square of x over the
/// relabellings. Simulated with `params.seed`; good to about 10%. Beyond 2,000 units a thinned
/// sample is used and the answer scaled by the root of the ratio, an approximation.
pub fn min_detectable_effect_e(
    units: &[Unit],
    alpha: Alpha,
    power: f64,
    params: &TestParams,
) -> Option<f64> {
    let step = units.len().div_ceil(UNITS_MAX).max(1);
    let thinned: Vec<&Unit> = units.iter().step_by(step).collect();
    let search = Search::new(&thinned, alpha, params)?;
    let reaches = |effect: f64| search.power(effect) >= power;
    let mut high = LEAST_EFFECT;
    while !reaches(high) {
        high *= 2.0;
        if high > EFFECT_MAX {
            return None;
        }
    }
    let mut low = high / 2.0;
    for _ in 0..HALVINGS {
        let middle = (low * high).sqrt();
        if reaches(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high * (thinned.len() as f64 / units.len() as f64).sqrt())
}

/// Units relabelled the same way for every effect, so that power rises smoothly with it.
struct Search<'a> {
    units: &'a [&'a Unit],
    /// Standard deviation of x, nats.
    sd: f64,
    threshold: f64,
    repetitions: usize,
    seed: u64,
}

impl<'a> Search<'a> {
    fn new(units: &'a [&'a Unit], alpha: Alpha, params: &TestParams) -> Option<Self> {
        // x of a set had text j been released: score_j · (K + 1) / K.
        let squares = units.iter().map(|unit| {
            let k = unit.k() as f64;
            let mean = unit.scores().iter().map(|s| s * s).sum::<f64>() / (k + 1.0);
            mean * ((k + 1.0) / k).powi(2)
        });
        let sd = (squares.sum::<f64>() / units.len() as f64).sqrt();
        let affordable = SETS_MAX / (EVALUATIONS_MAX * units.len().max(1));
        (sd > 0.0 && sd.is_finite()).then_some(Self {
            units,
            sd,
            threshold: -alpha.ln(),
            repetitions: affordable.clamp(REPETITIONS_MIN, REPETITIONS_MAX),
            seed: params.seed,
        })
    }

    /// Share of repetitions that reach the threshold with a shift of `effect` standard deviations.
    fn power(&self, effect: f64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut found = 0_usize;
        let mut unordered = Unordered::default();
        let mut z = Vec::new();
        for _ in 0..self.repetitions {
            let released: Vec<usize> =
                self.units.iter().map(|unit| rng.random_range(0..=unit.k())).collect();
            let mut predictor = Predictor::new(0);
            let mut wealth = Wealth::new();
            for (unit, released) in self.units.iter().zip(released) {
                let Ok(set) = self.shifted(unit, released, effect) else { continue };
                let at = unordered.fill(&set, false);
                predictor.standardise(&unordered, &mut z);
                wealth.settle(&z, at);
                if wealth.ln() >= self.threshold {
                    found += 1;
                    break;
                }
            }
        }
        found as f64 / self.repetitions as f64
    }

    fn shifted(
        &self,
        unit: &Unit,
        released: usize,
        effect: f64,
    ) -> Result<ScoreSet, crate::StatsError> {
        let mut scores = unit.scores().to_vec();
        // By score: which text was released must not matter.
        scores.sort_unstable_by(f64::total_cmp);
        scores.swap(0, released);
        if let Some(own) = scores.first_mut() {
            *own += effect * self.sd;
        }
        for score in &mut scores {
            *score /= unit.scale();
        }
        ScoreSet::new(scores, Vec::new(), None)
    }
}
