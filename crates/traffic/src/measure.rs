//! What a group of accounts looks like together: numbers, no judgement.
//!
//! The measures that matter most compare what lies *within* accounts with what lies *between*
//! them. People differ: each has own subjects, hours, lengths, so two prompts of one person are
//! more alike than two prompts of two persons. A question bank that is dealt out over accounts
//! makes them interchangeable: nothing tells whose prompt it is. These ratios have no unit, need
//! no training data and don't depend on what the subjects are.

use crate::baseline::Baseline;
use crate::features::item;
use crate::sample::Entry;
use crate::shared::Shared;
use crate::sketch::{ACTIVE_HOURS, AccountSketch, Record};

/// Share of a group's records above which a word belongs to its template, not to its subjects.
const TEMPLATE_WORD_SHARE: f64 = 0.2;
/// Share of a member's records above which a word belongs to its own variant of the template.
const OWN_TEMPLATE_WORD_SHARE: f64 = 0.5;
/// Members that must have a hash before it counts as the group's text.
const GROUP_ITEM_MEMBERS_MIN: u32 = 3;
/// Of all accounts that have the hash, the share that must belong to the group.
const GROUP_ITEM_SPECIFICITY_MIN: f64 = 0.5;
/// Time within which a prompt that failed is asked again from another account. Seconds.
const RETRY_AFTER_FAILURE_S: u32 = 6 * 3600;
/// Time within which a prompt is asked again though the log knows of no failure: nobody copies a
/// colleague's prompt so fast and so exactly but by machine. Seconds.
const RETRY_AT_ONCE_S: u32 = 300;
/// Gaps from which their regularity can be told.
const GAPS_MIN: usize = 8;
/// Pseudo-observations that pull ratios of small counts towards 1.
const SHRINK: f64 = 3.0;

/// The indexes that groups are measured against.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) sketches: &'a [&'a AccountSketch],
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
    /// Share of a member's records that have the group's text, median over members.
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

/// Hashes of text that are the group's own with the members that have each, sorted.
pub(crate) fn group_items(context: &Context<'_>, members: &[u32]) -> Vec<(u32, u32)> {
    let mut items = Vec::new();
    let mut own = Vec::new();
    for sketch in sketches(context, members) {
        own.clear();
        for record in sketch.records.entries() {
            own.extend(specific_items(record));
        }
        own.sort_unstable();
        own.dedup();
        items.extend_from_slice(&own);
    }
    items.sort_unstable();
    items
        .chunk_by(|a, b| a == b)
        .filter_map(|group| {
            let item = *group.first()?;
            let n = u32::try_from(group.len()).unwrap_or(u32::MAX);
            let specific =
                f64::from(n) >= GROUP_ITEM_SPECIFICITY_MIN * f64::from(context.text.accounts(item));
            (n >= GROUP_ITEM_MEMBERS_MIN && specific).then_some((item, n))
        })
        .collect()
}

/// The items that show shared text; the shape of an opening is too common to show it.
fn specific_items(record: &Record) -> impl Iterator<Item = u32> + '_ {
    record
        .items
        .iter()
        .enumerate()
        .filter(|(i, item)| *i != item::SHAPE && **item != 0)
        .map(|(_, item)| *item)
}

/// Whether the record has some of the group's text.
pub(crate) fn has_text(record: &Record, items: &[u32]) -> bool {
    specific_items(record).any(|item| items.binary_search(&item).is_ok())
}

/// Share of an account's requests that have the group's text.
pub(crate) fn coverage(sketch: &AccountSketch, items: &[u32]) -> f64 {
    let n = sketch.records.entries().len();
    let with = sketch.records.entries().iter().filter(|r| has_text(r, items)).count();
    if n == 0 { 0.0 } else { with as f64 / n as f64 }
}

fn sketches<'a>(context: &Context<'a>, members: &[u32]) -> impl Iterator<Item = &'a AccountSketch> {
    members.iter().filter_map(|i| context.sketches.get(*i as usize).copied())
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
    let share = |test: &dyn Fn(&Record) -> bool| {
        body.iter().filter(|(_, r)| test(r)).count() as f64 / body.len().max(1) as f64
    };
    let mut m = Measures {
        n_members: members.len(),
        n_records: body.len(),
        coverage,
        conversing: share(&|r| r.n_messages > 2),
        using_answers: share(&|r| r.has(Record::USES_ANSWER)),
        reasoning: share(&|r| r.has(Record::ASKS_REASONING)),
        repeated_within: body.iter().map(|(_, r)| f64::from(r.n) - 1.0).sum::<f64>()
            / body.iter().map(|(_, r)| f64::from(r.n)).sum::<f64>().max(1.0),
        icc_words: intraclass(&body, |r| (f64::from(r.words) + 1.0).log2()),
        icc_answers: intraclass(&body, |r| (f64::from(r.answer_tokens) + 1.0).log2()),
        own_hours: own(&mut labels(&body, |r| vec![r.time_s / 3600 % 24 / 8]), &body, 1),
        own_parameters: own(&mut labels(&body, |r| vec![u32::from(r.profile)]), &body, 1),
        uniform_profile: commonest(body.iter().map(|(_, r)| u32::from(r.profile)).collect()),
        answers_ratio: {
            let lengths: Vec<f64> = body.iter().map(|(_, r)| f64::from(r.answer_tokens)).collect();
            median(&lengths) / context.baseline.answer_tokens.max(1.0)
        },
        ..Measures::default()
    };
    repeats(context, members, &body, &mut m);
    topics(context, &body, &mut m);
    let by_text = coverage >= coverage_min;
    volumes(context, members, by_text.then_some(&coverages), &mut m);
    rhythm(context, members, &body, &mut m);
    infrastructure(context, members, &mut m);
    m.synchrony = synchrony(context, members);
    m
}

/// Prompts that other members have too, and those that anybody has. Samples are kept by smallest hash, so
/// below the smallest of the members' thresholds every member shows all prompts that it has;
/// members with so much traffic that they lower that threshold a lot are left out.
///
/// A prompt that two members have and no one else, asked by the second soon after it failed for
/// the first, or at once, isn't a repeat but a retry.
fn repeats(context: &Context<'_>, members: &[u32], body: &[(u32, &Record)], m: &mut Measures) {
    let mut thresholds: Vec<u32> = sketches(context, members).map(threshold).collect();
    thresholds.sort_unstable();
    let limit = thresholds.get(thresholds.len() / 10).copied().unwrap_or(u32::MAX);
    let complete: Vec<bool> = sketches(context, members).map(|s| threshold(s) >= limit).collect();
    let mut prompts: Vec<(u32, u32, u32, bool)> = body
        .iter()
        .filter(|(a, r)| r.prompt <= limit && complete.get(*a as usize) == Some(&true))
        .map(|(a, r)| (r.prompt, r.time_s, *a, r.has(Record::FAILED)))
        .collect();
    prompts.sort_unstable();
    let (mut repeated, mut anywhere) = (0usize, 0usize);
    for group in prompts.chunk_by(|x, y| x.0 == y.0) {
        let n_accounts = group.first().map_or(0, |(prompt, ..)| context.prompts.accounts(*prompt));
        match group {
            [first, second] if n_accounts == 2 && is_retry(first.1, second.1, first.3) => {
                m.n_quick_repeats += 1;
            }
            [_] if n_accounts >= 2 => anywhere += 1,
            [_] | [] => {}
            _ => repeated += group.len(),
        }
    }
    anywhere += repeated;
    m.repeated_anywhere = anywhere as f64 / prompts.len().max(1) as f64;
    m.repeated_across = repeated as f64 / prompts.len().max(1) as f64;
}

/// Whether a second asking looks like a retry of the first. Times in seconds.
pub(crate) fn is_retry(first_s: u32, second_s: u32, failed: bool) -> bool {
    second_s.saturating_sub(first_s) <= if failed { RETRY_AFTER_FAILURE_S } else { RETRY_AT_ONCE_S }
}

fn threshold(sketch: &AccountSketch) -> u32 {
    let entries = sketch.records.entries();
    match entries.last() {
        Some(last) if entries.len() == crate::sketch::RECORDS => last.key(),
        _ => u32::MAX,
    }
}

/// Own subjects and breadth.
fn topics(context: &Context<'_>, body: &[(u32, &Record)], m: &mut Measures) {
    let mut words: Vec<(u32, u32)> =
        labels(body, |r| r.topics.iter().filter(|t| **t != 0).map(|t| u32::from(*t)).collect());
    words.sort_unstable();
    // Words of the template say nothing of the subject, nor do those of a member's own variant.
    let limit = (TEMPLATE_WORD_SHARE * body.len() as f64).max(2.0);
    let mut n_own = vec![0usize; m.n_members];
    for (a, _) in body {
        if let Some(n) = n_own.get_mut(*a as usize) {
            *n += 1;
        }
    }
    let mut kept = Vec::with_capacity(words.len());
    for group in words.chunk_by(|x, y| x.0 == y.0).filter(|g| g.len() as f64 <= limit) {
        for own in group.chunk_by(|x, y| x.1 == y.1) {
            let n = own.first().and_then(|(_, a)| n_own.get(*a as usize)).copied().unwrap_or(0);
            if own.len() as f64 <= (OWN_TEMPLATE_WORD_SHARE * n as f64).max(2.0) {
                kept.extend_from_slice(own);
            }
        }
    }
    let per_record = kept.len() as f64 / body.len().max(1) as f64;
    m.breadth = context.baseline.topic_collision / collision(&kept, per_record).max(1e-9);
    m.own_topics = own(&mut kept, body, 4);
}

/// Labels of records, each with its member.
fn labels(body: &[(u32, &Record)], of: impl Fn(&Record) -> Vec<u32>) -> Vec<(u32, u32)> {
    body.iter().flat_map(|(a, r)| of(r).into_iter().map(move |label| (label, *a))).collect()
}

/// Chance that two labels of different records agree.
pub(crate) fn collision(labels: &[(u32, u32)], per_record: f64) -> f64 {
    let n = labels.len() as f64;
    let equal: f64 = labels.chunk_by(|x, y| x.0 == y.0).map(|g| pairs(g.len())).sum();
    let all = n * (n - per_record.max(1.0)) / 2.0;
    if all <= 0.0 { 1.0 } else { (equal + 1.0) / (all + 1.0) }
}

/// Equal labels of two records of one account against two records of two accounts.
fn own(labels: &mut [(u32, u32)], body: &[(u32, &Record)], per_record_max: usize) -> f64 {
    labels.sort_unstable();
    let (mut equal, mut equal_within) = (0.0, 0.0);
    for group in labels.chunk_by(|x, y| x.0 == y.0) {
        equal += pairs(group.len());
        equal_within += group.chunk_by(|x, y| x.1 == y.1).map(|g| pairs(g.len())).sum::<f64>();
    }
    let per_record =
        (labels.len() as f64 / body.len().max(1) as f64).clamp(1.0, per_record_max as f64);
    let mut of_account = vec![0usize; body.iter().map(|(a, _)| *a as usize + 1).max().unwrap_or(0)];
    for (_, account) in labels.iter() {
        if let Some(n) = of_account.get_mut(*account as usize) {
            *n += 1;
        }
    }
    let different = |n: f64| (n * (n - per_record) / 2.0).max(0.0);
    let within: f64 = of_account.iter().map(|n| different(*n as f64)).sum();
    let all = different(labels.len() as f64);
    let between = (all - within).max(1.0);
    let expected = within * (equal - equal_within) / between;
    (equal_within + SHRINK) / (expected + SHRINK)
}

fn pairs(n: usize) -> f64 {
    let n = n as f64;
    n * (n - 1.0) / 2.0
}

/// Intraclass correlation of one-way random effects, ICC(1) (Shrout and Fleiss 1979), at least 0.
fn intraclass(body: &[(u32, &Record)], of: impl Fn(&Record) -> f64) -> f64 {
    let n_groups = body.iter().map(|(a, _)| *a as usize + 1).max().unwrap_or(0);
    let mut sums = vec![(0.0, 0.0, 0.0); n_groups];
    for (a, r) in body {
        let x = of(r);
        if let Some((n, sum, squares)) = sums.get_mut(*a as usize) {
            *n += 1.0;
            *sum += x;
            *squares += x * x;
        }
    }
    sums.retain(|(n, _, _)| *n > 0.0);
    let k = sums.len() as f64;
    let n: f64 = sums.iter().map(|s| s.0).sum();
    if k < 2.0 || n <= k {
        return 0.0;
    }
    let mean = sums.iter().map(|s| s.1).sum::<f64>() / n;
    let between: f64 =
        sums.iter().map(|(n, s, _)| n * (s / n - mean).powi(2)).sum::<f64>() / (k - 1.0);
    let within: f64 = sums.iter().map(|(n, s, q)| q - s * s / n).sum::<f64>().max(0.0) / (n - k);
    let size = (n - sums.iter().map(|s| s.0 * s.0).sum::<f64>() / n) / (k - 1.0);
    let total = between + (size - 1.0) * within;
    if total <= 1e-12 { 0.0 } else { ((between - within) / total).clamp(0.0, 1.0) }
}

/// How evenly the work is spread.
fn volumes(context: &Context<'_>, members: &[u32], coverages: Option<&Vec<f64>>, m: &mut Measures) {
    let volumes: Vec<f64> = sketches(context, members)
        .enumerate()
        .map(|(i, s)| f64::from(s.n) * coverages.and_then(|c| c.get(i)).copied().unwrap_or(1.0))
        .collect();
    let n = volumes.len().max(1) as f64;
    let mean = volumes.iter().sum::<f64>() / n;
    let variance = volumes.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    m.exchanges = median(&sketches(context, members).map(|s| f64::from(s.n)).collect::<Vec<f64>>());
    m.volume_cv = variance.sqrt() / mean.max(1e-9);
    m.volume_dispersion = variance / mean.max(1e-9);
    let networks: Vec<f64> =
        sketches(context, members).map(|s| s.networks.entries().len() as f64).collect();
    m.networks_per_account = median(&networks);
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
            bursts_seen.extend(bursts(sketch));
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

/// Share of gaps below an eighth of the mean gap; none where there are too few to say.
fn bursts_of_times(times: &mut [u32]) -> Option<f64> {
    times.sort_unstable();
    let (first, last) = (times.first()?, times.last()?);
    let n = times.len() - 1;
    if n < GAPS_MIN {
        return None;
    }
    let limit = f64::from(last - first) / n as f64 / 8.0;
    let short =
        times.iter().zip(times.iter().skip(1)).filter(|(a, b)| f64::from(**b - **a) < limit);
    Some(short.count() as f64 / n as f64)
}

/// Share of the quietest six hours in a row, times 4.
pub(crate) fn quiet(hours: &[f64; 24]) -> f64 {
    let total: f64 = hours.iter().sum();
    let windows = (0..24).map(|from| hours.iter().cycle().skip(from).take(6).sum::<f64>());
    4.0 * windows.fold(f64::INFINITY, f64::min) / total.max(1e-9)
}

/// Share of gaps below an eighth of the mean gap; none where there are too few to say.
pub(crate) fn bursts(sketch: &AccountSketch) -> Option<f64> {
    let n: u32 = sketch.gaps.iter().map(|g| u32::from(*g)).sum();
    if (n as usize) < GAPS_MIN {
        return None;
    }
    let mean_s = sketch.last_ms.abs_diff(sketch.first_ms) / 1000 / u64::from(n);
    let below = (mean_s / 8).max(1).ilog2() as usize;
    let short: u32 = sketch.gaps.iter().take(below).map(|g| u32::from(*g)).sum();
    Some(f64::from(short) / f64::from(n))
}

/// Networks and clients that members share.
fn infrastructure(context: &Context<'_>, members: &[u32], m: &mut Measures) {
    let mut owners: Vec<(u32, u32)> = sketches(context, members)
        .zip(0..)
        .flat_map(|(s, i)| s.networks.entries().iter().map(move |e| (e.hash, i)))
        .collect();
    owners.sort_unstable();
    let mut linked = vec![false; members.len()];
    for group in owners.chunk_by(|x, y| x.0 == y.0) {
        let Some((hash, _)) = group.first() else { continue };
        let specific = group.len() as f64
            >= GROUP_ITEM_SPECIFICITY_MIN * f64::from(context.networks.accounts(*hash));
        if group.len() < 2 || !specific {
            continue;
        }
        m.n_linking_networks += 1;
        for (_, i) in group {
            if let Some(linked) = linked.get_mut(*i as usize) {
                *linked = true;
            }
        }
    }
    m.network_linked = linked.iter().filter(|l| **l).count() as f64 / members.len().max(1) as f64;
    (m.client_share, m.client_share_outside) = shares(context, members, crate::shared::client);
    (m.profile_share, m.profile_share_outside) = shares(context, members, crate::shared::profile);
}

/// The share of members that agree on the commonest value, and that of the others that have it.
fn shares(
    context: &Context<'_>,
    members: &[u32],
    of: impl Fn(&AccountSketch) -> Option<u32>,
) -> (f64, f64) {
    let mut values: Vec<u32> = sketches(context, members).filter_map(of).collect();
    values.sort_unstable();
    let top = values.chunk_by(|a, b| a == b).max_by_key(|g| g.len());
    let (hash, n) = top.and_then(|g| g.first().map(|h| (*h, g.len()))).unwrap_or((0, 0));
    let outside = (context.sketches.len() - members.len()).max(1) as f64;
    let n_outside = f64::from(context.clients.accounts(hash)) - n as f64;
    (n as f64 / members.len().max(1) as f64, n_outside.max(0.0) / outside)
}

/// Members active per hour: variance against that of members who are active independently of
/// each other at the hours at which the population is.
fn synchrony(context: &Context<'_>, members: &[u32]) -> f64 {
    let until = context.baseline.until_hour;
    let mut active = vec![0.0; ACTIVE_HOURS as usize];
    let mut total = 0.0;
    for sketch in sketches(context, members) {
        for (back, sum) in (0..ACTIVE_HOURS).zip(active.iter_mut()) {
            if until.checked_sub(back).is_some_and(|hour| sketch.active_in(hour)) {
                *sum += 1.0;
                total += 1.0;
            }
        }
    }
    let (mut dispersion, mut n) = (0.0, 0.0);
    for (seen, usual) in active.iter().zip(&context.baseline.active) {
        let expected = total * usual;
        if expected >= 0.25 {
            dispersion += (seen - expected) * (seen - expected) / expected;
            n += 1.0;
        }
    }
    if n < 24.0 { 1.0 } else { dispersion / n }
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
