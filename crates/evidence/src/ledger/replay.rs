//! What the entries, read in order, amount to: the tree, the sequence numbers, which exposures
//! ended, and the few entries that audits look up. Refuses entries that contradict earlier ones.
//!
//! About 150 bytes per exposure; the entries themselves stay in the file.

use super::{DeletionLeaf, ExposureLeaf, Leaf, PlanLeaf, Sha256Hash, Tree, WeightsLeaf, leaf_hash};
use std::collections::BTreeMap;

/// Stands for "no second entry yet".
const OPEN: u64 = u64::MAX;

/// State of a log, without its file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replay {
    pub(crate) tree: Tree,
    /// File offset of each leaf's data.
    offsets: Vec<u64>,
    /// Leaf of the first entry, by sequence number.
    commits: Vec<u64>,
    /// Leaf of the second entry, by sequence number; [`OPEN`] while missing.
    outcomes: Vec<u64>,
    /// Sequence numbers by the beginning of the hash of the identifier.
    sequences: BTreeMap<[u8; 16], u64>,
    pub(crate) plans: Vec<(u64, PlanLeaf)>,
    pub(crate) weights: Vec<(u64, WeightsLeaf)>,
    /// First deletion of each account.
    pub(crate) deletions: BTreeMap<Sha256Hash, u64>,
}

/// Where an exposure stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Dense sequence number.
    pub sequence: u64,
    /// Leaf of the first entry.
    pub commit: u64,
    /// Leaf of the second entry, once there is one.
    pub outcome: Option<u64>,
}

fn id_key(id: &str) -> [u8; 16] {
    let hash = Sha256Hash::of(id.as_bytes());
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

impl Replay {
    /// Number of exposures begun.
    pub(crate) fn n_sequences(&self) -> u64 {
        self.commits.len() as u64
    }

    /// Number of exposures begun in the first `tree_size` leaves.
    pub(crate) fn n_sequences_at(&self, tree_size: u64) -> u64 {
        self.commits.partition_point(|&leaf| leaf < tree_size) as u64
    }

    pub(crate) fn offset(&self, leaf: u64) -> Option<u64> {
        self.offsets.get(usize::try_from(leaf).ok()?).copied()
    }

    pub(crate) fn position_of_sequence(&self, sequence: u64) -> Option<Position> {
        let at = usize::try_from(sequence).ok()?;
        let outcome = self.outcomes.get(at).copied().filter(|&leaf| leaf != OPEN);
        Some(Position { sequence, commit: *self.commits.get(at)?, outcome })
    }

    pub(crate) fn position(&self, id: &str) -> Option<Position> {
        self.position_of_sequence(*self.sequences.get(&id_key(id))?)
    }

    /// Whether `leaf` may follow; for a second entry, `first` is that exposure's first one.
    pub(crate) fn check(&self, leaf: &Leaf, first: Option<&ExposureLeaf>) -> Result<(), String> {
        match leaf {
            Leaf::Commit(commit) if self.sequences.contains_key(&id_key(&commit.id)) => {
                Err("an exposure with this id exists already; ids are unique".to_owned())
            }
            Leaf::Outcome(outcome) => match self.position(&outcome.id) {
                None => Err("it has no first entry; commit before asking the model".to_owned()),
                Some(Position { outcome: Some(at), .. }) => {
                    Err(format!("it has ended already, by leaf {at}"))
                }
                Some(_) => first.map_or(Ok(()), |first| agrees(first, outcome)),
            },
            _ => Ok(()),
        }
    }

    /// Takes the next leaf, checked before.
    pub(crate) fn push(&mut self, data: &[u8], offset: u64, leaf: Leaf) {
        let index = self.tree.len();
        self.tree.push(leaf_hash(data));
        self.offsets.push(offset);
        match leaf {
            Leaf::Commit(commit) => {
                self.sequences.insert(id_key(&commit.id), self.n_sequences());
                self.commits.push(index);
                self.outcomes.push(OPEN);
            }
            Leaf::Outcome(outcome) => {
                let sequence = self.sequences.get(&id_key(&outcome.id));
                let at = sequence.and_then(|&sequence| usize::try_from(sequence).ok());
                if let Some(slot) = at.and_then(|at| self.outcomes.get_mut(at)) {
                    *slot = index;
                }
            }
            Leaf::Plan(plan) => self.plans.push((index, plan)),
            Leaf::Weights(weights) => self.weights.push((index, weights)),
            Leaf::Deletion(DeletionLeaf { account_tag, .. }) => {
                self.deletions.entry(account_tag).or_insert(index);
            }
            Leaf::Anchor(_) => {}
        }
    }
}

/// Whether a second entry belongs to the first.
pub(crate) fn agrees(first: &ExposureLeaf, second: &ExposureLeaf) -> Result<(), String> {
    let same = first.request_hash == second.request_hash
        && first.coin_commitment == second.coin_commitment
        && first.account_tag == second.account_tag
        && first.slot_hashes.len() == second.slot_hashes.len();
    if same {
        Ok(())
    } else {
        Err("its request, coin, account or number of slots differ from the first entry".to_owned())
    }
}
