//! The primary statistic of the twins test, declared beforehand, and its null distribution.
//!
//! Four sums over coins, of the released texts' (1) scaled scores, (2) ranks weighted by the rank
//! of the set's spread (for pairs: signed ranks), (3) ranks within the set (for pairs: signs), (4)
//! scaled scores in the sets that stand out. The first and the second see small shifts in all
//! pairs, the third shifts among wild magnitudes, the fourth large shifts in few. Each is turned
//! into (minus the logarithm of) its own p-value, and their best is calibrated under joint
//! throws of all coins, which pays for looking at all four (Westfall and Young, Resampling-Based
//! Multiple Testing, 1993).
//!
//! Blindness to the coins is in the types: [`NullDistribution`] is made from
//! [`UnorderedUnits`], which have forgotten which text was released, and only then meets an
//! [`Orientation`]. Throwing the coins again therefore needs no new resampling.

use crate::closed_form::ClosedForm;
use crate::correction::Unit;
use crate::resample::Tables;
use crate::statistic::{COMPONENTS, Curves, N_COMPONENTS, Statistic};
use crate::types::{PValue, StatsError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use crate::statistic::Tail;

/// Share of alpha that the resampled p-value may spend; the closed form spends the rest. Fixed
/// beforehand, so that the smaller of the two weighted p-values is a p-value (weighted
/// Bonferroni).
pub const RESAMPLED_SHARE: f64 = 0.95;
/// Up to this many joint outcomes of the coins (17 pairs) the null is enumerated, and neither
/// resampling nor the split of alpha is needed.
pub const ENUMERATED_OUTCOMES_MAX: usize = 1 << 17;
/// The closed form is asked only if at most this many resamples reached the observed statistic;
/// elsewhere it is hardly ever the smaller one. Leaving it out can only enlarge the p-value.
const EXCEEDANCES_MAX: usize = 10;
/// Bound on the work of resampling, in table look-ups (about two seconds): beyond some 32,000
/// pairs fewer resamples are drawn, and small p-values come from the closed form.
const LOOKUPS_MAX: usize = 400_000_000;
/// Relabellings that make the sums comparable, besides those that calibrate their best.
const PILOT_RESAMPLES_MAX: usize = 20_000;
/// Streams of the seed's generator for the pilot and the calibration. Nothing else may draw from
/// them: had whoever throws coins (or simulates them) the same seed and stream, observed and drawn
/// outcomes would be the same random bits and not exchangeable.
const PILOT_STREAM: u64 = 0x7069_6c6f_7400_0001;
/// See [`PILOT_STREAM`].
pub(crate) const CALIBRATION_STREAM: u64 = 0x6361_6c69_6200_0002;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestParams {
    /// Relabellings drawn for the joint calibration; p-values from it are at least
    /// 1/(1 + `n_resamples`).
    pub n_resamples: u32,
    /// Seed of the relabellings.
    pub seed: u64,
}

impl Default for TestParams {
    fn default() -> Self {
        Self { n_resamples: 100_000, seed: 0 }
    }
}

/// What the twins test found.
#[derive(Debug, Clone, PartialEq)]
pub struct TwinsTest {
    /// The p-value that decides.
    pub p_value: PValue,
    /// Sum of the released texts' scaled scores, in its standard deviations under the null.
    pub z: f64,
    /// The primary statistic: the best of the sums' approximate −ln p.
    pub statistic: f64,
    /// Each sum in its standard deviations: `mean` (again), `signed_rank`, `sign`, `tail`.
    pub components: Vec<(&'static str, f64)>,
    /// p-values that went into the decision (`joint`, `closed_form`) and those inside the closed
    /// form (`sign`, `signed_rank`, `chernoff`), before weighting. Only `p_value` decides.
    pub parts: Vec<(&'static str, PValue)>,
}

/// Units that have forgotten which of their texts was released.
#[derive(Debug, Clone, PartialEq)]
pub struct UnorderedUnits {
    /// Scores in descending order instead of released first.
    sorted: Vec<Unit>,
}

/// Which text of each unordered unit was released: its place in descending order of score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orientation {
    released: Vec<usize>,
}

impl UnorderedUnits {
    /// Number of coins.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is no coin at all.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The units as they would be had `orientation` come up.
    ///
    /// # Errors
    /// The orientation isn't one of these units.
    pub fn oriented(&self, orientation: &Orientation) -> Result<Vec<Unit>, StatsError> {
        self.check(orientation)?;
        let orient = |(unit, at): (&Unit, &usize)| {
            let mut scores = unit.scores().to_vec();
            scores.swap(0, *at);
            unit.with_scores(scores)
        };
        Ok(self.sorted.iter().zip(&orientation.released).map(orient).collect())
    }

    /// Throws every coin anew.
    pub fn throw(&self, rng: &mut impl Rng) -> Orientation {
        let released = self.sorted.iter().map(|u| rng.random_range(0..u.scores().len())).collect();
        Orientation { released }
    }

    /// The units, scores in descending order.
    pub(crate) fn sorted(&self) -> &[Unit] {
        &self.sorted
    }

    fn check(&self, orientation: &Orientation) -> Result<(), StatsError> {
        let fits = orientation.released.len() == self.sorted.len()
            && orientation.released.iter().zip(&self.sorted).all(|(at, u)| *at <= u.k());
        if fits {
            return Ok(());
        }
        Err(StatsError::Shape("the orientation belongs to other units".to_owned()))
    }
}

impl Orientation {
    pub(crate) fn released(&self) -> &[usize] {
        &self.released
    }
}

/// Separates what the coins decided from what they didn't.
pub fn split(units: &[Unit]) -> (UnorderedUnits, Orientation) {
    let mut sorted = Vec::with_capacity(units.len());
    let mut released = Vec::with_capacity(units.len());
    for unit in units {
        let own = unit.scores().first().copied().unwrap_or(0.0);
        // Adding zero makes -0.0 a 0.0, so that equal scores are equal bits.
        let mut scores: Vec<f64> = unit.scores().iter().map(|s| s + 0.0).collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        released.push(scores.iter().position(|s| *s <= own).unwrap_or(0));
        sorted.push(unit.with_scores(scores));
    }
    (UnorderedUnits { sorted }, Orientation { released })
}

/// The twins test, one-sided: is the released text preferred?
///
/// Null: given the unordered sets of corrected scores, each set's released text is a uniform draw
/// from its set, independently of the others; that is what "suspect and references are
/// independent of the coins" implies. See [`NullDistribution::test`] for the proof.
pub fn twins_test(units: &[Unit], params: &TestParams) -> TwinsTest {
    test(units, Tail::Released, params)
}

/// The twins test, two-sided: is either text preferred? For references and placebos.
///
/// Same null as [`twins_test`]; the statistic is the largest magnitude.
pub fn twins_test_two_sided(units: &[Unit], params: &TestParams) -> TwinsTest {
    test(units, Tail::Either, params)
}

fn test(units: &[Unit], tail: Tail, params: &TestParams) -> TwinsTest {
    let (unordered, orientation) = split(units);
    NullDistribution::new(&unordered, tail, params).report(&orientation.released)
}

/// Distribution of the primary statistic when the coins are thrown again, given unordered units.
#[derive(Debug, Clone)]
pub struct NullDistribution {
    units: UnorderedUnits,
    tail: Tail,
    statistic: Statistic,
    curves: Curves,
    /// Primary statistic of each relabelling, ascending.
    draws: Vec<f64>,
    /// Whether the draws are all joint outcomes, once each.
    enumerated: bool,
    closed_form: ClosedForm,
}

impl NullDistribution {
    /// Enumerates the relabellings where they are few, else draws `params.n_resamples`.
    pub fn new(units: &UnorderedUnits, tail: Tail, params: &TestParams) -> Self {
        let statistic = Statistic::new(&units.sorted, tail);
        let tables = Tables::of(&statistic.scores);
        let enumerated = tables.outcomes(ENUMERATED_OUTCOMES_MAX).is_some();
        let (curves, mut draws) = if enumerated {
            let mut all = Vec::new();
            tables.enumerate(&mut |sums| all.push(statistic.directed(&sums)));
            let curves = Curves::of(&all);
            let draws: Vec<f64> = all.iter().map(|z| curves.best(z)).collect();
            (curves, draws)
        } else {
            let affordable = LOOKUPS_MAX / tables.n_groups().max(1);
            let n = usize::try_from(params.n_resamples).unwrap_or(usize::MAX).min(affordable);
            let mut pilot = ChaCha8Rng::seed_from_u64(params.seed);
            pilot.set_stream(PILOT_STREAM);
            let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
            rng.set_stream(CALIBRATION_STREAM);
            let draw = |rng: &mut ChaCha8Rng| statistic.directed(&tables.draw(rng));
            let sample: Vec<[f64; N_COMPONENTS]> =
                (0..n.min(PILOT_RESAMPLES_MAX)).map(|_| draw(&mut pilot)).collect();
            let curves = Curves::of(&sample);
            let draws: Vec<f64> = (0..n).map(|_| curves.best(&draw(&mut rng))).collect();
            (curves, draws)
        };
        draws.sort_unstable_by(f64::total_cmp);
        let closed_form = ClosedForm::new(&units.sorted);
        Self { units: units.clone(), tail, statistic, curves, draws, enumerated, closed_form }
    }

    /// p-value of one outcome of the coins; see [`Self::test`].
    ///
    /// # Errors
    /// The orientation isn't one of these units.
    pub fn p_value(&self, orientation: &Orientation) -> Result<PValue, StatsError> {
        self.units.check(orientation)?;
        let released = &orientation.released;
        let (joint, reached) = self.joint(self.best(released));
        if self.enumerated {
            return Ok(joint);
        }
        if reached > EXCEEDANCES_MAX {
            return Ok(joint.over(RESAMPLED_SHARE));
        }
        let closed = self.closed_form.p_value(released, self.tail).0;
        Ok(combined(joint, closed))
    }

    /// p-value and parts of one outcome of the coins.
    ///
    /// Null: given the unordered sets, the outcome is uniform over all joint outcomes. Proof: with
    /// enumeration the joint p-value is the share of outcomes whose statistic is at least as
    /// large, exact for any statistic. Otherwise the observed outcome and the B drawn ones are
    /// exchangeable, so `(1 + b)/(1 + B)` is a p-value (Phipson and Smyth 2010; Hemerik and Goeman
    /// 2018), on average over seeds. The closed form is a p-value too ([`crate::closed_form`]), and
    /// `min(p_joint/0.95, p_closed/0.05)` is one by weighted Bonferroni, at every alpha.
    ///
    /// # Errors
    /// The orientation isn't one of these units.
    pub fn test(&self, orientation: &Orientation) -> Result<TwinsTest, StatsError> {
        self.units.check(orientation)?;
        Ok(self.report(&orientation.released))
    }

    fn report(&self, released: &[usize]) -> TwinsTest {
        let components = self.statistic.standardised(&self.statistic.sums(released));
        let statistic = self.best(released);
        let (joint, reached) = self.joint(statistic);
        let (closed, inside) = self.closed_form.p_value(released, self.tail);
        let p_value = if self.enumerated {
            joint
        } else if reached > EXCEEDANCES_MAX {
            joint.over(RESAMPLED_SHARE)
        } else {
            combined(joint, closed)
        };
        let mut parts = vec![("joint", joint), ("closed_form", closed)];
        parts.extend(inside);
        TwinsTest {
            p_value,
            z: components[0],
            statistic,
            components: COMPONENTS.into_iter().zip(components).collect(),
            parts,
        }
    }

    /// The primary statistic where unit i released text `released[i]`.
    fn best(&self, released: &[usize]) -> f64 {
        self.curves.best(&self.statistic.directed(&self.statistic.sums(released)))
    }

    /// Joint p-value of a statistic, and how many draws reach it.
    fn joint(&self, z: f64) -> (PValue, usize) {
        let reached = self.draws.len() - self.draws.partition_point(|d| *d < z);
        let p = if self.enumerated {
            reached as f64 / self.draws.len() as f64
        } else {
            (1 + reached) as f64 / (1 + self.draws.len()) as f64
        };
        (PValue::new(p), reached)
    }
}

fn combined(joint: PValue, closed: PValue) -> PValue {
    let resampled = joint.over(RESAMPLED_SHARE);
    let bound = closed.over(1.0 - RESAMPLED_SHARE);
    if bound < resampled { bound } else { resampled }
}
