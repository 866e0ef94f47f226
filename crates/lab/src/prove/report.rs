//! What was measured: cells, rates, and whether all is as it must be.

use super::battery::BATTERY;
use super::plan::{Diet, Plan, Truth};
use super::rate::{Rate, clopper_pearson};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was done to a suspect's audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// Nothing: the reference is the teacher, older than the coins; the coin is fair.
    Plain,
    /// The reference saw the released side, and its age isn't vouched for.
    ReferenceSawReleased,
    /// The reference saw the withheld side, and its age isn't vouched for.
    ReferenceSawWithheld,
    /// The same, and somebody declares that it is older than the coins: an assumption is broken.
    AgeDeclaredFalsely,
    /// The owner chose by a public model instead of a coin: an assumption is broken.
    RiggedCoin,
    /// The same, and that public model takes the test as a placebo.
    RiggedCoinWithPlacebo,
}

impl Situation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Plain,
        Self::ReferenceSawReleased,
        Self::ReferenceSawWithheld,
        Self::AgeDeclaredFalsely,
        Self::RiggedCoin,
        Self::RiggedCoinWithPlacebo,
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Plain => "as it should be",
            Self::ReferenceSawReleased => "the reference saw the released side",
            Self::ReferenceSawWithheld => "the reference saw the withheld side",
            Self::AgeDeclaredFalsely => "the same, declared older than the coins",
            Self::RiggedCoin => "coin rigged by a public model, no placebo",
            Self::RiggedCoinWithPlacebo => "coin rigged, that model as placebo",
        }
    }

    /// Whether what the audit is told is true, so that its verdict must hold its error rate.
    pub fn is_fair(self) -> bool {
        matches!(self, Self::Plain | Self::ReferenceSawReleased | Self::ReferenceSawWithheld)
    }
}

/// One test on one suspect in one situation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// The model.
    pub model: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its teacher.
    pub teacher: usize,
    /// Its seed.
    pub seed: u64,
    /// What is true of it.
    pub truth: Truth,
    /// What was done.
    pub situation: Situation,
    /// The test.
    pub test: &'static str,
    /// It accuses.
    pub accuses: bool,
    /// Base-10 logarithm of its p-value, if it has one.
    pub log10_p: Option<f64>,
}

/// A test of the battery, for readers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestRow {
    /// Its name.
    pub name: &'static str,
    /// Whether its error rate is exact where its assumptions hold.
    pub exact: bool,
    /// What it is.
    pub what: &'static str,
    /// Innocents accused in any audit that was told the truth, of all innocents.
    pub false_positives: Rate,
    /// The same, teacher by teacher.
    pub by_teacher: Vec<Rate>,
    /// Its false-positive rate is above what alpha allows over those audits, beyond chance (the
    /// interval's lower end).
    pub lies: bool,
}

/// How often a kind is accused by each test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindRow {
    /// The kind.
    pub kind: &'static str,
    /// What is true of it.
    pub truth: Truth,
    /// What was done.
    pub situation: Situation,
    /// Rates, in the order of the tests.
    pub rates: Vec<Rate>,
}

/// Power at a number of pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairsPoint {
    /// Pairs.
    pub n_pairs: usize,
    /// Share of subsets and models that are accused.
    pub power: Rate,
}

/// Pairs that a kind needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeededPairs {
    /// The kind.
    pub kind: &'static str,
    /// Fewest of those tried with power 0.8; absent: none.
    pub needed: Option<usize>,
    /// The curve.
    pub points: Vec<PairsPoint>,
}

/// Size at one level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SizeRow {
    /// The level.
    pub alpha: f64,
    /// Share of throws whose pooled p-value is at most alpha.
    pub pooled: Rate,
    /// Share of throws whose e-value is at least 1/alpha.
    pub e_value: Rate,
}

/// Coins thrown again through the whole audit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Size {
    /// Throws in all.
    pub n_throws: u64,
    /// Innocents over whose scores they were thrown.
    pub n_models: usize,
    /// Verdicts `established` at alpha 0.05, pooled and by account.
    pub verdict: Rate,
    /// By level.
    pub levels: Vec<SizeRow>,
}

impl Size {
    pub(super) fn empty(levels: [f64; 3]) -> Self {
        let none = Rate::new(0, 0);
        let row = |alpha| SizeRow { alpha, pooled: none, e_value: none };
        Self { n_throws: 0, n_models: 0, verdict: none, levels: levels.map(row).to_vec() }
    }
}

/// A model of the population.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelRow {
    /// Its name.
    pub name: String,
    /// Hash of all that it is made from: start, examples, order, sizes.
    pub key: String,
    /// Loss over the last tenth of its training, nats per token.
    pub final_loss: f64,
}

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProveReport {
    /// Format of this report.
    pub schema: &'static str,
    /// What was bred.
    pub plan: Plan,
    /// Models of the population.
    pub n_models: u64,
    /// Of those and their bases and teachers, found from an earlier run.
    pub n_found: usize,
    /// Error rate of each audit.
    pub alpha: f64,
    /// Seed of everything, coins included: a measurement, no evidence.
    pub seed: u64,
    /// Exposed pairs of each teacher that were left after identical or empty ones.
    pub n_pairs: Vec<usize>,
    /// Pairs set aside before any score: both texts the same, or one empty.
    pub n_set_aside: Vec<usize>,
    /// The tests.
    pub tests: Vec<TestRow>,
    /// Kinds that learnt: power.
    pub power: Vec<KindRow>,
    /// Innocent kinds: who is wrongly accused.
    pub wrongly_accused: Vec<KindRow>,
    /// Smallest dose that `twins` accuses in 80% of models; absent: none.
    pub minimum_dose: Option<f64>,
    /// Pairs needed.
    pub needed_pairs: Vec<NeededPairs>,
    /// Size by coins thrown again.
    pub size: Size,
    /// Names of the tests that accuse innocents beyond their alpha though told the truth.
    pub lying_tests: Vec<&'static str>,
    /// All expectations, each in words with whether it holds.
    pub expectations: Vec<(String, bool)>,
    /// Whether all hold.
    pub as_expected: bool,
    /// The population.
    pub models: Vec<ModelRow>,
    /// One row for each test, suspect and situation.
    pub cells: Vec<Cell>,
}

/// Sums cells up.
fn rate<'a>(cells: impl Iterator<Item = &'a Cell>) -> Rate {
    let (mut count, mut n) = (0, 0);
    for cell in cells {
        n += 1;
        count += u64::from(cell.accuses);
    }
    Rate::new(count, n)
}

/// Models that a test accuses in any of their audits, of all models; the audits of one model
/// share its scores, so the model is the unit.
fn models_accused<'a>(cells: impl Iterator<Item = &'a Cell>) -> Rate {
    let mut models: BTreeMap<&str, bool> = BTreeMap::new();
    for cell in cells {
        *models.entry(&cell.model).or_default() |= cell.accuses;
    }
    let count = models.values().filter(|accused| **accused).count() as u64;
    Rate::new(count, models.len() as u64)
}

/// Rates of each test.
pub(super) fn test_rows(cells: &[Cell], n_teachers: u64, alpha: f64) -> Vec<TestRow> {
    let fair = |test: &'static str| {
        cells
            .iter()
            .filter(move |c| c.test == test && c.truth == Truth::Innocent && c.situation.is_fair())
    };
    // A model is asked once in each fair situation: by Bonferroni its chance is at most this.
    let situations = Situation::ALL.into_iter().filter(|s| s.is_fair()).count();
    let bound = alpha * situations as f64;
    BATTERY
        .iter()
        .map(|test| {
            let all = models_accused(fair(test.name));
            let teachers = usize::try_from(n_teachers).unwrap_or(0);
            TestRow {
                name: test.name,
                exact: test.exact,
                what: test.what,
                by_teacher: (0..teachers)
                    .map(|t| models_accused(fair(test.name).filter(move |c| c.teacher == t)))
                    .collect(),
                lies: clopper_pearson(all.count, all.n, 0.05).0 > bound,
                false_positives: all,
            }
        })
        .collect()
}

/// Rates of each kind in each situation, in the order of the plan.
pub(super) fn kind_rows(cells: &[Cell], plan: &Plan, truth: Truth) -> Vec<KindRow> {
    let mut rows = Vec::new();
    for kind in plan.kinds.iter().filter(|k| k.truth == truth) {
        for situation in Situation::ALL {
            let of = |test: &'static str| {
                rate(cells.iter().filter(move |c| {
                    c.test == test && c.kind == kind.name && c.situation == situation
                }))
            };
            let rates: Vec<Rate> = BATTERY.iter().map(|t| of(t.name)).collect();
            if rates.iter().any(|r| r.n > 0) {
                rows.push(KindRow { kind: kind.name, truth, situation, rates });
            }
        }
    }
    rows
}

/// Smallest dose of six passes that the shipped audit finds in 80% of its models.
pub(super) fn minimum_dose(power: &[KindRow], plan: &Plan) -> Option<f64> {
    let mut found: Vec<f64> = plan
        .kinds
        .iter()
        .filter(|k| k.passes == 6)
        .filter_map(|kind| {
            let Diet::Released { dose } = kind.diet else { return None };
            let row = power.iter().find(|r| r.kind == kind.name)?;
            (row.rates.first()?.rate? >= super::measure::POWER).then_some(dose)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found.first().copied()
}

/// What must hold, each in words.
pub(super) fn expectations(
    tests: &[TestRow],
    power: &[KindRow],
    size: &Size,
    alpha: f64,
) -> Vec<(String, bool)> {
    let mut list = Vec::new();
    for test in tests.iter().filter(|t| t.exact) {
        list.push((
            format!(
                "{} accuses no more innocents than alpha = {alpha} allows ({} of {} models)",
                test.name, test.false_positives.count, test.false_positives.n
            ),
            !test.lies,
        ));
    }
    if let Some(row) = power.iter().find(|r| r.kind == super::plan::WHOLE)
        && let Some(twins) = row.rates.first()
    {
        list.push((
            format!("twins finds students of the whole diet ({} of {})", twins.count, twins.n),
            twins.rate.is_some_and(|r| r >= super::measure::POWER),
        ));
    }
    if size.n_throws > 0 {
        // Exceeded only if the whole 99.99% interval lies above.
        let holds = |rate: &Rate, alpha: f64| clopper_pearson(rate.count, rate.n, 1e-4).0 <= alpha;
        let all =
            size.levels.iter().all(|l| holds(&l.pooled, l.alpha) && holds(&l.e_value, l.alpha))
                && holds(&size.verdict, 0.05);
        list.push((
            format!("coins thrown again {} times keep the size at every level", size.n_throws),
            all,
        ));
    }
    list
}
