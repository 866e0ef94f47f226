//! Analyses of streamed sketches: those of sketches in memory, whatever the bounds.

use crate::world::{KINDS, Random, Sent, campaign, people};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use stillwatch_traffic::{
    AccountSketch, Extractor, HashKey, Sketches, StreamBounds, analyse, analyse_streamed,
};

/// Encoded sketches, decoded each time that they are gone through.
struct Encoded {
    accounts: BTreeMap<String, Vec<u8>>,
    n_passes: Cell<usize>,
}

impl Sketches for Encoded {
    type Error = Infallible;

    fn each(&self, call: &mut dyn FnMut(&str, &AccountSketch)) -> Result<(), Infallible> {
        self.n_passes.set(self.n_passes.get() + 1);
        for (name, bytes) in &self.accounts {
            call(name, &AccountSketch::from_bytes(bytes).expect("as it was encoded"));
        }
        Ok(())
    }
}

fn encoded(sent: &[Sent]) -> Encoded {
    let mut extractor = Extractor::new(HashKey::new(&[9; 32]));
    let mut sketches = BTreeMap::<String, AccountSketch>::new();
    for s in sent {
        let features = extractor.extract(&s.observation());
        sketches.entry(s.account.clone()).or_default().observe(&features);
    }
    let accounts = sketches.iter().map(|(name, s)| (name.clone(), s.to_bytes())).collect();
    Encoded { accounts, n_passes: Cell::new(0) }
}

#[test]
fn streamed_sketches_show_what_sketches_in_memory_show() {
    let mut r = Random(21);
    let mut sent = people(&mut r, 150, 14);
    for kind in KINDS {
        sent.extend(campaign(&mut r, kind, &format!("{kind:?}"), 12, 30, 14));
    }
    let population = encoded(&sent);
    let decoded: Vec<(&str, AccountSketch)> = population
        .accounts
        .iter()
        .map(|(name, bytes)| (name.as_str(), AccountSketch::from_bytes(bytes).expect("a sketch")))
        .collect();
    // The order in which accounts in memory come doesn't matter either.
    let whole = analyse(decoded.iter().rev().map(|(name, s)| (*name, s)), 7);
    assert!(whole.campaigns.iter().filter(|c| c.flagged).count() >= 3);
    let Ok(streamed) = analyse_streamed(&population, 7, StreamBounds::default());
    assert_eq!(streamed, whole);
    let few = population.n_passes.get();
    // Many passes, each over a slice of the hashes and a few groups.
    let tight = StreamBounds {
        counter_bytes: 1 << 12,
        postings: 5_000,
        sketches: decoded.len(),
        ..StreamBounds::default()
    };
    let Ok(streamed) = analyse_streamed(&population, 7, tight);
    assert_eq!(streamed, whole);
    assert!(population.n_passes.get() > 2 * few);
}

#[test]
fn what_doesn_t_fit_is_left_out_without_harm() {
    let mut r = Random(22);
    let mut sent = people(&mut r, 60, 7);
    for kind in KINDS {
        sent.extend(campaign(&mut r, kind, &format!("{kind:?}"), 12, 30, 7));
    }
    let population = encoded(&sent);
    let bounds =
        StreamBounds { counter_bytes: 0, postings: 500, shared: 200, links: 0, sketches: 40 };
    let Ok(analysis) = analyse_streamed(&population, 7, bounds);
    assert_eq!(analysis.n_accounts, population.accounts.len() as u64);
    assert!(analysis.accounts.iter().all(|a| !a.flagged || !a.account.starts_with("person")));
    // The same each time.
    assert_eq!(analyse_streamed(&population, 7, bounds), Ok(analysis));
}
