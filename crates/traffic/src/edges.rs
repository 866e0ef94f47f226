//! Edges within a group, for showing it: each member with its strongest few neighbours.
//!
//! Bounded: members that share a hash are linked in a ring, so a hash costs as many edges as it
//! has members, never their square.

use crate::interchange::is_retry;
use crate::judge::{Family, Judged};
use crate::measure::Context;
use crate::sample::Entry;
use crate::sketch::{AccountSketch, Record};
use std::collections::BTreeMap;

/// Edges shown per member.
const EDGES_PER_MEMBER: usize = 3;
/// Active hours in common, over what the two volumes of activity give by chance.
const SYNCHRONY_MIN: f64 = 3.0;

/// Pairs of members (indices into the group) with the families of evidence between them.
pub(crate) fn edges(context: &Context<'_>, group: &Judged) -> Vec<(u32, u32, Vec<String>)> {
    let members: Vec<&AccountSketch> =
        group.members.iter().filter_map(|i| context.held.get(*i)).collect();
    let mut found: BTreeMap<(u32, u32), BTreeMap<Family, u32>> = BTreeMap::new();
    let mut link = |a: u32, b: u32, family: Family| {
        if a != b {
            *found.entry((a.min(b), a.max(b))).or_default().entry(family).or_default() += 1;
        }
    };
    let items: Vec<u32> = {
        let mut items: Vec<u32> = group.items.iter().map(|(item, _)| *item).collect();
        items.sort_unstable();
        items
    };
    ring(
        &members,
        |s, out| {
            for record in s.records.entries() {
                out.extend(record.text_items().filter(|item| items.binary_search(item).is_ok()));
            }
        },
        |a, b| link(a, b, Family::Text),
    );
    ring(
        &members,
        |s, out| out.extend(s.networks.entries().iter().map(Entry::key)),
        |a, b| link(a, b, Family::Infrastructure),
    );
    for (a, b) in replays(&members) {
        link(a, b, Family::Replay);
    }
    let mut of_pair: Vec<((u32, u32), Vec<Family>, u32)> = found
        .into_iter()
        .map(|(pair, families)| {
            let weight = families.values().sum();
            let mut families: Vec<Family> = families.into_keys().collect();
            if in_step(&members, pair) {
                families.push(Family::Synchrony);
            }
            if group.families.contains(&Family::Sharding) {
                families.push(Family::Sharding);
            }
            families.sort_unstable();
            (pair, families, weight)
        })
        .collect();
    of_pair.sort_by(|a, b| (b.1.len(), b.2).cmp(&(a.1.len(), a.2)).then(a.0.cmp(&b.0)));
    let mut degree = vec![0usize; members.len()];
    let mut kept = Vec::new();
    for ((a, b), families, _) in of_pair {
        let full = |i: u32| degree.get(i as usize).is_none_or(|d| *d >= EDGES_PER_MEMBER);
        if full(a) && full(b) {
            continue;
        }
        for i in [a, b] {
            if let Some(d) = degree.get_mut(i as usize) {
                *d += 1;
            }
        }
        kept.push((a, b, families.iter().map(|f| f.name().to_owned()).collect()));
    }
    kept.sort_unstable();
    kept
}

/// Links neighbours in the ring of the members that have the same hash.
fn ring(
    members: &[&AccountSketch],
    list: impl Fn(&AccountSketch, &mut Vec<u32>),
    mut link: impl FnMut(u32, u32),
) {
    let mut owners = Vec::new();
    let mut own = Vec::new();
    for (i, sketch) in (0u32..).zip(members) {
        own.clear();
        list(sketch, &mut own);
        own.sort_unstable();
        own.dedup();
        owners.extend(own.iter().map(|hash| (*hash, i)));
    }
    owners.sort_unstable();
    for group in owners.chunk_by(|a, b| a.0 == b.0) {
        for (a, b) in group.iter().zip(group.iter().skip(1)) {
            link(a.1, b.1);
        }
        if let ([first, _, .., last], true) = (group, group.len() > 2) {
            link(first.1, last.1);
        }
    }
}

/// Pairs in which the second member retried a prompt of the first.
fn replays(members: &[&AccountSketch]) -> Vec<(u32, u32)> {
    let mut prompts: Vec<(u32, u32, u32, bool)> = (0u32..)
        .zip(members)
        .flat_map(|(i, s)| {
            s.records.entries().iter().map(move |r| (r.prompt, r.time_s, i, r.has(Record::FAILED)))
        })
        .collect();
    prompts.sort_unstable();
    prompts
        .iter()
        .zip(prompts.iter().skip(1))
        .filter(|(a, b)| a.0 == b.0 && a.2 != b.2 && is_retry(a.1, b.1, a.3))
        .map(|(a, b)| (a.2, b.2))
        .collect()
}

/// Whether two members are active in the same hours beyond chance.
fn in_step(members: &[&AccountSketch], pair: (u32, u32)) -> bool {
    let (Some(a), Some(b)) = (members.get(pair.0 as usize), members.get(pair.1 as usize)) else {
        return false;
    };
    let until = a.active_until.max(b.active_until);
    let from = until.saturating_sub(crate::sketch::ACTIVE_HOURS - 1);
    let (mut n_a, mut n_b, mut both) = (0.0, 0.0, 0.0);
    for hour in from..=until {
        let (in_a, in_b) = (a.active_in(hour), b.active_in(hour));
        n_a += f64::from(u8::from(in_a));
        n_b += f64::from(u8::from(in_b));
        both += f64::from(u8::from(in_a && in_b));
    }
    both >= 5.0 && both >= SYNCHRONY_MIN * n_a * n_b / f64::from(crate::sketch::ACTIVE_HOURS)
}
