//! Groups worth measuring: communities of accounts that share something rare.
//!
//! Accounts and what they share (text, networks, clients) form a graph of two kinds of nodes, so
//! no two accounts are ever compared: the work grows with the traffic, whatever the number of
//! accounts per hash. Several graphs and resolutions are tried, since a campaign may show in one
//! only; what a candidate is worth is for [`crate::judge`] to say.

use crate::graph::Graph;
use crate::measure::Context;
use crate::shared::{self, List, Shared};
use crate::sketch::{AccountSketch, BINS};
use crate::sketches::{Sketches, Source};
use crate::survey::Facts;

/// Members that make a group: three can be a team, a family, a coincidence.
pub(crate) const MEMBERS_MIN: usize = 4;
/// Share of the known accounts above which a hash is common, not shared.
const COMMON_SHARE: f64 = 0.8;
/// Rarest shared hashes of an account that enter the graph, and where there are too many accounts.
const LINKS_MAX: usize = 24;
const LINKS_MIN: usize = 4;
/// Resolutions of the communities, coarse to fine.
const RESOLUTIONS: [f64; 3] = [0.3, 1.0, 3.0];
/// Groups by client alone are measured up to this share of all accounts.
const CLIENT_SHARE_MAX: f64 = 0.3;

/// Candidate groups, each sorted, without repeats, out of the accounts that are compared.
pub(crate) fn candidates<S: Sketches>(
    source: &Source<'_, S>,
    context: &Context<'_>,
    compared: &[u32],
) -> Result<Vec<Vec<u32>>, S::Error> {
    let mut groups = Vec::new();
    let text = links(source, context.text, shared::text_items, compared)?;
    for resolution in RESOLUTIONS {
        communities(context.text.len(), &text, resolution, compared, &mut groups);
    }
    drop(text);
    let networks = links(source, context.networks, shared::networks, compared)?;
    communities(context.networks.len(), &networks, 1.0, compared, &mut groups);
    // Networks and clients together, networks' nodes first.
    let n_networks = u32::try_from(context.networks.len()).unwrap_or(u32::MAX);
    let mut infrastructure = networks;
    let clients = links(source, context.clients, shared::clients, compared)?;
    infrastructure.extend(clients.iter().map(|(a, item, w)| (*a, item + n_networks, *w)));
    let n_items = context.networks.len() + context.clients.len();
    communities(n_items, &infrastructure, 1.0, compared, &mut groups);
    by_client(context, compared, &mut groups);
    by_pace(context, compared, &mut groups);
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

/// Links (account, shared hash, weight): the weight is the surprise of sharing the hash, ln of
/// accounts over accounts that have it, times the root of how much of the account's traffic has
/// it (a template in every prompt says more than one prompt in common).
fn links<S: Sketches>(
    source: &Source<'_, S>,
    index: &Shared,
    list: List,
    compared: &[u32],
) -> Result<Vec<(u32, u32, f32)>, S::Error> {
    let n_accounts = compared.len().max(1) as f64;
    let n_links = (source.bounds.links / compared.len().max(1)).clamp(LINKS_MIN, LINKS_MAX);
    let mut links = Vec::new();
    let mut nodes = (0u32..).zip(compared).peekable();
    let (mut hashes, mut own) = (Vec::new(), Vec::new());
    let mut add = |node: u32, sketch: &AccountSketch| {
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
        for (item, weight) in own.iter().take(n_links) {
            links.push((node, u32::try_from(*item).unwrap_or(u32::MAX), single(*weight)));
        }
    };
    source.each(|place, sketch| {
        if let Some((node, _)) = nodes.next_if(|(_, p)| **p == place) {
            add(node, sketch);
        }
    })?;
    Ok(links)
}

#[expect(clippy::cast_possible_truncation, reason = "weights need no more than seven digits")]
fn single(weight: f64) -> f32 {
    weight as f32
}

fn communities(
    n_items: usize,
    links: &[(u32, u32, f32)],
    resolution: f64,
    compared: &[u32],
    groups: &mut Vec<Vec<u32>>,
) {
    if links.is_empty() {
        return;
    }
    let n_accounts = compared.len();
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
        labels.iter().take(n_accounts).zip(compared).map(|(label, i)| (*label, *i)).collect();
    members.sort_unstable();
    for group in members.chunk_by(|a, b| a.0 == b.0) {
        if group.len() >= MEMBERS_MIN {
            groups.push(group.iter().map(|(_, i)| *i).collect());
        }
    }
}

/// Accounts with the same commonest client and parameters, or the same parameters, where few
/// enough have them.
fn by_client(context: &Context<'_>, compared: &[u32], groups: &mut Vec<Vec<u32>>) {
    let limit = (CLIENT_SHARE_MAX * compared.len() as f64).max(MEMBERS_MIN as f64);
    let by_client = split_by(context, compared, |f| f.client);
    let by_profile = split_by(context, compared, |f| f.profile);
    for group in by_client.into_iter().chain(by_profile) {
        if group.len() >= MEMBERS_MIN && group.len() as f64 <= limit {
            groups.push(group);
        }
    }
}

/// Accounts that ask at one regular pace.
fn by_pace(context: &Context<'_>, compared: &[u32], groups: &mut Vec<Vec<u32>>) {
    let paces: Vec<(usize, u32)> = compared
        .iter()
        .filter_map(|i| Some((usize::from(context.facts.get(*i as usize)?.pace?), *i)))
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
    split_by(context, accounts, |f| f.client)
}

fn split_by(
    context: &Context<'_>,
    accounts: &[u32],
    of: impl Fn(&Facts) -> Option<u32>,
) -> Vec<Vec<u32>> {
    let mut keyed: Vec<(u32, u32)> =
        accounts.iter().filter_map(|i| Some((of(context.facts.get(*i as usize)?)?, *i))).collect();
    keyed.sort_unstable();
    keyed.chunk_by(|a, b| a.0 == b.0).map(|g| g.iter().map(|(_, i)| *i).collect()).collect()
}
