//! The ten statistics of an account, each turned so that harvesting is at the upper end.
//!
//! | statistic | harvesting | who else |
//! | --- | --- | --- |
//! | `volume` | asks more than others | any large customer |
//! | `novelty` | never asks the same twice | translators, writers |
//! | `topics` | covers many subjects, evenly | curious people, evaluation |
//! | `regular_lengths` | prompts of one size | forms, plug-ins |
//! | `template_share` | the same frame around each question | every application |
//! | `asks_reasoning` | wants the reasoning spelled out | students, evaluation |
//! | `uniform_parameters` | one set of parameters, set by hand | every application |
//! | `no_night` | asks at all hours alike | batch jobs, monitoring |
//! | `no_depth` | never continues a conversation | translators, plug-ins |
//! | `no_use` | never quotes an answer | the same |
//!
//! Each alone accuses innocents; together, compared within a stratum, they rank accounts.

use crate::sketch::{AccountSketch, BINS, Record};
use std::ops::Range;

/// Names of the statistics, in the order of [`Statistics::values`].
pub const STATISTICS: [&str; 10] = [
    "volume",
    "novelty",
    "topics",
    "regular_lengths",
    "template_share",
    "asks_reasoning",
    "uniform_parameters",
    "no_night",
    "no_depth",
    "no_use",
];

/// The ten statistics of an account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// In the order of [`STATISTICS`].
    pub values: [f64; 10],
}

impl AccountSketch {
    /// The ten statistics.
    pub fn statistics(&self) -> Statistics {
        let n = f64::from(self.n.max(1));
        let records = self.records.entries();
        let days = (self.last_ms.abs_diff(self.first_ms) as f64 / 86_400_000.0).max(1.0);
        let values = [
            if self.n == 0 { 0.0 } else { n / days },
            // Different prompts over requests; the estimate of the former may exceed the latter.
            (self.records.distinct() / n).min(1.0),
            topics(records),
            1.0 / (1.0 + spread(&self.lengths)),
            template_share(records),
            f64::from(self.n_asking_reasoning) / n,
            top(self.profiles.entries().iter().map(|p| p.n)) / n,
            flatness(&self.hours),
            1.0 - f64::from(self.n_conversing) / n,
            1.0 - self.answers_used(),
        ];
        Statistics { values }
    }
}

/// Coverage and evenness of subjects: chance that content words of two prompts differ.
fn topics(records: &[Record]) -> f64 {
    let mut words: Vec<u16> =
        records.iter().flat_map(|r| r.topics).filter(|topic| *topic != 0).collect();
    words.sort_unstable();
    let n = words.len() as f64;
    let limit = (records.len() / 5).max(1);
    let kept = words.chunk_by(|a, b| a == b).filter(|g| g.len() <= limit);
    let equal: f64 = kept.map(|g| g.len() as f64 * (g.len() as f64 - 1.0)).sum();
    if n < 2.0 { 0.0 } else { 1.0 - equal / (n * (n - 1.0)) }
}

/// Standard deviation of the logarithm (base 2) of lengths.
fn spread(lengths: &[u16; BINS]) -> f64 {
    let n: f64 = lengths.iter().map(|l| f64::from(*l)).sum();
    let mean = weighted(lengths, |bin| bin) / n.max(1.0);
    (weighted(lengths, |bin| (bin - mean).powi(2)) / n.max(1.0)).sqrt()
}

fn weighted(lengths: &[u16; BINS], of: impl Fn(f64) -> f64) -> f64 {
    lengths.iter().zip(0u8..).map(|(l, bin)| f64::from(*l) * of(f64::from(bin))).sum()
}

/// Share of prompts with the account's commonest piece of text.
fn template_share(records: &[Record]) -> f64 {
    let mut items: Vec<u32> = records.iter().flat_map(Record::text_items).collect();
    items.sort_unstable();
    let most = items.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0);
    if records.len() < 2 || most < 2 { 0.0 } else { most as f64 / records.len() as f64 }
}

fn top(counts: impl Iterator<Item = u32>) -> f64 {
    f64::from(counts.max().unwrap_or(0))
}

/// Chance that two requests fall into different hours of the day, over that of flat traffic; the
/// estimate is unbiased, so accounts with few requests don't look less flat.
fn flatness(hours: &[u16; 24]) -> f64 {
    let n: f64 = hours.iter().map(|h| f64::from(*h)).sum();
    let equal: f64 = hours.iter().map(|h| f64::from(*h) * (f64::from(*h) - 1.0)).sum();
    if n < 2.0 { 0.0 } else { (1.0 - equal / (n * (n - 1.0))) / (1.0 - 1.0 / 24.0) }
}

/// Ranks of accounts within their strata.
///
/// For each account and statistic `(1 + accounts of the stratum at least as high) / (1 +
/// accounts of the stratum)`. On unlabelled logs, which may hold harvesters, these are scores:
/// no error rate follows from them. Kept in single precision: there may be a million.
#[derive(Debug, Default)]
pub(crate) struct Ranks {
    /// Ascending by place.
    ranked: Vec<Ranked>,
    /// Medians of each stratum.
    medians: Vec<[f64; 10]>,
}

/// An account among its like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranked {
    /// The account's place.
    pub(crate) place: u32,
    plan: u32,
    n: u32,
    stratum: u32,
    values: [f32; 10],
    ranks: [f32; 10],
    /// Mean over the statistics of `1 − rank`.
    pub(crate) score: f32,
}

impl Ranked {
    pub(crate) fn values(&self) -> [f64; 10] {
        self.values.map(double)
    }

    pub(crate) fn ranks(&self) -> [f64; 10] {
        self.ranks.map(double)
    }
}

/// Six digits of it, as they are shown.
fn double(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

#[expect(clippy::cast_possible_truncation, reason = "kept in single precision")]
fn single(value: f64) -> f32 {
    value as f32
}

/// Accounts that a stratum needs; smaller ones are joined with the rest of their plan, then all.
const STRATUM_MIN: usize = 50;

/// Takes accounts in one by one.
#[derive(Debug, Default)]
pub(crate) struct RanksBuilder {
    ranked: Vec<Ranked>,
}

impl RanksBuilder {
    /// Takes an account in. Places ascend.
    pub(crate) fn add(&mut self, place: u32, sketch: &AccountSketch) {
        self.ranked.push(Ranked {
            place,
            plan: sketch.plan,
            n: sketch.n,
            stratum: 0,
            values: sketch.statistics().values.map(single),
            ranks: [1.0; 10],
            score: 0.0,
        });
    }

    /// Ranks within plan and decile of volume.
    pub(crate) fn finish(self) -> Ranks {
        let mut ranks = Ranks { ranked: self.ranked, medians: Vec::new() };
        ranks.ranked.sort_unstable_by_key(|r| (r.plan, r.n, r.place));
        let mut strata: Vec<Range<usize>> = Vec::new();
        let (mut left_over, mut from) = (Vec::new(), 0);
        for of_plan in ranks.ranked.chunk_by(|a, b| a.plan == b.plan) {
            let to = from + of_plan.len();
            if of_plan.len() < STRATUM_MIN {
                left_over.extend(from..to);
            } else {
                let size = of_plan.len().div_ceil(10).max(STRATUM_MIN);
                let size = of_plan.len().div_ceil((of_plan.len() / size).max(1));
                strata.extend((from..to).step_by(size).map(|at| at..(at + size).min(to)));
            }
            from = to;
        }
        for stratum in strata {
            ranks.rank(&stratum.collect::<Vec<usize>>());
        }
        ranks.rank(&left_over);
        ranks.ranked.sort_unstable_by_key(|r| r.place);
        ranks
    }
}

impl Ranks {
    fn rank(&mut self, stratum: &[usize]) {
        let name = u32::try_from(self.medians.len()).unwrap_or(u32::MAX);
        let mut medians = [0.0; 10];
        for (k, median) in medians.iter_mut().enumerate() {
            let value = |r: &Ranked| r.values.get(k).copied().unwrap_or(0.0);
            let mut sorted: Vec<f32> =
                stratum.iter().filter_map(|i| self.ranked.get(*i).map(value)).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            if let Some(middle) = sorted.get(sorted.len() / 2) {
                *median = double(*middle);
            }
            for i in stratum {
                let Some(ranked) = self.ranked.get_mut(*i) else { continue };
                let own = value(ranked);
                let below = sorted.partition_point(|v| *v < own);
                if let Some(rank) = ranked.ranks.get_mut(k) {
                    *rank = single((1 + sorted.len() - below) as f64 / (1 + sorted.len()) as f64);
                }
            }
        }
        self.medians.push(medians);
        for i in stratum {
            if let Some(ranked) = self.ranked.get_mut(*i) {
                ranked.stratum = name;
                let sum: f64 = ranked.ranks.iter().map(|r| f64::from(*r)).sum();
                ranked.score = single(1.0 - sum / 10.0);
            }
        }
    }

    /// The account at a place, and the medians of its stratum; none where it is too little known.
    pub(crate) fn get(&self, place: u32) -> Option<(&Ranked, &[f64; 10])> {
        let i = self.ranked.binary_search_by_key(&place, |r| r.place).ok()?;
        let ranked = self.ranked.get(i)?;
        Some((ranked, self.medians.get(ranked.stratum as usize)?))
    }

    /// All of them, ascending by place.
    pub(crate) fn all(&self) -> &[Ranked] {
        &self.ranked
    }
}
