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
/// no error rate follows from them.
#[derive(Debug)]
pub(crate) struct Ranks {
    /// Per account: mean over the statistics of `1 − rank`, and each rank.
    pub(crate) of: Vec<Option<([f64; 10], f64)>>,
    /// Medians of each stratum, and the stratum of each account.
    pub(crate) medians: Vec<[f64; 10]>,
    pub(crate) stratum: Vec<usize>,
}

/// Accounts that a stratum needs; smaller ones are joined with the rest of their plan, then all.
const STRATUM_MIN: usize = 50;

impl Ranks {
    /// Ranks accounts with at least `exchanges_min` exchanges within plan and decile of volume.
    pub(crate) fn of(sketches: &[&AccountSketch], exchanges_min: u32) -> Self {
        let statistics: Vec<Statistics> = sketches.iter().map(|s| s.statistics()).collect();
        let mut known: Vec<usize> = (0..sketches.len())
            .filter(|i| sketches.get(*i).is_some_and(|s| s.n >= exchanges_min))
            .collect();
        known.sort_by_key(|i| sketches.get(*i).map(|s| (s.plan, s.n)));
        let mut ranks = Self {
            of: vec![None; sketches.len()],
            medians: Vec::new(),
            stratum: vec![usize::MAX; sketches.len()],
        };
        let plan = |i: &usize| sketches.get(*i).map(|s| s.plan);
        let mut left_over = Vec::new();
        for of_plan in known.chunk_by(|a, b| plan(a) == plan(b)) {
            if of_plan.len() < STRATUM_MIN {
                left_over.extend_from_slice(of_plan);
                continue;
            }
            let size = of_plan.len().div_ceil(10).max(STRATUM_MIN);
            let n_strata = (of_plan.len() / size).max(1);
            for stratum in of_plan.chunks(of_plan.len().div_ceil(n_strata)) {
                ranks.add(stratum, &statistics);
            }
        }
        ranks.add(&left_over, &statistics);
        ranks
    }

    fn add(&mut self, stratum: &[usize], statistics: &[Statistics]) {
        let name = self.medians.len();
        let mut medians = [0.0; 10];
        let mut ranks = vec![[0.0; 10]; stratum.len()];
        for k in 0..STATISTICS.len() {
            let value = |i: &usize| {
                statistics.get(*i).and_then(|s| s.values.get(k)).copied().unwrap_or(0.0)
            };
            let mut sorted: Vec<f64> = stratum.iter().map(value).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            if let (Some(median), Some(middle)) = (medians.get_mut(k), sorted.get(sorted.len() / 2))
            {
                *median = *middle;
            }
            for (i, ranks) in stratum.iter().zip(&mut ranks) {
                let below = sorted.partition_point(|v| *v < value(i));
                if let Some(rank) = ranks.get_mut(k) {
                    *rank = (1 + sorted.len() - below) as f64 / (1 + sorted.len()) as f64;
                }
            }
        }
        self.medians.push(medians);
        for (i, ranks) in stratum.iter().zip(ranks) {
            let score = 1.0 - ranks.iter().sum::<f64>() / ranks.len() as f64;
            if let (Some(of), Some(stratum)) = (self.of.get_mut(*i), self.stratum.get_mut(*i)) {
                *of = Some((ranks, score));
                *stratum = name;
            }
        }
    }
}
