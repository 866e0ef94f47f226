//! By what the members of a campaign are known again among accounts that it wasn't found on.

use std::collections::BTreeMap;
use stillwatch_traffic::{AccountSketch, Campaign};

/// Share of an account's kept prompts that must have the text before it carries the signature:
/// less than `traffic` asks of a member, since a half shows only a part of a campaign's variants.
const COVERAGE_MIN: f64 = 0.1;
/// Members that must share a piece of text or a network before it counts.
const MEMBERS_MIN: usize = 3;
/// Of all accounts of the half with the network or client, the share that must be members.
const SPECIFICITY_MIN: f64 = 0.5;
/// Share of members with one client before it counts.
const CLIENT_SHARE_MIN: f64 = 0.8;

/// What members share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signature {
    /// Hashes of text, sorted.
    Text(Vec<u32>),
    /// Hashes of networks, sorted.
    Networks(Vec<u32>),
    /// Hash of client and parameters.
    Client(u32),
}

impl Signature {
    /// The signatures of a campaign that was discovered among `half`, in the order in which they
    /// are tried; none where its members share hours alone.
    pub(super) fn of(campaign: &Campaign, half: &BTreeMap<&str, &AccountSketch>) -> Vec<Self> {
        let members: Vec<&AccountSketch> =
            campaign.accounts.iter().filter_map(|a| half.get(a.as_str()).copied()).collect();
        let linking = |list: fn(&AccountSketch, &mut Vec<u32>)| -> Vec<u32> {
            shared(&members, half, list)
                .into_iter()
                .filter(|(_, inside, all)| is_specific(*inside, *all) && *inside >= MEMBERS_MIN)
                .map(|(hash, ..)| hash)
                .collect()
        };
        let text = linking(|sketch, out| {
            out.extend(sketch.kept_items().flat_map(|(_, items)| items).filter(|item| **item != 0));
        });
        let networks = linking(|sketch, out| out.extend(sketch.kept_networks()));
        let enough = CLIENT_SHARE_MIN * members.len() as f64;
        let client = shared(&members, half, |sketch, out| out.extend(sketch.client()))
            .into_iter()
            .find(|(_, inside, all)| is_specific(*inside, *all) && *inside as f64 >= enough);
        let mut signatures = Vec::new();
        if !text.is_empty() {
            signatures.push(Self::Text(text));
        }
        if !networks.is_empty() {
            signatures.push(Self::Networks(networks));
        }
        signatures.extend(client.map(|(hash, ..)| Self::Client(hash)));
        signatures
    }

    /// Whether an account carries it.
    pub(super) fn is_carried_by(&self, sketch: &AccountSketch) -> bool {
        match self {
            Self::Text(items) => {
                let (mut with, mut all) = (0u32, 0u32);
                for (_, own) in sketch.kept_items() {
                    let has = |item: &u32| *item != 0 && items.binary_search(item).is_ok();
                    all += 1;
                    with += u32::from(own.iter().any(has));
                }
                with >= 2 && f64::from(with) >= COVERAGE_MIN * f64::from(all)
            }
            Self::Networks(networks) => {
                sketch.kept_networks().any(|network| networks.binary_search(&network).is_ok())
            }
            Self::Client(client) => sketch.client() == Some(*client),
        }
    }
}

fn is_specific(inside: usize, all: usize) -> bool {
    inside as f64 >= SPECIFICITY_MIN * all as f64
}

/// Hashes that members have, each with the members and with all accounts that have it.
fn shared(
    members: &[&AccountSketch],
    half: &BTreeMap<&str, &AccountSketch>,
    list: impl Fn(&AccountSketch, &mut Vec<u32>),
) -> Vec<(u32, usize, usize)> {
    let mut buffer = Vec::new();
    let mut counts = BTreeMap::<u32, (usize, usize)>::new();
    for sketch in members {
        buffer.clear();
        list(sketch, &mut buffer);
        buffer.sort_unstable();
        buffer.dedup();
        for hash in &buffer {
            counts.entry(*hash).or_default().0 += 1;
        }
    }
    for sketch in half.values() {
        buffer.clear();
        list(sketch, &mut buffer);
        buffer.sort_unstable();
        buffer.dedup();
        for hash in &buffer {
            if let Some(count) = counts.get_mut(hash) {
                count.1 += 1;
            }
        }
    }
    counts.into_iter().map(|(hash, (inside, all))| (hash, inside, all)).collect()
}
