//! What is usual in the population, as groups are compared with it.

use crate::interchange::collision;
use crate::measure::median;
use crate::rhythm::quiet;
use crate::sketch::{ACTIVE_HOURS, AccountSketch, Record};

/// Records sampled over the population for what needs pairs of them.
const RECORDS_MAX: usize = 20_000;
/// Share of records above which a word says nothing of the subject.
const COMMON_WORD_SHARE: f64 = 0.2;

/// The usual.
#[derive(Debug, Clone, Default)]
pub(crate) struct Baseline {
    /// The last hour with activity, since the epoch.
    pub(crate) until_hour: u32,
    /// Share of all active hours that fall `i` hours before that one.
    pub(crate) active: Vec<f64>,
    /// Chance that two content words of two records agree.
    pub(crate) topic_collision: f64,
    /// Exchanges of an account that one in a hundred exceeds.
    pub(crate) large_volume: f64,
    /// Tokens of an answer, median of the accounts' means.
    pub(crate) answer_tokens: f64,
    /// Share of requests that ask for the reasoning, mean over accounts.
    pub(crate) reasoning: f64,
    /// Share of an account's traffic in its quietest six hours, times 4; mean over accounts.
    pub(crate) quiet: f64,
    /// Networks per account, mean.
    pub(crate) networks: f64,
    /// Share of gaps far below the mean gap, median over accounts.
    pub(crate) bursts: f64,
}

impl Baseline {
    pub(crate) fn of(sketches: &[&AccountSketch]) -> Self {
        let until_hour = sketches.iter().map(|s| s.active_until).max().unwrap_or(0);
        let mut active = vec![0.0f64; ACTIVE_HOURS as usize];
        for sketch in sketches {
            for (back, sum) in (0..ACTIVE_HOURS).zip(active.iter_mut()) {
                if until_hour.checked_sub(back).is_some_and(|hour| sketch.active_in(hour)) {
                    *sum += 1.0;
                }
            }
        }
        let total: f64 = active.iter().sum::<f64>().max(1.0);
        for share in &mut active {
            *share /= total;
        }
        let mean = |of: &dyn Fn(&AccountSketch) -> f64| {
            sketches.iter().map(|s| of(s) / f64::from(s.n.max(1))).sum::<f64>()
                / sketches.len().max(1) as f64
        };
        let answers: Vec<f64> =
            sketches.iter().map(|s| s.sum_answer_tokens as f64 / f64::from(s.n.max(1))).collect();
        let mut volumes: Vec<u32> = sketches.iter().map(|s| s.n).collect();
        volumes.sort_unstable();
        let large = volumes.get(volumes.len() * 99 / 100).copied().unwrap_or(u32::MAX);
        Self {
            large_volume: f64::from(large),
            until_hour,
            active,
            topic_collision: topic_collision(sketches),
            answer_tokens: median(&answers),
            reasoning: mean(&|s| f64::from(s.n_asking_reasoning)),
            quiet: mean(&|s| f64::from(s.n) * quiet(&s.hours.map(f64::from))),
            networks: mean(&|s| f64::from(s.n) * s.networks.entries().len() as f64),
            bursts: median(&sketches.iter().filter_map(|s| s.bursts()).collect::<Vec<f64>>()),
        }
    }
}

/// Over an even sample of accounts, a few records of each.
fn topic_collision(sketches: &[&AccountSketch]) -> f64 {
    let per_account = 4;
    let step = sketches.len().div_ceil(RECORDS_MAX / per_account).max(1);
    let records: Vec<(u32, &Record)> = sketches
        .iter()
        .zip(0..)
        .step_by(step)
        .flat_map(|(s, i)| s.records.entries().iter().take(per_account).map(move |r| (i, r)))
        .collect();
    let mut words: Vec<(u32, u32)> = records
        .iter()
        .flat_map(|(i, r)| r.topics.iter().filter(|t| **t != 0).map(|t| (u32::from(*t), *i)))
        .collect();
    words.sort_unstable();
    let limit = (COMMON_WORD_SHARE * records.len() as f64).max(2.0);
    let mut kept = Vec::with_capacity(words.len());
    for group in words.chunk_by(|x, y| x.0 == y.0) {
        if group.len() as f64 <= limit {
            kept.extend_from_slice(group);
        }
    }
    collision(&kept, kept.len() as f64 / records.len().max(1) as f64)
}
