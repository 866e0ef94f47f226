//! Where the sketches of an analysis come from: all in memory, or streamed several times.

use crate::sketch::AccountSketch;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// A population of sketches that can be gone through again and again: a sorted file, a table.
pub trait Sketches {
    /// Why it can't be gone through.
    type Error;

    /// Calls with each account once, by ascending name, in the same order each time.
    ///
    /// # Errors
    /// The sketches can't be read.
    fn each(&self, call: &mut dyn FnMut(&str, &AccountSketch)) -> Result<(), Self::Error>;
}

/// How much memory an analysis of streamed sketches may take. Where a population fits, results are
/// those of [`analyse`](crate::analyse); beyond, what is rare is left out first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamBounds {
    /// Bytes of the table that rules out what only one account has.
    pub counter_bytes: usize,
    /// Hashes gathered at a time, 4 bytes each.
    pub postings: usize,
    /// Hashes remembered as shared, 8 bytes each, for each of text, networks, clients, prompts;
    /// those of fewest accounts are forgotten first.
    pub shared: usize,
    /// Links between accounts and what they share, some 40 bytes each.
    pub links: usize,
    /// Sketches decoded at a time, at most 4 KiB each.
    pub sketches: usize,
}

impl Default for StreamBounds {
    /// Some 600 MiB with a million accounts.
    fn default() -> Self {
        Self {
            counter_bytes: 1 << 27,
            postings: 1 << 25,
            shared: 1 << 24,
            links: 1 << 23,
            sketches: 1 << 15,
        }
    }
}

impl StreamBounds {
    /// Bounds of an analysis of sketches that are in memory anyway: it takes little beside.
    pub(crate) const LIVE: Self = Self {
        counter_bytes: 1 << 22,
        postings: 1 << 19,
        shared: usize::MAX,
        links: usize::MAX,
        sketches: usize::MAX,
    };
}

/// Sketches in memory, sorted by name.
#[derive(Debug)]
pub(crate) struct InMemory<'a> {
    pub(crate) names: Vec<&'a str>,
    pub(crate) sketches: Vec<&'a AccountSketch>,
}

impl Sketches for InMemory<'_> {
    type Error = Infallible;

    fn each(&self, call: &mut dyn FnMut(&str, &AccountSketch)) -> Result<(), Infallible> {
        for (name, sketch) in self.names.iter().zip(&self.sketches) {
            call(name, sketch);
        }
        Ok(())
    }
}

/// Sketches at hand, by the account's place in the order of names.
#[derive(Debug)]
pub(crate) enum Held<'a> {
    All(&'a [&'a AccountSketch]),
    Some(BTreeMap<u32, AccountSketch>),
}

impl Held<'_> {
    pub(crate) fn get(&self, place: u32) -> Option<&AccountSketch> {
        match self {
            Self::All(all) => all.get(place as usize).copied(),
            Self::Some(some) => some.get(&place),
        }
    }
}

/// A population, and its sketches where they are in memory.
#[derive(Debug)]
pub(crate) struct Source<'a, S> {
    pub(crate) sketches: &'a S,
    pub(crate) in_memory: Option<&'a [&'a AccountSketch]>,
    pub(crate) bounds: StreamBounds,
}

impl<S: Sketches> Source<'_, S> {
    /// Calls with each sketch and its account's place.
    pub(crate) fn each(&self, mut call: impl FnMut(u32, &AccountSketch)) -> Result<(), S::Error> {
        let mut place = 0;
        self.sketches.each(&mut |_, sketch| {
            call(place, sketch);
            place += 1;
        })
    }

    /// Calls with each group, in order, and the sketches of its members; so many groups are read at
    /// once as fit. A group that is too large alone is left out.
    pub(crate) fn with_members(
        &self,
        groups: &[Vec<u32>],
        mut call: impl FnMut(&Held<'_>, usize),
    ) -> Result<(), S::Error> {
        if let Some(all) = self.in_memory {
            for i in 0..groups.len() {
                call(&Held::All(all), i);
            }
            return Ok(());
        }
        let mut next = 0;
        while next < groups.len() {
            let (from, mut wanted) = (next, Vec::new());
            while let Some(group) = groups.get(next) {
                let fits = group.len() <= self.bounds.sketches;
                if fits && !wanted.is_empty() && wanted.len() + group.len() > self.bounds.sketches {
                    break;
                }
                if fits {
                    wanted.extend_from_slice(group);
                    wanted.sort_unstable();
                    wanted.dedup();
                }
                next += 1;
            }
            let held = Held::Some(self.read(&wanted)?);
            for (i, group) in groups.iter().enumerate().take(next).skip(from) {
                if group.len() <= self.bounds.sketches {
                    call(&held, i);
                }
            }
        }
        Ok(())
    }

    /// The sketches at these places, ascending.
    fn read(&self, places: &[u32]) -> Result<BTreeMap<u32, AccountSketch>, S::Error> {
        let mut read = BTreeMap::new();
        if !places.is_empty() {
            let mut wanted = places.iter().peekable();
            self.each(|place, sketch| {
                if wanted.next_if(|p| **p == place).is_some() {
                    read.insert(place, sketch.clone());
                }
            })?;
        }
        Ok(read)
    }
}
