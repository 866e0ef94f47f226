//! Who of a candidate group stays: members that the group's evidence is about.
//!
//! A group found by what accounts share can sweep in bystanders: somebody who sent a prompt that
//! went round, somebody behind the same address. A member stays only if it has the group's text
//! (where there is one), doesn't converse in it, and isn't an outlier in lengths, subjects or
//! volume: whoever has habits of its own isn't one of many interchangeable accounts.

use crate::group_text::{coverage, has_text};
use crate::measure::{Context, median};
use crate::sketch::{AccountSketch, Record};

/// Members with less than this share of the median coverage are bystanders.
const COVERAGE_OF_MEDIAN_MIN: f64 = 0.4;
/// Share of a member's records that may converse or use answers.
const CONVERSING_MAX: f64 = 0.3;
/// Distance of a member's mean log-length (of prompts, of answers) from the group's median, in robust standard deviations.
const LENGTH_DISTANCE_MAX: f64 = 4.0;
/// Equal subjects within the member, against between members.
const OWN_TOPICS_MAX: f64 = 3.0;
/// A member's volume against the median, and its inverse, where no text ties it to the group.
const VOLUME_RATIO_MAX: f64 = 5.0;
/// Standard deviations of the normal per median absolute deviation.
const MAD_TO_SD: f64 = 1.4826;

/// What a member looks like within the group's text.
struct Member {
    coverage: f64,
    conversing: f64,
    n: f64,
    length: f64,
    length_variance: f64,
    answer: f64,
    answer_variance: f64,
    volume: f64,
    topics: Vec<u16>,
}

/// The members that stay, in order. `items`: the group's text, sorted.
pub(crate) fn staying(
    context: &Context<'_>,
    members: &[u32],
    items: &[u32],
    coverage_min: f64,
) -> Vec<u32> {
    let sketches: Vec<&AccountSketch> =
        members.iter().filter_map(|i| context.held.get(*i)).collect();
    let usual = median(&sketches.iter().map(|s| coverage(s, items)).collect::<Vec<f64>>());
    let by_text = usual >= coverage_min;
    let looks: Vec<Member> = sketches.iter().map(|s| look(s, items, by_text)).collect();
    let of = |f: &dyn Fn(&Member) -> f64| median(&looks.iter().map(f).collect::<Vec<f64>>());
    let length = of(&|m| m.length);
    let spread = MAD_TO_SD * of(&|m| (m.length - length).abs());
    let variance = of(&|m| m.length_variance);
    let answer = of(&|m| m.answer);
    let answer_spread = MAD_TO_SD * of(&|m| (m.answer - answer).abs());
    let answer_variance = of(&|m| m.answer_variance);
    let volume = of(&|m| m.volume);
    let common = common_topics(&looks);
    let between = between_rate(&looks, &common);
    members
        .iter()
        .zip(&looks)
        .filter(|(_, m)| {
            let covered = !by_text || m.coverage >= COVERAGE_OF_MEDIAN_MIN * usual;
            let near = |value: f64, usual: f64, spread: f64, variance: f64| {
                let sd = spread.max((variance / m.n.max(1.0)).sqrt()).max(0.05);
                (value - usual).abs() <= LENGTH_DISTANCE_MAX * sd
            };
            let alike = near(m.length, length, spread, variance)
                && near(m.answer, answer, answer_spread, answer_variance);
            let even = by_text
                || m.volume <= VOLUME_RATIO_MAX * volume && volume <= VOLUME_RATIO_MAX * m.volume;
            covered
                && m.n > 0.0
                && m.conversing <= CONVERSING_MAX
                && alike
                && even
                && own_topics(m, &common, between) <= OWN_TOPICS_MAX
        })
        .map(|(i, _)| *i)
        .collect()
}

/// The members that work like machines: no sessions, no conversations.
pub(crate) fn machines(context: &Context<'_>, members: &[u32]) -> Vec<u32> {
    let is_machine = |i: &u32| context.facts.get(*i as usize).is_some_and(|f| f.is_machine);
    members.iter().copied().filter(is_machine).collect()
}

fn look(sketch: &AccountSketch, items: &[u32], by_text: bool) -> Member {
    let uses = sketch.uses_answers();
    let of_text = || {
        let records = sketch.records.entries().iter().zip(&uses);
        records.filter(|(r, _)| !by_text || has_text(r, items))
    };
    let body: Vec<&Record> = of_text().map(|(r, _)| r).collect();
    let n_conversing =
        of_text().filter(|(r, uses)| r.n_messages > 2 || **uses == Some(true)).count();
    let n = body.len() as f64;
    let (length, length_variance) = moments(body.iter().map(|r| log(r.words)));
    // A request that failed has no answer, short or long.
    let answered = body.iter().filter(|r| !r.has(Record::FAILED));
    let (answer, answer_variance) = moments(answered.map(|r| log(r.answer_tokens)));
    let mut topics: Vec<u16> =
        body.iter().flat_map(|r| r.topics).filter(|topic| *topic != 0).collect();
    topics.sort_unstable();
    // Words of the member's own frame say nothing of its subjects.
    let frame = (body.len() / 2).max(2);
    let topics = topics.chunk_by(|a, b| a == b).filter(|g| g.len() <= frame).flatten().copied();
    Member {
        coverage: coverage(sketch, items),
        conversing: n_conversing as f64 / n.max(1.0),
        n,
        length,
        length_variance,
        answer,
        answer_variance,
        volume: f64::from(sketch.n),
        topics: topics.collect(),
    }
}

fn log(value: u16) -> f64 {
    (f64::from(value) + 1.0).log2()
}

/// Mean and variance; 0 of nothing.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / n;
    (mean, values.map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

/// Words of the group's frame: in more than a fifth of all that the members asked. Sorted.
fn common_topics(members: &[Member]) -> Vec<u16> {
    let limit = members.iter().map(|m| m.n).sum::<f64>() / 5.0;
    let mut all: Vec<u16> = members.iter().flat_map(|m| m.topics.iter().copied()).collect();
    all.sort_unstable();
    all.chunk_by(|a, b| a == b)
        .filter(|g| g.len() as f64 > limit.max(2.0))
        .filter_map(|g| g.first().copied())
        .collect()
}

/// Chance that a word of one member equals a word of another.
fn between_rate(members: &[Member], common: &[u16]) -> f64 {
    let mut all: Vec<(u16, u32)> = (0u32..)
        .zip(members)
        .flat_map(|(i, m)| m.topics.iter().map(move |t| (*t, i)))
        .filter(|(t, _)| common.binary_search(t).is_err())
        .collect();
    all.sort_unstable();
    let square = |n: usize| n as f64 * n as f64;
    let (mut equal, mut within) = (0.0, 0.0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        equal += square(group.len());
        within += group.chunk_by(|a, b| a.1 == b.1).map(|g| square(g.len())).sum::<f64>();
    }
    let own: f64 = members.iter().map(|m| square(m.topics.len())).sum();
    (equal - within + 1.0) / (square(all.len()) - own).max(1.0)
}

/// Equal words within the member against the rate between members, shrunk towards 1.
fn own_topics(member: &Member, common: &[u16], between: f64) -> f64 {
    let kept = || member.topics.iter().filter(|t| common.binary_search(t).is_err());
    let n = kept().count() as f64;
    let topics: Vec<u16> = kept().copied().collect();
    let equal: f64 =
        topics.chunk_by(|a, b| a == b).map(|g| g.len() as f64 * (g.len() as f64 - 1.0) / 2.0).sum();
    (equal + 5.0) / (between * n * (n - 1.0) / 2.0 + 5.0)
}
