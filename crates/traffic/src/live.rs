//! Detection while traffic flows: one writer, bounded memory.

use crate::analyse::analyse;
use crate::codec::SketchError;
use crate::features::Extractor;
use crate::hash::HashKey;
use crate::sketch::AccountSketch;
use crate::{Analysis, Observation};
use std::collections::BTreeMap;

/// Bounds and keys of live detection.
#[derive(Debug, Clone)]
pub struct LiveParams {
    /// Keys the hashes, so that prompts can't be made to collide. The same on all nodes.
    pub hash_key: [u8; 32],
    /// Accounts kept in memory; the least recently seen leave first.
    pub accounts_max: usize,
}

/// An account that left memory, for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// The account.
    pub account: String,
    /// Its sketch ([`AccountSketch::to_bytes`]).
    pub bytes: Vec<u8>,
}

/// The state of detection.
#[derive(Debug)]
pub struct Live {
    extractor: Extractor,
    accounts_max: usize,
    accounts: BTreeMap<Box<str>, Held>,
    /// By when they were last touched: the first leaves next.
    by_age: BTreeMap<u64, Box<str>>,
    clock: u64,
    n_exchanges: u64,
}

#[derive(Debug)]
struct Held {
    touched: u64,
    sketch: AccountSketch,
}

impl Live {
    /// An empty state.
    pub fn new(params: LiveParams) -> Self {
        Self {
            extractor: Extractor::new(HashKey::new(&params.hash_key)),
            accounts_max: params.accounts_max.max(1),
            accounts: BTreeMap::new(),
            by_age: BTreeMap::new(),
            clock: 0,
            n_exchanges: 0,
        }
    }

    /// Takes one exchange in. Where memory is full, the account that was longest unseen leaves
    /// and is handed back for the store.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Option<Evicted> {
        self.n_exchanges += 1;
        let features = self.extractor.extract(observation);
        self.touch(observation.account, |sketch| sketch.observe(&features))
    }

    /// Whether the account is in memory. Where it isn't, its stored bytes can be
    /// [admitted](Self::admit) before or after it is observed again.
    pub fn knows(&self, account: &str) -> bool {
        self.accounts.contains_key(account)
    }

    /// The sketch of an account in memory.
    pub fn sketch(&self, account: &str) -> Option<&AccountSketch> {
        self.accounts.get(account).map(|held| &held.sketch)
    }

    /// Takes back an account from the store, merged with what is known of it already.
    ///
    /// # Errors
    /// The bytes aren't a sketch; nothing is changed then.
    pub fn admit(&mut self, account: &str, bytes: &[u8]) -> Result<Option<Evicted>, SketchError> {
        let stored = AccountSketch::from_bytes(bytes)?;
        Ok(self.touch(account, |sketch| sketch.merge(&stored)))
    }

    /// Forgets an account; true where it was known.
    pub fn forget(&mut self, account: &str) -> bool {
        match self.accounts.remove(account) {
            Some(held) => self.by_age.remove(&held.touched).is_some(),
            None => false,
        }
    }

    /// Accounts in memory with their sketches, by name.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, &AccountSketch)> {
        self.accounts.iter().map(|(name, held)| (&**name, &held.sketch))
    }

    /// Bytes in memory, without those of an analysis under way.
    pub fn memory_bytes(&self) -> usize {
        // A node of the two maps holds names, ages and links besides the sketch.
        self.accounts
            .iter()
            .map(|(name, held)| 2 * name.len() + 64 + held.sketch.memory_bytes())
            .sum()
    }

    /// What is known now.
    pub fn analyse(&mut self, now_ms: i64) -> Analysis {
        let mut analysis = analyse(self.accounts(), now_ms);
        analysis.n_exchanges = self.n_exchanges;
        analysis
    }

    fn touch(&mut self, account: &str, change: impl FnOnce(&mut AccountSketch)) -> Option<Evicted> {
        self.clock += 1;
        let clock = self.clock;
        if let Some(held) = self.accounts.get_mut(account) {
            change(&mut held.sketch);
            if let Some(name) = self.by_age.remove(&held.touched) {
                self.by_age.insert(clock, name);
            }
            held.touched = clock;
            return None;
        }
        let mut sketch = AccountSketch::default();
        change(&mut sketch);
        self.accounts.insert(account.into(), Held { touched: clock, sketch });
        self.by_age.insert(clock, account.into());
        if self.accounts.len() <= self.accounts_max {
            return None;
        }
        let (_, name) = self.by_age.pop_first()?;
        let held = self.accounts.remove(&name)?;
        Some(Evicted { account: name.into(), bytes: held.sketch.to_bytes() })
    }
}
