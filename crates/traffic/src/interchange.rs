//! Whether the members of a group are interchangeable: what lies within accounts against what lies
//! between them.
//!
//! People differ: each has own subjects, hours, lengths, so two prompts of one person are more
//! alike than two prompts of two persons. A question bank that is dealt out over accounts makes
//! them interchangeable: nothing tells whose prompt it is. These ratios have no unit, need no
//! training data and don't depend on what the subjects are.

use crate::features::item;
use crate::group_text::text_share;
use crate::measure::{Context, Measures, median, sketches};
use crate::sample::Entry;
use crate::sketch::{AccountSketch, Record};

/// Share of a group's records above which a word belongs to its template, not to its subjects.
const TEMPLATE_WORD_SHARE: f64 = 0.2;
/// Share of a member's records above which a word belongs to its own variant of the template.
const OWN_TEMPLATE_WORD_SHARE: f64 = 0.5;
/// Time within which a prompt that failed is asked again from another account. Seconds.
const RETRY_AFTER_FAILURE_S: u32 = 6 * 3600;
/// Time within which a prompt is asked again though the log knows of no failure: nobody copies a
/// colleague's prompt so fast and so exactly but by machine. Seconds.
const RETRY_AT_ONCE_S: u32 = 300;
/// Pseudo-observations that pull ratios of small counts towards 1.
const SHRINK: f64 = 3.0;
/// Mean number of requests with the group's text from which their evenness says something: small
/// numbers of independent people are as even.
const EVEN_MEAN_MIN: f64 = 15.0;

/// Prompts that other members have too, and those that anybody has. Samples are kept by smallest hash, so
/// below the smallest of the members' thresholds every member shows all prompts that it has;
/// members with so much traffic that they lower that threshold a lot are left out.
///
/// A prompt that two members have and no one else, asked by the second soon after it failed for
/// the first, or at once, isn't a repeat but a retry.
pub(crate) fn repeats(
    context: &Context<'_>,
    members: &[u32],
    body: &[(u32, &Record)],
    m: &mut Measures,
) {
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
    let mut retried = reworded(context, body);
    for group in prompts.chunk_by(|x, y| x.0 == y.0) {
        let n_accounts = group.first().map_or(0, |(prompt, ..)| context.prompts.accounts(*prompt));
        match group {
            [first, second] if n_accounts == 2 && is_retry(first.1, second.1, first.3) => {
                retried.push((first.2, first.1));
            }
            [_] if n_accounts >= 2 => anywhere += 1,
            [_] | [] => {}
            _ => repeated += group.len(),
        }
    }
    retried.sort_unstable();
    retried.dedup();
    m.n_quick_repeats = retried.len();
    anywhere += repeated;
    m.repeated_anywhere = anywhere as f64 / prompts.len().max(1) as f64;
    m.repeated_across = repeated as f64 / prompts.len().max(1) as f64;
}

/// Requests (member, time) that failed and were asked again at once by another member in other
/// words: both have a shingle that no third account has.
fn reworded(context: &Context<'_>, body: &[(u32, &Record)]) -> Vec<(u32, u32)> {
    let mut owners: Vec<(u32, u32, u32, bool)> = Vec::new();
    for (member, record) in body {
        let grams = record.items.get(item::GRAMS).unwrap_or_default();
        for gram in grams.iter().filter(|g| **g != 0 && context.text.accounts(**g) == 2) {
            owners.push((*gram, record.time_s, *member, record.has(Record::FAILED)));
        }
    }
    owners.sort_unstable();
    owners
        .iter()
        .zip(owners.iter().skip(1))
        .filter(|(a, b)| a.0 == b.0 && a.2 != b.2 && a.3 && b.1 - a.1 <= RETRY_AT_ONCE_S)
        .map(|(a, _)| (a.2, a.1))
        .collect()
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
pub(crate) fn topics(context: &Context<'_>, body: &[(u32, &Record)], m: &mut Measures) {
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
pub(crate) fn labels(body: &[(u32, &Record)], of: impl Fn(&Record) -> Vec<u32>) -> Vec<(u32, u32)> {
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
pub(crate) fn own(
    labels: &mut [(u32, u32)],
    body: &[(u32, &Record)],
    per_record_max: usize,
) -> f64 {
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
pub(crate) fn intraclass(body: &[(u32, &Record)], of: impl Fn(&Record) -> f64) -> f64 {
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

/// How evenly the work is spread: requests of the group's text where there is one (`items`).
///
/// The share of the text is seen in a sample of records; what the sampling adds to the variance
/// (binomial, with the correction for finite populations) is taken off. Volumes count as evenly dealt
/// out if those of the text are, or those of all requests: cover is dosed too.
pub(crate) fn volumes(
    context: &Context<'_>,
    members: &[u32],
    items: Option<&[u32]>,
    m: &mut Measures,
) {
    let all: Vec<f64> = sketches(context, members).map(|s| f64::from(s.n)).collect();
    let (mut volumes, mut noise) = (all.clone(), 0.0);
    if let Some(items) = items {
        for (sketch, volume) in sketches(context, members).zip(&mut volumes) {
            let share = text_share(sketch, items);
            let n_records = sketch.records.entries().len().max(1) as f64;
            let unseen = (1.0 - n_records / volume.max(n_records)).max(0.0);
            noise += *volume * *volume * share * (1.0 - share) / n_records * unseen;
            *volume *= share;
        }
    }
    let of = |volumes: &[f64], noise: f64| {
        let n = volumes.len().max(1) as f64;
        let mean = volumes.iter().sum::<f64>() / n;
        let variance = volumes.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n - noise / n;
        (mean.max(1e-9), variance.max(0.0))
    };
    let (mean, variance) = of(&volumes, noise);
    let (mean_of_all, variance_of_all) = of(&all, 0.0);
    m.exchanges = median(&all);
    m.volume_cv = variance.sqrt() / mean;
    let of_text = if mean >= EVEN_MEAN_MIN { variance / mean } else { f64::INFINITY };
    m.volume_dispersion = of_text.min(variance_of_all / mean_of_all);
    let networks: Vec<f64> =
        sketches(context, members).map(|s| s.networks.entries().len() as f64).collect();
    m.networks_per_account = median(&networks);
}
