//! What an analysis keeps of every account: a few numbers, whatever the number of exchanges.

use crate::baseline::{Baseline, BaselineBuilder};
use crate::shared;
use crate::sketch::AccountSketch;
use crate::sketches::{Sketches, Source};
use crate::statistics::{Ranks, RanksBuilder};

/// Exchanges below which an account is too little known to be put into a group.
pub(crate) const EXCHANGES_MIN: u32 = 8;
/// Share of an account's requests in conversations above which it isn't compared.
const CONVERSING_MAX: f64 = 0.6;
/// Share of requests for reasoning that leaves a trace.
const REASONING_TRACE_MIN: f64 = 0.06;
/// Mean answer against the population's that leaves a trace.
const ANSWERS_TRACE_MIN: f64 = 1.1;
/// Networks of one account that leave a trace.
const NETWORKS_TRACE_MIN: usize = 3;
/// Short gaps and conversations of an account that works like a machine.
const MACHINE_BURSTS_MAX: f64 = 0.25;
const MACHINE_CONVERSING_MAX: f64 = 0.1;

/// Names, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    pub(crate) fn get(&self, place: u32) -> Option<&str> {
        let end = *self.ends.get(place as usize)?;
        let start = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before as usize)?,
            None => 0,
        };
        self.text.get(start..end)
    }
}

/// What is kept of an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) n: u32,
    /// The commonest client and the commonest profile ([`shared`]); none where unknown.
    pub(crate) client: Option<u32>,
    pub(crate) profile: Option<u32>,
    /// See [`AccountSketch::pace`].
    pub(crate) pace: Option<u8>,
    /// Tokens of an answer, mean.
    answer_tokens: f64,
    /// Whether it works like a machine: no sessions, no conversations.
    pub(crate) is_machine: bool,
    /// Whether it converses too much to be compared.
    converses: bool,
    /// Whether anything but the length of answers leaves a trace of what a flag needs.
    leaves_a_trace: bool,
}

impl Facts {
    fn of(sketch: &AccountSketch) -> Self {
        let n = f64::from(sketch.n.max(1));
        let share = |count: u32| f64::from(count) / n;
        Self {
            n: sketch.n,
            client: shared::client(sketch),
            profile: shared::profile(sketch),
            pace: sketch.pace().and_then(|bin| u8::try_from(bin).ok()),
            answer_tokens: sketch.sum_answer_tokens as f64 / n,
            is_machine: f64::from(sketch.n_conversing) <= MACHINE_CONVERSING_MAX * n
                && sketch.bursts().is_some_and(|b| b <= MACHINE_BURSTS_MAX),
            converses: share(sketch.n_conversing) > CONVERSING_MAX,
            leaves_a_trace: share(sketch.n_asking_reasoning) >= REASONING_TRACE_MIN
                || sketch.networks.entries().len() >= NETWORKS_TRACE_MIN
                || sketch.n_failed > 0,
        }
    }
}

/// The population, as far as it is kept.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) names: Names,
    pub(crate) facts: Vec<Facts>,
    pub(crate) baseline: Baseline,
    pub(crate) ranks: Ranks,
    pub(crate) n_exchanges: u64,
}

impl Survey {
    /// Goes through the population once.
    pub(crate) fn of<S: Sketches>(source: &Source<'_, S>) -> Result<Self, S::Error> {
        let (mut names, mut facts) = (Names::default(), Vec::new());
        let (mut baseline, mut ranks) = (BaselineBuilder::default(), RanksBuilder::default());
        let mut n_exchanges = 0u64;
        source.sketches.each(&mut |name, sketch| {
            let place = u32::try_from(facts.len()).unwrap_or(u32::MAX);
            names.push(name);
            facts.push(Facts::of(sketch));
            baseline.add(place, sketch);
            if sketch.n >= EXCHANGES_MIN {
                ranks.add(place, sketch);
            }
            n_exchanges = n_exchanges.saturating_add(sketch.n());
        })?;
        let answers: Vec<f64> = facts.iter().map(|f| f.answer_tokens).collect();
        let volumes = facts.iter().map(|f| f.n).collect();
        let baseline = baseline.finish(&answers, volumes);
        Ok(Self { names, facts, baseline, ranks: ranks.finish(), n_exchanges })
    }

    /// The accounts that are compared, ascending: known well enough, with any trace of what a flag
    /// needs (answers taken in bulk, or hiding), diluted by up to four fifths of cover. The others
    /// can't be in a flagged group.
    pub(crate) fn compared(&self) -> Vec<u32> {
        let long = ANSWERS_TRACE_MIN * self.baseline.answer_tokens;
        (0u32..)
            .zip(&self.facts)
            .filter(|(_, f)| f.n >= EXCHANGES_MIN && !f.converses)
            .filter(|(_, f)| f.leaves_a_trace || f.answer_tokens >= long)
            .map(|(place, _)| place)
            .collect()
    }
}
