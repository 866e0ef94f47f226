//! Smallest effect that the e-process would have seen on these pairs, without their coins.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::eprocess::{EProcess, EProcessParams};
use crate::eprocess_predict::blind_order;
use crate::{Alpha, ScoreSet, StatsError, TestParams, Unit};

/// Sets settled at most in one search, which bounds its time to about a second.
const SETS_MAX: usize = 1_000_000;
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
///
/// The units' slopes are taken as known from the start. With references that share most of the
/// suspect's noise, and fewer than some hundred sets, [`min_detectable_effect_e_of_sets`]
/// is the honest figure: it lets the e-process learn them.
pub fn min_detectable_effect_e(
    units: &[Unit],
    alpha: Alpha,
    power: f64,
    params: &TestParams,
) -> Option<f64> {
    let sets = units
        .iter()
        .map(|unit| {
            let scores = unit.scores().iter().map(|s| s / unit.scale()).collect();
            ScoreSet::new(scores, Vec::new(), None)
        })
        .collect::<Result<Vec<_>, _>>()
        .ok()?;
    let items: Vec<Item<'_>> = sets
        .iter()
        .zip(units)
        .map(|(set, unit)| Item { set, unit, nats: unit.scale().recip() })
        .collect();
    min_detectable(&[], &items, alpha, power, EStop::AtThreshold, params)
}

/// As [`min_detectable_effect_e`], with slopes learnt from `sets` along the way as in the real
/// run; `units` are their corrected scores in the same order and give the unit of the answer.
///
/// `None` too if there isn't one unit for each set.
pub fn min_detectable_effect_e_of_sets(
    sets: &[ScoreSet],
    units: &[Unit],
    alpha: Alpha,
    power: f64,
    params: &TestParams,
) -> Option<f64> {
    min_detectable_effect_e_against(&[], sets, units, alpha, power, EStop::AtThreshold, params)
}

/// When the e-value that decides is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EStop {
    /// As soon as it reaches 1/alpha, or at the end.
    AtThreshold,
    /// At the end only.
    AtEnd,
}

/// As [`min_detectable_effect_e_of_sets`], with the run's own `stop`, and where the sets `adverse` are settled as they are after
/// all others, and, if there are any, only the e-value after them counts: evidence that was
/// withheld.
pub fn min_detectable_effect_e_against(
    adverse: &[ScoreSet],
    sets: &[ScoreSet],
    units: &[Unit],
    alpha: Alpha,
    power: f64,
    stop: EStop,
    params: &TestParams,
) -> Option<f64> {
    if sets.len() != units.len() {
        return None;
    }
    let items: Vec<Item<'_>> =
        sets.iter().zip(units).map(|(set, unit)| Item { set, unit, nats: 1.0 }).collect();
    min_detectable(adverse, &items, alpha, power, stop, params)
}

fn min_detectable(
    adverse: &[ScoreSet],
    items: &[Item<'_>],
    alpha: Alpha,
    power: f64,
    stop: EStop,
    params: &TestParams,
) -> Option<f64> {
    let step = items.len().div_ceil(UNITS_MAX).max(1);
    let thinned: Vec<Item<'_>> = items.iter().copied().step_by(step).collect();
    let thinned_adverse: Vec<&ScoreSet> = adverse.iter().step_by(step).collect();
    let search = Search::new(&thinned_adverse, &thinned, alpha, stop, params)?;
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
    Some(high * (thinned.len() as f64 / items.len() as f64).sqrt())
}

/// A set to be relabelled and shifted.
#[derive(Clone, Copy)]
struct Item<'a> {
    set: &'a ScoreSet,
    unit: &'a Unit,
    /// One nat in the unit of the set's scores.
    nats: f64,
}

impl Item<'_> {
    /// The set had the coin chosen the text that is `released`-th by score, `shift` nats up.
    fn shifted(&self, released: usize, shift: f64) -> Result<ScoreSet, StatsError> {
        let mut order = Vec::new();
        // By score: which text was released must not matter.
        blind_order(self.set, &mut order);
        order.swap(0, released);
        let pick = |column: &[f64]| order.iter().map(|&i| column[i]).collect::<Vec<f64>>();
        let mut suspect = pick(self.set.suspect());
        if let Some(own) = suspect.first_mut() {
            *own += shift * self.nats;
        }
        let references = self.set.references().iter().map(|r| pick(r)).collect();
        ScoreSet::new(suspect, references, self.set.n_tokens().map(pick))
    }
}

/// Sets relabelled the same way for every effect, so that power rises smoothly with it.
struct Search<'a> {
    /// Settled as they are, after the items.
    adverse: &'a [&'a ScoreSet],
    items: &'a [Item<'a>],
    /// Standard deviation of x, nats.
    sd: f64,
    threshold: f64,
    stop: EStop,
    repetitions: usize,
    seed: u64,
}

impl<'a> Search<'a> {
    fn new(
        adverse: &'a [&'a ScoreSet],
        items: &'a [Item<'a>],
        alpha: Alpha,
        stop: EStop,
        params: &TestParams,
    ) -> Option<Self> {
        // x of a set had text j been released: score_j · (K + 1) / K.
        let squares = items.iter().map(|item| {
            let k = item.unit.k() as f64;
            let mean = item.unit.scores().iter().map(|s| s * s).sum::<f64>() / (k + 1.0);
            mean * ((k + 1.0) / k).powi(2)
        });
        let sd = (squares.sum::<f64>() / items.len() as f64).sqrt();
        let affordable = SETS_MAX / (EVALUATIONS_MAX * items.len().max(1));
        (sd > 0.0 && sd.is_finite()).then_some(Self {
            adverse,
            items,
            sd,
            threshold: -alpha.ln(),
            stop,
            repetitions: affordable.clamp(REPETITIONS_MIN, REPETITIONS_MAX),
            seed: params.seed,
        })
    }

    /// Share of repetitions that reach the threshold with a shift of `effect` standard deviations.
    fn power(&self, effect: f64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let params = EProcessParams { keep_path: false, ..EProcessParams::default() };
        let found = (0..self.repetitions).filter(|_| {
            let released: Vec<usize> =
                self.items.iter().map(|item| rng.random_range(0..=item.set.k())).collect();
            let mut process = EProcess::new(params);
            let mut settled = self.items.iter().zip(released).map(|(item, released)| {
                item.shifted(released, effect * self.sd)
                    .and_then(|set| process.push(&set))
                    .is_ok_and(|e| e.ln() >= self.threshold)
            });
            if self.adverse.is_empty() && self.stop == EStop::AtThreshold {
                return settled.any(|reached| reached);
            }
            settled.for_each(drop);
            self.adverse.iter().all(|set| process.push(set).is_ok())
                && process.value().ln() >= self.threshold
        });
        found.count() as f64 / self.repetitions as f64
    }
}
