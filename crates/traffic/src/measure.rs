//! What a group of accounts looks like together: numbers, no judgement.
//!
//! The measures that matter most compare what lies *within* accounts with what lies *between*
//! them ([`crate::interchange`]); others say what ties members together ([`crate::ties`]), how
//! they behave in time ([`crate::rhythm`]) and what text they share ([`crate::group_text`]).

use crate::baseline::Baseline;
use crate::group_text::{coverage, has_text};
use crate::interchange::{intraclass, labels, own, repeats, topics, volumes};
use crate::rhythm::{bursts_of_times, quiet};
use crate::shared::Shared;
use crate::sketch::{AccountSketch, Record};
use crate::sketches::Held;
use crate::survey::Facts;
use crate::ties::{infrastructure, synchrony};

/// The indexes that groups are measured against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The sketches at hand: at least those of the accounts that are looked at.
    pub(crate) held: &'a Held<'a>,
    pub(crate) facts: &'a [Facts],
    pub(crate) text: &'a Shared,
    pub(crate) networks: &'a Shared,
    pub(crate) clients: &'a Shared,
    pub(crate) prompts: &'a Shared,
    pub(crate) baseline: &'a Baseline,
}

/// What a group looks like.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measures {
    pub(crate) n_members: usize,
    /// Records that the rest is measured on: those with the group's text where it has one.
    pub(crate) n_records: usize,
    /// Exchanges of a member, median.
    pub(crate) exchanges: f64,
    /// Requests with the group's text per conversation that a member opens, median over members.
    pub(crate) coverage: f64,
    /// Share of records that continue a conversation.
    pub(crate) conversing: f64,
    /// Share of records that contain an earlier answer.
    pub(crate) using_answers: f64,
    /// Share of records that ask for the reasoning.
    pub(crate) reasoning: f64,
    /// Share of prompts that another member has too, retries apart.
    pub(crate) repeated_across: f64,
    /// Share of prompts that any other account has too, retries apart.
    pub(crate) repeated_anywhere: f64,
    /// Share of requests that repeat a prompt of the same account.
    pub(crate) repeated_within: f64,
    /// Prompts that a second member retried.
    pub(crate) n_quick_repeats: usize,
    /// Intraclass correlation of the logarithm of prompt lengths: 0 interchangeable, 1 own habits.
    pub(crate) icc_words: f64,
    /// The same of answer lengths.
    pub(crate) icc_answers: f64,
    /// Equal subjects within an account against between accounts: 1 interchangeable.
    pub(crate) own_topics: f64,
    /// Equal thirds of the day within an account against between accounts.
    pub(crate) own_hours: f64,
    /// Equal parameters within an account against between accounts.
    pub(crate) own_parameters: f64,
    /// Coefficient of variation of the members' volumes (of the group's text, where it has one).
    pub(crate) volume_cv: f64,
    /// Variance over mean of these volumes: 1 if requests are dealt out at random, less in turn.
    pub(crate) volume_dispersion: f64,
    /// Share of traffic in the quietest six hours of the day, times 4: 1 flat, people near 0.1.
    pub(crate) quiet: f64,
    /// Records with the commonest parameters.
    pub(crate) uniform_profile: f64,
    /// Networks per account (of those kept), median.
    pub(crate) networks_per_account: f64,
    /// Members that share a network with another member which few outside have.
    pub(crate) network_linked: f64,
    /// Networks that link members.
    pub(crate) n_linking_networks: usize,
    /// Members with the commonest client (name and parameters).
    pub(crate) client_share: f64,
    /// The same among accounts outside.
    pub(crate) client_share_outside: f64,
    /// Members with the commonest parameters, and accounts outside with them.
    pub(crate) profile_share: f64,
    pub(crate) profile_share_outside: f64,
    /// Tokens of answers against the population's median.
    pub(crate) answers_ratio: f64,
    /// Variance of members active per hour, against independent members: 1 independent.
    pub(crate) synchrony: f64,
    /// Members that ask at the group's commonest regular pace, share.
    pub(crate) cadence: f64,
    /// How broad the subjects are against the population's: 1 as broad.
    pub(crate) breadth: f64,
    /// Share of gaps far below the mean gap: 0.12 if memoryless, people (sessions) 0.5 and more.
    pub(crate) bursts: f64,
}

impl Measures {
    /// All of them by name.
    pub(crate) fn named(&self) -> Vec<(String, f64)> {
        [
            ("members", self.n_members as f64),
            ("records", self.n_records as f64),
            ("exchanges", self.exchanges),
            ("coverage", self.coverage),
            ("conversing", self.conversing),
            ("using_answers", self.using_answers),
            ("reasoning", self.reasoning),
            ("repeated_across", self.repeated_across),
            ("repeated_anywhere", self.repeated_anywhere),
            ("repeated_within", self.repeated_within),
            ("quick_repeats", self.n_quick_repeats as f64),
            ("icc_words", self.icc_words),
            ("icc_answers", self.icc_answers),
            ("own_topics", self.own_topics),
            ("own_hours", self.own_hours),
            ("own_parameters", self.own_parameters),
            ("volume_cv", self.volume_cv),
            ("volume_dispersion", self.volume_dispersion),
            ("quiet", self.quiet),
            ("uniform_profile", self.uniform_profile),
            ("networks_per_account", self.networks_per_account),
            ("network_linked", self.network_linked),
            ("linking_networks", self.n_linking_networks as f64),
            ("client_share", self.client_share),
            ("client_share_outside", self.client_share_outside),
            ("profile_share", self.profile_share),
            ("profile_share_outside", self.profile_share_outside),
            ("answers_ratio", self.answers_ratio),
            ("synchrony", self.synchrony),
            ("cadence", self.cadence),
            ("breadth", self.breadth),
            ("bursts", self.bursts),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

/// The sketches of the members.
pub(crate) fn sketches<'a>(
    context: &Context<'a>,
    members: &[u32],
) -> impl Iterator<Item = &'a AccountSketch> {
    members.iter().filter_map(|i| context.held.get(*i))
}

/// Measures a group. Where `items` cover its members' traffic by more than `coverage_min`, only
/// the records that have them are looked at: the rest may be cover.
pub(crate) fn measure(
    context: &Context<'_>,
    members: &[u32],
    items: &[u32],
    coverage_min: f64,
) -> Measures {
    let coverages: Vec<f64> = sketches(context, members).map(|s| coverage(s, items)).collect();
    let coverage = median(&coverages);
    let body: Vec<(u32, &Record)> = sketches(context, members)
        .zip(0..)
        .flat_map(|(sketch, i)| sketch.records.entries().iter().map(move |r| (i, r)))
        .filter(|(_, r)| coverage < coverage_min || has_text(r, items))
        .collect();
    // A request that failed has no answer, short or long.
    let answered: Vec<(u32, &Record)> =
        body.iter().filter(|(_, r)| !r.has(Record::FAILED)).copied().collect();
    let share = |test: &dyn Fn(&Record) -> bool| {
        body.iter().filter(|(_, r)| test(r)).count() as f64 / body.len().max(1) as f64
    };
    let mut m = Measures {
        n_members: members.len(),
        n_records: body.len(),
        coverage,
        conversing: share(&|r| r.n_messages > 2),
        using_answers: using_answers(context, members, |r| {
            coverage < coverage_min || has_text(r, items)
        }),
        reasoning: share(&|r| r.has(Record::ASKS_REASONING)),
        repeated_within: body.iter().map(|(_, r)| f64::from(r.n) - 1.0).sum::<f64>()
            / body.iter().map(|(_, r)| f64::from(r.n)).sum::<f64>().max(1.0),
        icc_words: intraclass(&body, |r| (f64::from(r.words) + 1.0).log2()),
        icc_answers: intraclass(&answered, |r| (f64::from(r.answer_tokens) + 1.0).log2()),
        own_hours: own(&mut labels(&body, |r| vec![r.time_s / 3600 % 24 / 8]), &body, 1),
        own_parameters: own(&mut labels(&body, |r| vec![u32::from(r.profile)]), &body, 1),
        uniform_profile: commonest(body.iter().map(|(_, r)| u32::from(r.profile)).collect()),
        answers_ratio: {
            let lengths: Vec<f64> =
                answered.iter().map(|(_, r)| f64::from(r.answer_tokens)).collect();
            median(&lengths) / context.baseline.answer_tokens.max(1.0)
        },
        ..Measures::default()
    };
    repeats(context, members, &body, &mut m);
    topics(context, &body, &mut m);
    let by_text = coverage >= coverage_min;
    volumes(context, members, by_text.then_some(items), &mut m);
    rhythm(context, members, &body, &mut m);
    infrastructure(context, members, &mut m);
    m.synchrony = synchrony(context, members);
    m
}

/// Of the records of which it can be told, the share that contain an earlier answer.
fn using_answers(context: &Context<'_>, members: &[u32], keep: impl Fn(&Record) -> bool) -> f64 {
    let (mut told, mut used) = (0u32, 0u32);
    for sketch in sketches(context, members) {
        for (record, uses) in sketch.records.entries().iter().zip(sketch.uses_answers()) {
            if let (Some(uses), true) = (uses, keep(record)) {
                told += 1;
                used += u32::from(uses);
            }
        }
    }
    f64::from(used) / f64::from(told.max(1))
}

/// Hours of the day and sessions.
fn rhythm(context: &Context<'_>, members: &[u32], body: &[(u32, &Record)], m: &mut Measures) {
    let mut hours = [0.0; 24];
    let mut bursts_seen = Vec::new();
    let mut times: Vec<u32> = Vec::new();
    let mut of_member = body.chunk_by(|x, y| x.0 == y.0).peekable();
    for (i, sketch) in (0u32..).zip(sketches(context, members)) {
        let own =
            of_member.next_if(|g| g.first().is_some_and(|(a, _)| *a == i)).unwrap_or_default();
        // Every member weighs the same, however much it asks.
        for (_, r) in own {
            if let Some(sum) = hours.get_mut(r.time_s as usize / 3600 % 24) {
                *sum += 1.0 / own.len() as f64;
            }
        }
        // Where the sample holds all requests, gaps are those of the group's text alone.
        if sketch.records.entries().len() < crate::sketch::RECORDS {
            times.clear();
            times.extend(own.iter().map(|(_, r)| r.time_s));
            bursts_seen.extend(bursts_of_times(&mut times));
        } else {
            bursts_seen.extend(sketch.bursts());
        }
    }
    m.quiet = quiet(&hours);
    m.cadence = {
        let mut paces: Vec<usize> =
            sketches(context, members).filter_map(AccountSketch::pace).collect();
        paces.sort_unstable();
        // Neighbouring bins count as one: a pace near a power of two falls on both sides.
        let of = |bin: usize| paces.iter().filter(|p| **p == bin || **p == bin + 1).count();
        let most = paces.iter().map(|p| of(*p)).max().unwrap_or(0);
        most as f64 / members.len().max(1) as f64
    };
    m.bursts = median(&bursts_seen);
}

fn commonest(mut labels: Vec<u32>) -> f64 {
    labels.sort_unstable();
    let top = labels.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0);
    top as f64 / labels.len().max(1) as f64
}

/// The median; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted.get(n / 2).copied().unwrap_or(0.0),
        n => sorted.get(n / 2 - 1..=n / 2).map_or(0.0, |two| two.iter().sum::<f64>() / 2.0),
    }
}
