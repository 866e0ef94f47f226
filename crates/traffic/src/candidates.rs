//! Groups worth measuring: communities of accounts that share something rare.
//!
//! Accounts and what they share (text, networks, clients) form a graph of two kinds of nodes, so
//! no two accounts are ever compared: the work grows with the traffic, whatever the number of
//! accounts per hash. Several graphs and resolutions are tried, since a campaign may show in one
//! only; what a candidate is worth is for [`crate::judge`] to say.

use crate::graph::Graph;
use crate::measure::Context;
use crate::shared::{self, Shared};
use crate::sketch::{AccountSketch, BINS};

/// Exchanges below which an account is too little known to be put into a group.
pub(crate) const EXCHANGES_MIN: u32 = 8;
/// Members that make a group: three can be a team, a family, a coincidence.
pub(crate) const MEMBERS_MIN: usize = 4;
/// Share of the known accounts above which a hash is common, not shared.
const COMMON_SHARE: f64 = 0.8;
/// Rarest shared hashes of an account that enter the graph.
const LINKS_MAX: usize = 24;
/// Resolutions of the communities, coarse to fine.
const RESOLUTIONS: [f64; 3] = [0.3, 1.0, 3.0];
/// Share of an account's requests in conversations above which it isn't compared.
const CONVERSING_MAX: f64 = 0.6;
/// Share of requests for reasoning that leaves a trace.
const REASONING_TRACE_MIN: f64 = 0.06;
/// Mean answer against the population's that leaves a trace.
const ANSWERS_TRACE_MIN: f64 = 1.1;
/// Networks of one account that leave a trace.
const NETWORKS_TRACE_MIN: usize = 3;
/// Groups by client alone are measured up to this share of all accounts.
const CLIENT_SHARE_MAX: f64 = 0.3;

/// Candidate groups, each sorted, without repeats. Indices point into `context.sketches`.
pub(crate) fn candidates(context: &Context<'_>) -> Vec<Vec<u32>> {
    let known: Vec<u32> = (0..)
        .zip(context.sketches)
        .filter(|(_, s)| s.n >= EXCHANGES_MIN && leaves_a_trace(s, context.baseline.answer_tokens))
        .map(|(i, _)| i)
        .collect();
    let mut groups = Vec::new();
    let text = links(context, &known, context.text, shared::text_items);
    let networks = links(context, &known, context.networks, shared::networks);
    let clients = links(context, &known, context.clients, shared::clients);
    for resolution in RESOLUTIONS {
        communities(known.len(), context.text.len(), &text, resolution, &known, &mut groups);
    }
    communities(known.len(), context.networks.len(), &networks, 1.0, &known, &mut groups);
    // Networks and clients together, networks' nodes first.
    let n_networks = u32::try_from(context.networks.len()).unwrap_or(u32::MAX);
    let mut infrastructure = networks;
    infrastructure.extend(clients.iter().map(|(a, item, w)| (*a, item + n_networks, *w)));
    let n_items = context.networks.len() + context.clients.len();
    communities(known.len(), n_items, &infrastructure, 1.0, &known, &mut groups);
    by_client(context, &known, &mut groups);
    by_pace(context, &known, &mut groups);
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Whether the account's counters show any trace of what a flag needs (answers taken in bulk, or
/// hiding), diluted by up to four fifths of cover. The others can't be in a flagged group, and
/// needn't be compared.
fn leaves_a_trace(sketch: &AccountSketch, usual_answer_tokens: f64) -> bool {
    let n = f64::from(sketch.n);
    let share = |count: u32| f64::from(count) / n;
    share(sketch.n_conversing) <= CONVERSING_MAX
        && (share(sketch.n_asking_reasoning) >= REASONING_TRACE_MIN
            || sketch.sum_answer_tokens as f64 / n >= ANSWERS_TRACE_MIN * usual_answer_tokens
            || sketch.networks.entries().len() >= NETWORKS_TRACE_MIN
            || sketch.n_failed > 0)
}

/// Links (account, shared hash, weight): the weight is the surprise of sharing the hash, ln of
/// accounts over accounts that have it, times the root of how much of the account's traffic has
/// it (a template in every prompt says more than one prompt in common).
fn links(
    context: &Context<'_>,
    known: &[u32],
    index: &Shared,
    mut list: impl FnMut(&AccountSketch, &mut Vec<u32>),
) -> Vec<(u32, u32, f32)> {
    let n_accounts = known.len().max(1) as f64;
    let mut links = Vec::new();
    let (mut hashes, mut own) = (Vec::new(), Vec::new());
    for (node, i) in (0u32..).zip(known) {
        let Some(sketch) = context.sketches.get(*i as usize) else { continue };
        hashes.clear();
        list(sketch, &mut hashes);
        hashes.sort_unstable();
        let n_records = sketch.records.entries().len().max(1) as f64;
        own.clear();
        for group in hashes.chunk_by(|a, b| a == b) {
            let Some((item, n)) = group.first().and_then(|h| index.get(*h)) else { continue };
            let n = f64::from(n);
            if n <= (COMMON_SHARE * n_accounts).max(MEMBERS_MIN as f64) {
                let share = (group.len() as f64 / n_records).min(1.0);
                own.push((item, (n_accounts / n).max(1.5).ln() * share.sqrt()));
            }
        }
        own.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (item, weight) in own.iter().take(LINKS_MAX) {
            links.push((node, u32::try_from(*item).unwrap_or(u32::MAX), single(*weight)));
        }
    }
    links
}

#[expect(clippy::cast_possible_truncation, reason = "weights need no more than seven digits")]
fn single(weight: f64) -> f32 {
    weight as f32
}

fn communities(
    n_accounts: usize,
    n_items: usize,
    links: &[(u32, u32, f32)],
    resolution: f64,
    known: &[u32],
    groups: &mut Vec<Vec<u32>>,
) {
    if links.is_empty() {
        return;
    }
    // Only items in use become nodes.
    let mut node_of = vec![u32::MAX; n_items];
    let mut next = u32::try_from(n_accounts).unwrap_or(u32::MAX);
    let edges: Vec<(u32, u32, f32)> = links
        .iter()
        .filter_map(|(account, item, weight)| {
            let node = node_of.get_mut(*item as usize)?;
            if *node == u32::MAX {
                *node = next;
                next += 1;
            }
            Some((*account, *node, *weight))
        })
        .collect();
    let labels = Graph::new(next as usize, &edges).communities(resolution);
    let mut members: Vec<(u32, u32)> =
        labels.iter().take(n_accounts).zip(known).map(|(label, i)| (*label, *i)).collect();
    members.sort_unstable();
    for group in members.chunk_by(|a, b| a.0 == b.0) {
        if group.len() >= MEMBERS_MIN {
            groups.push(group.iter().map(|(_, i)| *i).collect());
        }
    }
}

/// Accounts with the same commonest client and parameters, or the same parameters, where few
/// enough have them.
fn by_client(context: &Context<'_>, known: &[u32], groups: &mut Vec<Vec<u32>>) {
    let limit = (CLIENT_SHARE_MAX * known.len() as f64).max(MEMBERS_MIN as f64);
    let by_client = split_by(context, known, shared::client);
    let by_profile = split_by(context, known, shared::profile);
    for group in by_client.into_iter().chain(by_profile) {
        if group.len() >= MEMBERS_MIN && group.len() as f64 <= limit {
            groups.push(group);
        }
    }
}

/// Accounts that ask at one regular pace.
fn by_pace(context: &Context<'_>, known: &[u32], groups: &mut Vec<Vec<u32>>) {
    let paces: Vec<(usize, u32)> = known
        .iter()
        .filter_map(|i| Some((context.sketches.get(*i as usize)?.pace()?, *i)))
        .collect();
    for bin in 0..BINS {
        let of = paces.iter().filter(|(p, _)| *p == bin || *p == bin + 1).map(|(_, i)| *i);
        let group: Vec<u32> = of.collect();
        if group.len() >= MEMBERS_MIN {
            groups.push(group);
        }
    }
}

/// The accounts, parted by their commonest client and parameters.
pub(crate) fn split_by_client(context: &Context<'_>, accounts: &[u32]) -> Vec<Vec<u32>> {
    split_by(context, accounts, shared::client)
}

fn split_by(
    context: &Context<'_>,
    accounts: &[u32],
    of: impl Fn(&AccountSketch) -> Option<u32>,
) -> Vec<Vec<u32>> {
    let mut keyed: Vec<(u32, u32)> = accounts
        .iter()
        .filter_map(|i| Some((of(context.sketches.get(*i as usize)?)?, *i)))
        .collect();
    keyed.sort_unstable();
    keyed.chunk_by(|a, b| a.0 == b.0).map(|g| g.iter().map(|(_, i)| *i).collect()).collect()
}
