//! Which exposures share one coin, and which can say nothing.
//!
//! One coin is one unit: rows that share a commitment, or prompt and unordered texts, flip
//! together (four copies of each pair would turn an error rate of 0.1% into 6%). Everything
//! here looks at the texts of an exposure as an unordered set, so it is blind to the coin.

use crate::{Exposure, Message};
use std::collections::BTreeMap;

/// Exposures sorted into units, one coin each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// Indices of the exposures of each unit, ascending; units by their first member.
    pub units: Vec<Vec<usize>>,
    /// Indices of exposures that are set aside because all their texts are equal.
    pub identical: Vec<usize>,
}

/// Whether all texts of an exposure are equal, so that no coin shows in it.
pub fn is_identical(exposure: &Exposure) -> bool {
    exposure.withheld.iter().all(|text| *text == exposure.released)
}

/// Groups exposures by coin, identical twins included. Indices ascend within a group, groups
/// are ordered by their first member, and every index occurs once.
pub fn coin_groups(exposures: &[Exposure]) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..exposures.len()).collect();
    group(exposures, &all)
}

/// Sets identical twins aside and groups the others by coin.
pub fn units(exposures: &[Exposure]) -> Units {
    let (identical, kept): (Vec<usize>, Vec<usize>) =
        (0..exposures.len()).partition(|&i| exposures.get(i).is_some_and(is_identical));
    Units { units: group(exposures, &kept), identical }
}

/// A name for the unit of each exposure, as the column `unit` of a file of scores has it:
/// the id of the first member where several share a coin, else none.
pub fn unit_names(exposures: &[Exposure]) -> Vec<Option<String>> {
    let mut names = vec![None; exposures.len()];
    for members in coin_groups(exposures).iter().filter(|members| members.len() > 1) {
        let first = members.first().and_then(|&i| exposures.get(i));
        for &member in members {
            if let Some(name) = names.get_mut(member) {
                *name = first.map(|exposure| exposure.id.clone());
            }
        }
    }
    names
}

/// What makes two exposures flip together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Commitment(&'a str, u64),
    Texts(&'a [Message], Vec<&'a str>),
}

fn keys(exposure: &Exposure) -> impl Iterator<Item = Key<'_>> {
    let mut texts: Vec<&str> = exposure.withheld.iter().map(String::as_str).collect();
    texts.push(&exposure.released);
    texts.sort_unstable();
    let commitment = exposure.commitment.as_ref();
    commitment
        .map(|entry| Key::Commitment(&entry.log_id, entry.sequence))
        .into_iter()
        .chain([Key::Texts(&exposure.messages, texts)])
}

fn group(exposures: &[Exposure], indices: &[usize]) -> Vec<Vec<usize>> {
    let mut sets = DisjointSets::new(exposures.len());
    let mut owner: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    for (&i, exposure) in indices.iter().filter_map(|i| Some((i, exposures.get(*i)?))) {
        for key in keys(exposure) {
            let first = *owner.entry(key).or_insert(i);
            sets.join(first, i);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &i in indices {
        groups.entry(sets.root(i)).or_default().push(i);
    }
    groups.into_values().collect()
}

/// Union-find; the root of a set is its smallest member.
struct DisjointSets {
    parent: Vec<usize>,
}

impl DisjointSets {
    fn new(n: usize) -> Self {
        Self { parent: (0..n).collect() }
    }

    fn root(&mut self, mut i: usize) -> usize {
        while let Some(&parent) = self.parent.get(i)
            && parent != i
        {
            let grandparent = self.parent.get(parent).copied().unwrap_or(parent);
            if let Some(slot) = self.parent.get_mut(i) {
                *slot = grandparent;
            }
            i = grandparent;
        }
        i
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(slot) = self.parent.get_mut(a.max(b)) {
            *slot = a.min(b);
        }
    }
}
