//! What is usual in the population, as groups are compared with it.

use crate::features::TOPICS;
use crate::interchange::collision;
use crate::measure::median;
use crate::rhythm::quiet;
use crate::sketch::{ACTIVE_HOURS, AccountSketch};
use std::collections::BTreeMap;

/// Records sampled over the population for what needs pairs of them.
const RECORDS_MAX: usize = 20_000;
/// Of each account in the sample.
const RECORDS_PER_ACCOUNT: usize = 4;
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

/// Takes accounts in one by one.
#[derive(Debug)]
pub(crate) struct BaselineBuilder {
    n: usize,
    /// Accounts active by hour since the epoch; only the latest [`ACTIVE_HOURS`].
    active: BTreeMap<u32, u32>,
    reasoning: f64,
    quiet: f64,
    networks: f64,
    bursts: Vec<f64>,
    /// Records of an even sample: the account's place, its words.
    records: Vec<(u32, [u16; TOPICS])>,
    /// Every so many accounts are sampled: a power of two.
    step: u32,
    n_sampled: usize,
}

impl Default for BaselineBuilder {
    fn default() -> Self {
        Self {
            n: 0,
            active: BTreeMap::new(),
            reasoning: 0.0,
            quiet: 0.0,
            networks: 0.0,
            bursts: Vec::new(),
            records: Vec::new(),
            step: 1,
            n_sampled: 0,
        }
    }
}

impl BaselineBuilder {
    /// Takes an account in. Places ascend.
    pub(crate) fn add(&mut self, place: u32, sketch: &AccountSketch) {
        self.n += 1;
        let latest = self.active.last_key_value().map_or(0, |(hour, _)| *hour);
        for back in 0..ACTIVE_HOURS {
            let Some(hour) = sketch.active_until.checked_sub(back) else { break };
            if hour.saturating_add(ACTIVE_HOURS) > latest && sketch.active_in(hour) {
                *self.active.entry(hour).or_default() += 1;
            }
        }
        let until = self.active.last_key_value().map_or(0, |(hour, _)| *hour);
        if until > latest && until >= ACTIVE_HOURS {
            self.active = self.active.split_off(&(until - ACTIVE_HOURS + 1));
        }
        self.reasoning += f64::from(sketch.n_asking_reasoning) / f64::from(sketch.n.max(1));
        self.quiet += quiet(&sketch.hours.map(f64::from));
        self.networks += sketch.networks.entries().len() as f64;
        self.bursts.extend(sketch.bursts());
        self.sample(place, sketch);
    }

    fn sample(&mut self, place: u32, sketch: &AccountSketch) {
        if !place.is_multiple_of(self.step) {
            return;
        }
        self.n_sampled += 1;
        let records = sketch.records.entries().iter().take(RECORDS_PER_ACCOUNT);
        self.records.extend(records.map(|r| (place, r.topics)));
        if self.n_sampled > RECORDS_MAX / RECORDS_PER_ACCOUNT {
            self.step = self.step.saturating_mul(2);
            self.records.retain(|(place, _)| place.is_multiple_of(self.step));
            self.n_sampled = self.n_sampled.div_ceil(2);
        }
    }

    /// `answers`: mean tokens of each account's answers; `volumes`: exchanges of each.
    pub(crate) fn finish(self, answers: &[f64], mut volumes: Vec<u32>) -> Baseline {
        let until_hour = self.active.last_key_value().map_or(0, |(hour, _)| *hour);
        let counts: Vec<f64> = (0..ACTIVE_HOURS)
            .map(|back| until_hour.checked_sub(back).and_then(|hour| self.active.get(&hour)))
            .map(|n| f64::from(n.copied().unwrap_or(0)))
            .collect();
        let total = counts.iter().sum::<f64>().max(1.0);
        volumes.sort_unstable();
        let large = volumes.get(volumes.len() * 99 / 100).copied().unwrap_or(u32::MAX);
        let n = self.n.max(1) as f64;
        Baseline {
            large_volume: f64::from(large),
            until_hour,
            active: counts.iter().map(|count| count / total).collect(),
            topic_collision: topic_collision(&self.records),
            answer_tokens: median(answers),
            reasoning: self.reasoning / n,
            quiet: self.quiet / n,
            networks: self.networks / n,
            bursts: median(&self.bursts),
        }
    }
}

/// Chance that two content words of two records agree.
fn topic_collision(records: &[(u32, [u16; TOPICS])]) -> f64 {
    let mut words: Vec<(u32, u32)> = records
        .iter()
        .flat_map(|(i, topics)| topics.iter().filter(|t| **t != 0).map(|t| (u32::from(*t), *i)))
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
