//! The primary statistic of the twins test, declared beforehand, and its null distribution.
//!
//! It is the largest of three standardised sums over coins, of the released texts' (1) scaled
//! scores, (2) ranks weighted by the rank of the set's spread (for pairs: signed ranks), (3) ranks
//! within the set (for pairs: signs). The first sees large shifts in a few pairs, the second small
//! shifts in all, the third shifts that sit among many zeros or wild tails; calibrating their
//! maximum under the same throws pays for looking at all three.
//!
//! Blindness to the coins is in the types: [`NullDistribution`] is made from
//! [`UnorderedUnits`], which have forgotten which text was released, and only then meets an
//! [`Orientation`]. Throwing the coins again therefore needs no new resampling.

use crate::cgf::Rows;
use crate::correction::Unit;
use crate::exact::{
    RANK_SUM_EXACT_UNITS_MAX, SIGNED_RANK_EXACT_UNITS_MAX, centred_ranks, integer_tail,
    quade_scores,
};
use crate::resample::{Scores, Tables};
use crate::types::{PValue, StatsError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Share of alpha that the resampled p-value may spend; the closed form spends the rest. Fixed
/// beforehand, so that the smaller of the two weighted p-values is a p-value (weighted
/// Bonferroni).
pub const RESAMPLED_SHARE: f64 = 0.95;
/// Up to this many joint outcomes of the coins (17 pairs) the null is enumerated, and neither
/// resampling nor the split of alpha is needed.
pub const ENUMERATED_OUTCOMES_MAX: usize = 1 << 17;
/// The closed form is asked only if at most this many resamples reached the observed statistic;
/// elsewhere it can't be the smaller one. Leaving it out can only enlarge the p-value.
const EXCEEDANCES_MAX: usize = 10;
/// Bound on the work of resampling, in table look-ups (about two seconds): beyond some 32,000
/// pairs fewer resamples are drawn, and small p-values come from the closed form.
const LOOKUPS_MAX: usize = 400_000_000;
/// The fixed-point sum of scaled scores stays below this: f64 adds integers below 2^53 exactly.
const FIXED_POINT_MAX: f64 = (1_u64 << 50) as f64;
/// Above this many units the closed form groups ranks into [`RANK_LEVELS`] levels.
const UNGROUPED_UNITS_MAX: usize = 1_000;
/// Levels of grouped ranks: still an exact test (of the grouped statistic), at a bounded cost.
const RANK_LEVELS: f64 = 256.0;
/// Names of the statistics, in the order of the arrays.
const COMPONENTS: [&str; 3] = ["mean", "signed_rank", "sign"];

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

/// Which alternative counts as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// The released text is preferred.
    Released,
    /// Either text is preferred: for references and placebos.
    Either,
}

/// What the twins test found.
#[derive(Debug, Clone, PartialEq)]
pub struct TwinsTest {
    /// The p-value that decides.
    pub p_value: PValue,
    /// The primary statistic: the largest standardised component (in magnitude if two-sided).
    pub z: f64,
    /// Each standardised component: `mean`, `signed_rank`, `sign`.
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

    fn check(&self, orientation: &Orientation) -> Result<(), StatsError> {
        let fits = orientation.released.len() == self.sorted.len()
            && orientation.released.iter().zip(&self.sorted).all(|(at, u)| *at <= u.k());
        if fits {
            return Ok(());
        }
        Err(StatsError::Shape("the orientation belongs to other units".to_owned()))
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

/// The closed-form p-value, one-sided: three times the smallest of the exact sign test (rank sum
/// for K > 1), the exact signed-rank test (Quade's for K > 1; ranks grouped into 256 levels above
/// 1,000 units, Chernoff's bound above 5,000) and Chernoff's bound on the mean.
///
/// Null: as in [`twins_test`]. Proof: each is a p-value under it; Bonferroni over three. No
/// resampling, no limit to how small it can get.
pub fn closed_form(units: &[Unit]) -> PValue {
    let (unordered, orientation) = split(units);
    ClosedForm::new(&unordered.sorted).p_value(&orientation.released, Tail::Released).0
}

/// Distribution of the primary statistic when the coins are thrown again, given unordered units.
#[derive(Debug, Clone)]
pub struct NullDistribution {
    units: UnorderedUnits,
    tail: Tail,
    statistic: Statistic,
    /// Statistic of each relabelling, ascending.
    draws: Vec<f64>,
    /// Whether the draws are all joint outcomes, once each.
    enumerated: bool,
    closed_form: ClosedForm,
}

impl NullDistribution {
    /// Enumerates the relabellings where they are few, else draws `params.n_resamples`.
    pub fn new(units: &UnorderedUnits, tail: Tail, params: &TestParams) -> Self {
        let statistic = Statistic::new(&units.sorted);
        let tables = Tables::of(&statistic.scores);
        let enumerated = tables.outcomes(ENUMERATED_OUTCOMES_MAX).is_some();
        let mut draws = Vec::new();
        if enumerated {
            tables.enumerate(&mut |sums| draws.push(statistic.of_sums(&sums, tail)));
        } else {
            let affordable = LOOKUPS_MAX / tables.n_groups().max(1);
            let requested = usize::try_from(params.n_resamples).unwrap_or(usize::MAX);
            let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
            draws.extend(
                (0..requested.min(affordable))
                    .map(|_| statistic.of_sums(&tables.draw(&mut rng), tail)),
            );
        }
        draws.sort_unstable_by(f64::total_cmp);
        let closed_form = ClosedForm::new(&units.sorted);
        Self { units: units.clone(), tail, statistic, draws, enumerated, closed_form }
    }

    /// p-value of one outcome of the coins; see [`Self::test`].
    ///
    /// # Errors
    /// The orientation isn't one of these units.
    pub fn p_value(&self, orientation: &Orientation) -> Result<PValue, StatsError> {
        self.units.check(orientation)?;
        let released = &orientation.released;
        let (joint, reached) = self.joint(self.statistic.of(released, self.tail));
        if self.enumerated {
            return Ok(joint);
        }
        if reached > EXCEEDANCES_MAX {
            return Ok(weighted(joint, RESAMPLED_SHARE));
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
    /// 2018), on average over seeds. The closed form is a p-value too ([`closed_form`]), and
    /// `min(p_joint/0.95, p_closed/0.05)` is one by weighted Bonferroni, at every alpha.
    ///
    /// # Errors
    /// The orientation isn't one of these units.
    pub fn test(&self, orientation: &Orientation) -> Result<TwinsTest, StatsError> {
        self.units.check(orientation)?;
        Ok(self.report(&orientation.released))
    }

    fn report(&self, released: &[usize]) -> TwinsTest {
        let components = self.statistic.components(&self.statistic.scores.sums(released));
        let z = self.statistic.of(released, self.tail);
        let (joint, reached) = self.joint(z);
        let (closed, inside) = self.closed_form.p_value(released, self.tail);
        let p_value = if self.enumerated {
            joint
        } else if reached > EXCEEDANCES_MAX {
            weighted(joint, RESAMPLED_SHARE)
        } else {
            combined(joint, closed)
        };
        let mut parts = vec![("joint", joint), ("closed_form", closed)];
        parts.extend(inside);
        TwinsTest {
            p_value,
            z,
            components: COMPONENTS.into_iter().zip(components).collect(),
            parts,
        }
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

fn weighted(p: PValue, share: f64) -> PValue {
    PValue::from_ln(p.ln() - share.ln())
}

fn combined(joint: PValue, closed: PValue) -> PValue {
    let resampled = weighted(joint, RESAMPLED_SHARE);
    let bound = weighted(closed, 1.0 - RESAMPLED_SHARE);
    if bound < resampled { bound } else { resampled }
}

/// The three sums and what standardises them, all functions of unordered units.
#[derive(Debug, Clone)]
pub(crate) struct Statistic {
    scores: Scores<3>,
    mean: [f64; 3],
    /// 1/standard deviation under relabelling; 0 where a component is constant.
    inverse_sd: [f64; 3],
}

impl Statistic {
    /// Any order of scores within the units gives the same statistic of the same texts.
    pub(crate) fn new(units: &[Unit]) -> Self {
        let largest =
            |u: &Unit| u.scores().iter().map(|s| (s / u.scale()).abs()).fold(0.0, f64::max);
        let total: f64 = units.iter().map(largest).sum();
        let step = if total > 0.0 && total.is_finite() { FIXED_POINT_MAX / total } else { 0.0 };
        let mut scores = Scores::default();
        for (unit, weighted) in units.iter().zip(quade_scores(units)) {
            let within = centred_ranks(unit.scores());
            let row = unit.scores().iter().zip(weighted).zip(within);
            scores.push(row.map(|((s, w), r)| {
                // Rounding half away from zero is odd: a swap still negates.
                [(s / unit.scale() * step).round(), w as f64, r as f64]
            }));
        }
        let (mut mean, mut variance) = ([0.0; 3], [0.0; 3]);
        for row in scores.rows() {
            for c in 0..3 {
                let size = row.len() as f64;
                let own = row.iter().map(|s| s[c]).sum::<f64>() / size;
                mean[c] += own;
                variance[c] += row.iter().map(|s| (s[c] - own).powi(2)).sum::<f64>() / size;
            }
        }
        let inverse_sd = variance.map(|v| if v > 0.0 { 1.0 / v.sqrt() } else { 0.0 });
        Self { scores, mean, inverse_sd }
    }

    pub(crate) fn components(&self, sums: &[f64; 3]) -> [f64; 3] {
        let mut out = [0.0; 3];
        for c in 0..3 {
            out[c] = (sums[c] - self.mean[c]) * self.inverse_sd[c];
        }
        out
    }

    fn of_sums(&self, sums: &[f64; 3], tail: Tail) -> f64 {
        let [a, b, c] = self.components(sums);
        match tail {
            Tail::Released => a.max(b).max(c),
            Tail::Either => a.abs().max(b.abs()).max(c.abs()),
        }
    }

    /// The primary statistic where unit i released text `released[i]`.
    pub(crate) fn of(&self, released: &[usize], tail: Tail) -> f64 {
        self.of_sums(&self.scores.sums(released), tail)
    }
}

/// What the closed-form p-value needs of unordered units.
#[derive(Debug, Clone)]
struct ClosedForm {
    scaled: Rows,
    quade: Vec<Vec<i64>>,
    within: Vec<Vec<i64>>,
}

impl ClosedForm {
    fn new(units: &[Unit]) -> Self {
        let mut scaled = Rows::default();
        for unit in units {
            scaled.push(unit.scores().iter().map(|s| s / unit.scale()));
        }
        let mut quade = quade_scores(units);
        if units.len() > UNGROUPED_UNITS_MAX && units.len() <= SIGNED_RANK_EXACT_UNITS_MAX {
            group_ranks(&mut quade);
        }
        let within = units.iter().map(|u| centred_ranks(u.scores())).collect();
        Self { scaled, quade, within }
    }

    /// Three times the smallest part, and the parts; two-sided each is doubled.
    fn p_value(&self, released: &[usize], tail: Tail) -> (PValue, [(&'static str, PValue); 3]) {
        let up = self.parts(released, 1);
        let parts = match tail {
            Tail::Released => up,
            Tail::Either => {
                let down = self.parts(released, -1);
                let mut both = up;
                for (b, d) in both.iter_mut().zip(down) {
                    let smaller = if d < *b { d } else { *b };
                    *b = weighted(smaller, 0.5);
                }
                both
            }
        };
        let smallest = parts.iter().copied().fold(PValue::ONE, |a, b| if b < a { b } else { a });
        let [sign, signed_rank, chernoff] = parts;
        (
            PValue::from_ln(smallest.ln() + 3.0_f64.ln()),
            [("sign", sign), ("signed_rank", signed_rank), ("chernoff", chernoff)],
        )
    }

    /// Sign, signed-rank and Chernoff towards `direction` (1: released preferred, -1: against).
    fn parts(&self, released: &[usize], direction: i64) -> [PValue; 3] {
        let integer = |rows: &[Vec<i64>], exact_max: usize| {
            let observed: i64 = rows
                .iter()
                .zip(released)
                .filter_map(|(row, at)| row.get(*at))
                .map(|v| direction * v)
                .sum();
            let directed: Vec<Vec<i64>> =
                rows.iter().map(|r| r.iter().map(|v| direction * v).collect()).collect();
            integer_tail(&directed, observed, exact_max)
        };
        let sign = direction as f64;
        let mut rows = Rows::default();
        let mut observed = 0.0;
        for (row, at) in self.scaled.iter().zip(released) {
            rows.push(row.iter().map(|v| sign * v));
            observed += row.get(*at).map_or(0.0, |v| sign * v);
        }
        [
            integer(&self.within, RANK_SUM_EXACT_UNITS_MAX),
            integer(&self.quade, SIGNED_RANK_EXACT_UNITS_MAX),
            PValue::from_ln(rows.chernoff_ln(observed)),
        ]
    }
}

/// Divides scores so that the largest becomes [`RANK_LEVELS`], rounding half away from zero.
fn group_ranks(rows: &mut [Vec<i64>]) {
    let largest = rows.iter().flatten().map(|v| v.abs()).max().unwrap_or(0) as f64;
    if largest <= RANK_LEVELS {
        return;
    }
    for v in rows.iter_mut().flatten() {
        #[expect(clippy::cast_possible_truncation, reason = "at most RANK_LEVELS in magnitude")]
        let grouped = (*v as f64 * RANK_LEVELS / largest).round() as i64;
        *v = grouped;
    }
}
