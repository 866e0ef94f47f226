//! Which families of evidence a group shows, what marks of harvesting, and whether both flag it.
//!
//! A group is flagged where, all at once,
//! 1. something *connects* its members: text, infrastructure or synchrony;
//! 2. they *share the work*: nothing is asked twice, volumes are even, and nothing in lengths,
//!    subjects and hours tells whose prompt it is (family `sharding`);
//! 3. nobody converses: answers are taken, not used;
//! 4. the conduct shows that answers are taken in bulk or that somebody hides, and weighs at least [`WEIGHT_MIN`] in marks of harvesting (reasoning asked for, no night,
//!    changing networks, …).
//!
//! Innocents share templates, offices and deadlines, so (1) alone accuses them; (2) to (4) spare
//! them, each for another reason: see the `innocent` field of every reason.

use crate::candidates::{MEMBERS_MIN, split_by_client};
use crate::group_text::group_items;
use crate::measure::{Context, Measures, measure};
use crate::members::{machines, staying};

/// Coverage from which a group counts as connected by text: with less than a fifth of its traffic
/// in common, cover would be four fifths of what a harvester pays for.
pub(crate) const COVERAGE_MIN: f64 = 0.2;
/// Records below which nothing is said of a group.
const RECORDS_MIN: usize = 60;
/// Exchanges of the median member below which nothing is said of a group.
const MEMBER_EXCHANGES_MIN: f64 = 15.0;
const MEMBER_EXCHANGES_LEAST: u32 = 15;
/// Members that a group needs where neither text nor networks connect it: small groups of people
/// with one client look even by chance.
const UNTIED_MEMBERS_MIN: usize = 8;
/// Weight of marks that a flag needs: more than what machines bear that work at all hours.
const WEIGHT_MIN: f64 = 3.0;
/// Taken off where all members sit in one place and show it: an organisation with several seats
/// hides nothing, so more has to speak against it.
const OFFICE_WEIGHT: f64 = 1.5;
/// Taken off where the members are among the largest customers, one in a hundred: whoever deals
/// work out over accounts does it to stay small, whoever bought volume uses it.
const OPEN_WEIGHT: f64 = 2.0;
/// Members from which a group is looked at more briefly first.
const LARGE: usize = 200;
/// Coefficient of variation, without the largest and the smallest tenth, that rules a group out.
const UNEVEN_CV_MIN: f64 = 0.55;
/// Weight of all marks together.
const WEIGHT_ALL: f64 = 11.0;

/// The thresholds of the families and marks, with units.
mod limits {
    /// Members linked by networks that few outside have, share.
    pub(super) const NETWORK_LINKED_MIN: f64 = 0.5;
    /// Members in the one network that the group shares, share.
    pub(super) const ONE_PLACE_MIN: f64 = 0.9;
    /// Members with one client and profile, share; and accounts outside at most.
    pub(super) const CLIENT_SHARE_MIN: f64 = 0.8;
    pub(super) const CLIENT_OUTSIDE_MAX: f64 = 0.02;
    /// Variance of the active members per hour against independent ones, ratio.
    pub(super) const SYNCHRONY_MIN: f64 = 2.0;
    /// Members that ask at one and the same regular pace, share.
    pub(super) const CADENCE_MIN: f64 = 0.8;
    /// Prompts in common, share.
    pub(super) const REPEATED_MAX: f64 = 0.4;
    /// Prompts in common with anybody, share: people who were given one list have all of them.
    pub(super) const REPEATED_ANYWHERE_MAX: f64 = 0.75;
    /// Requests that repeat one of the same account, share.
    pub(super) const REPEATED_WITHIN_MAX: f64 = 0.1;
    /// Intraclass correlation of lengths.
    pub(super) const ICC_MAX: f64 = 0.15;
    /// Own subjects, ratio within to between.
    pub(super) const OWN_TOPICS_MAX: f64 = 1.8;
    /// Own parameters, ratio within to between.
    pub(super) const OWN_PARAMETERS_MAX: f64 = 2.0;
    /// Coefficient of variation of volumes; those of independent customers spread by 0.5 and more.
    pub(super) const VOLUME_CV_MAX: f64 = 0.45;
    /// Variance over mean of volumes; 1 is dealing at random.
    pub(super) const VOLUME_DISPERSION_MAX: f64 = 2.0;
    /// Quick repeats, number.
    pub(super) const QUICK_REPEATS_MIN: usize = 3;
    /// Continued conversations and used answers, share of records.
    pub(super) const CONVERSING_MAX: f64 = 0.25;
    pub(super) const USING_ANSWERS_MAX: f64 = 0.05;
    /// Requests for reasoning, share.
    pub(super) const REASONING_MIN: f64 = 0.3;
    /// Share of traffic in the quietest six hours times 4.
    pub(super) const QUIET_MIN: f64 = 0.75;
    /// Networks per account.
    pub(super) const NETWORKS_MIN: f64 = 4.0;
    /// Subjects against the population's, ratio.
    pub(super) const BREADTH_MIN: f64 = 0.5;
    /// Answers against the population's, ratio.
    pub(super) const ANSWERS_MIN: f64 = 1.5;
    /// Gaps far below the mean: memoryless 0.12.
    pub(super) const BURSTS_MAX: f64 = 0.2;
}

/// A family of evidence between accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Text,
    Infrastructure,
    Synchrony,
    Sharding,
    Replay,
}

impl Family {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Infrastructure => "infrastructure",
            Self::Synchrony => "synchrony",
            Self::Sharding => "sharding",
            Self::Replay => "replay",
        }
    }
}

/// A mark of harvesting in a group's conduct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    Reasoning,
    NoNight,
    ChangingNetworks,
    Broad,
    LongAnswers,
    Retries,
    NoSessions,
    EvenVolumes,
}

impl Mark {
    /// Whether it is a mark of taking answers in bulk or of hiding, rather than of a machine: one
    /// of these is needed.
    fn tells(self) -> bool {
        matches!(self, Self::Reasoning | Self::Retries | Self::ChangingNetworks | Self::LongAnswers)
    }

    /// What a mark weighs: 2 where few innocents bear it, 1 where machines do, half where many do.
    fn weight(self) -> f64 {
        match self {
            Self::Reasoning | Self::Retries => 2.0,
            Self::ChangingNetworks | Self::LongAnswers | Self::EvenVolumes => 1.5,
            Self::NoNight | Self::NoSessions => 1.0,
            Self::Broad => 0.5,
        }
    }
}

/// A group with what is found of it.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    /// Indices of the members, sorted.
    pub(crate) members: Vec<u32>,
    /// The group's text with the members that have it, most members first.
    pub(crate) items: Vec<(u32, u32)>,
    pub(crate) measures: Measures,
    pub(crate) families: Vec<Family>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) flagged: bool,
    pub(crate) score: f64,
}

/// The flagged groups of a candidate: itself as it is, or else its members that work like
/// machines, or else the parts of both by client.
pub(crate) fn judge(context: &Context<'_>, candidate: &[u32]) -> Vec<Judged> {
    let machines = machines(context, candidate);
    let text = hashes(&group_items(context, candidate, &[]));
    let flagged = |members: &[u32]| {
        (members.len() >= MEMBERS_MIN)
            .then(|| judge_group(context, members, &text, false))
            .flatten()
            .filter(|judged| judged.flagged)
    };
    let mut parts = Vec::new();
    for whole in [candidate, &machines] {
        if let Some(judged) = flagged(whole) {
            return vec![judged];
        }
        parts.extend(split_by_client(context, whole).into_iter().filter(|p| p.len() < whole.len()));
        if machines.len() == candidate.len() {
            break;
        }
    }
    parts.iter().filter_map(|part| flagged(part)).collect()
}

impl Judged {
    /// Flagged before not, more families before fewer, larger before smaller.
    pub(crate) fn best_first(&self, other: &Self) -> std::cmp::Ordering {
        let key = |j: &Self| (j.flagged, j.families.len(), j.members.len());
        key(other).cmp(&key(self)).then_with(|| self.members.cmp(&other.members))
    }

    /// The hashes of the group's text, sorted.
    pub(crate) fn text(&self) -> Vec<u32> {
        let mut text = hashes(&self.items);
        text.sort_unstable();
        text
    }
}

/// Whether anything of a candidate could be flagged, as far as volumes tell: whether it is worth
/// reading its sketches.
pub(crate) fn is_worth_reading(context: &Context<'_>, candidate: &[u32]) -> bool {
    let n =
        |i: &&u32| context.facts.get(**i as usize).is_some_and(|f| f.n >= MEMBER_EXCHANGES_LEAST);
    // Half of the members that stay need as many, and four need to stay.
    if candidate.iter().filter(n).count() < MEMBERS_MIN / 2 {
        return false;
    }
    let may_be = |members: &[u32]| {
        members.len() >= MEMBERS_MIN && (members.len() <= LARGE || !uneven(context, members))
    };
    let machines = machines(context, candidate);
    may_be(candidate)
        || may_be(&machines)
        || [candidate, &machines]
            .iter()
            .any(|whole| split_by_client(context, whole).iter().any(|part| may_be(part)))
}

/// Judges a group as it is, which may be part of a wider one with some text of its own. Unless it is `wanted` for a report, work stops as soon as it is clear
/// that the group isn't flagged.
pub(crate) fn judge_group(
    context: &Context<'_>,
    candidate: &[u32],
    wider_text: &[u32],
    wanted: bool,
) -> Option<Judged> {
    if !wanted && candidate.len() > LARGE && uneven(context, candidate) {
        return None;
    }
    let mut members = candidate.to_vec();
    let mut counted = group_items(context, &members, wider_text);
    let mut items = hashes(&counted);
    for _ in 0..3 {
        let kept = staying(context, &members, &items, COVERAGE_MIN);
        if kept.len() == members.len() {
            break;
        }
        members = kept;
        counted = group_items(context, &members, wider_text);
        items = hashes(&counted);
    }
    if members.len() < MEMBERS_MIN || !wanted && uneven(context, &members) {
        return None;
    }
    let measures = measure(context, &members, &items, COVERAGE_MIN);
    if measures.n_records < RECORDS_MIN || measures.exchanges < MEMBER_EXCHANGES_MIN {
        return None;
    }
    let families = families(&measures);
    let marks = marks(&measures);
    let office = if in_one_place(&measures) { OFFICE_WEIGHT } else { 0.0 };
    let open = if measures.exchanges >= context.baseline.large_volume { OPEN_WEIGHT } else { 0.0 };
    let weight = marks.iter().map(|m| m.weight()).sum::<f64>() - office - open;
    let converses = measures.conversing > limits::CONVERSING_MAX
        || measures.using_answers > limits::USING_ANSWERS_MAX;
    let tied =
        families.contains(&Family::Text) || measures.network_linked >= limits::NETWORK_LINKED_MIN;
    let connected = tied
        || families.iter().any(|f| *f <= Family::Synchrony) && members.len() >= UNTIED_MEMBERS_MIN;
    let flagged = connected
        && families.contains(&Family::Sharding)
        && !converses
        && marks.iter().any(|m| m.tells())
        && weight >= WEIGHT_MIN;
    let part = families.len() as f64 / 5.0 * 0.6 + weight.max(0.0) / WEIGHT_ALL * 0.4;
    let score = if converses { part / 4.0 } else { part };
    counted.sort_unstable_by_key(|(item, n)| (std::cmp::Reverse(*n), *item));
    Some(Judged { members, items: counted, measures, families, marks, flagged, score })
}

/// Whether volumes spread too much for any group that deals out work, even if a fifth of the
/// members were bystanders and cover hid how much each harvests.
fn uneven(context: &Context<'_>, members: &[u32]) -> bool {
    let mut volumes: Vec<f64> = members
        .iter()
        .filter_map(|i| context.facts.get(*i as usize).map(|f| f64::from(f.n)))
        .collect();
    volumes.sort_unstable_by(f64::total_cmp);
    let cut = volumes.len() / 10;
    let middle = volumes.get(cut..volumes.len() - cut).unwrap_or_default();
    let n = middle.len().max(1) as f64;
    let mean = middle.iter().sum::<f64>() / n;
    let variance = middle.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    variance.sqrt() > UNEVEN_CV_MIN * mean
}

/// The hashes alone, sorted.
fn hashes(counted: &[(u32, u32)]) -> Vec<u32> {
    counted.iter().map(|(item, _)| *item).collect()
}

/// Whether the members share one network and use no other.
fn in_one_place(m: &Measures) -> bool {
    m.n_linking_networks == 1
        && m.network_linked >= limits::ONE_PLACE_MIN
        && m.networks_per_account <= 1.0
}

fn families(m: &Measures) -> Vec<Family> {
    let infrastructure = m.network_linked >= limits::NETWORK_LINKED_MIN
        || m.client_share >= limits::CLIENT_SHARE_MIN
            && m.client_share_outside <= limits::CLIENT_OUTSIDE_MAX
        || m.profile_share >= limits::CLIENT_SHARE_MIN
            && m.profile_share_outside <= limits::CLIENT_OUTSIDE_MAX;
    let sharding = m.repeated_across <= limits::REPEATED_MAX
        && m.repeated_anywhere <= limits::REPEATED_ANYWHERE_MAX
        && m.repeated_within <= limits::REPEATED_WITHIN_MAX
        && m.icc_words <= limits::ICC_MAX
        && m.icc_answers <= limits::ICC_MAX
        && m.own_topics <= limits::OWN_TOPICS_MAX
        && m.own_parameters <= limits::OWN_PARAMETERS_MAX
        && m.volume_cv <= limits::VOLUME_CV_MAX;
    [
        (Family::Text, m.coverage >= COVERAGE_MIN),
        (Family::Infrastructure, infrastructure),
        (
            Family::Synchrony,
            m.synchrony >= limits::SYNCHRONY_MIN || m.cadence >= limits::CADENCE_MIN,
        ),
        (Family::Sharding, sharding),
        (
            Family::Replay,
            m.n_quick_repeats >= limits::QUICK_REPEATS_MIN
                && m.repeated_across <= limits::REPEATED_MAX,
        ),
    ]
    .into_iter()
    .filter_map(|(family, present)| present.then_some(family))
    .collect()
}

fn marks(m: &Measures) -> Vec<Mark> {
    [
        (Mark::Reasoning, m.reasoning >= limits::REASONING_MIN),
        (Mark::NoNight, m.quiet >= limits::QUIET_MIN),
        (Mark::ChangingNetworks, m.networks_per_account >= limits::NETWORKS_MIN),
        (Mark::Broad, m.breadth >= limits::BREADTH_MIN),
        (Mark::LongAnswers, m.answers_ratio >= limits::ANSWERS_MIN),
        (Mark::Retries, m.n_quick_repeats >= limits::QUICK_REPEATS_MIN),
        (Mark::NoSessions, m.bursts <= limits::BURSTS_MAX),
        (Mark::EvenVolumes, m.volume_dispersion <= limits::VOLUME_DISPERSION_MAX),
    ]
    .into_iter()
    .filter_map(|(mark, present)| present.then_some(mark))
    .collect()
}
