//! Detection while traffic flows: one writer, bounded memory.

use crate::analyse::analyse;
use crate::codec::SketchError;
use crate::features::Extractor;
use crate::hash::HashKey;
use crate::population::Population;
use crate::sketch::AccountSketch;
use crate::{Analysis, Observation};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pieces of text remembered of accounts that left memory.
const GONE_MAX: usize = 1 << 14;
/// Bytes that one takes in memory.
const GONE_ENTRY_BYTES: usize = 64;
/// Days for which they are remembered: as long as activity is.
const GONE_DAYS: i64 = 21;
const DAY_MS: i64 = 86_400_000;

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
    accounts: BTreeMap<Arc<str>, Held>,
    /// By when they were last touched: the first leaves next.
    by_age: BTreeMap<u64, Arc<str>>,
    /// What accounts that left memory had; bounded.
    gone: Population,
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
    #[expect(clippy::needless_pass_by_value, reason = "parameters are made for this call")]
    pub fn new(params: LiveParams) -> Self {
        Self {
            extractor: Extractor::new(HashKey::new(&params.hash_key)),
            accounts_max: params.accounts_max.max(1),
            accounts: BTreeMap::new(),
            by_age: BTreeMap::new(),
            gone: Population::default(),
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
        // Nodes of a B-tree are three quarters full; the name stands once, behind two counters.
        let node = 4 * (size_of::<Arc<str>>() + size_of::<u64>()) / 3;
        let accounts: usize = self
            .accounts
            .iter()
            .map(|(name, held)| {
                name.len() + 16 + 2 * node + held.sketch.memory_bytes() + size_of::<Held>() / 3
            })
            .sum();
        accounts + self.gone.len() * GONE_ENTRY_BYTES
    }

    /// What is known now.
    pub fn analyse(&mut self, now_ms: i64) -> Analysis {
        let mut analysis = analyse(self.accounts(), now_ms);
        analysis.n_exchanges = self.n_exchanges;
        let gone_since = u32::try_from(now_ms / DAY_MS - GONE_DAYS).unwrap_or(0);
        self.gone.age(gone_since);
        for campaign in &mut analysis.campaigns {
            // The commonest piece of the group's text, among accounts that left memory.
            let gone = campaign.indicators.first().map_or(0.0, |item| self.gone.accounts(*item));
            campaign.measures.push(("accounts_gone".to_owned(), gone));
        }
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
        let name: Arc<str> = account.into();
        self.accounts.insert(Arc::clone(&name), Held { touched: clock, sketch });
        self.by_age.insert(clock, name);
        if self.accounts.len() <= self.accounts_max {
            return None;
        }
        let (_, name) = self.by_age.pop_first()?;
        let held = self.accounts.remove(&name)?;
        self.gone.add(self.extractor.account(&name), &held.sketch);
        if self.gone.len() > 2 * GONE_MAX {
            self.gone.trim(GONE_MAX);
        }
        Some(Evicted { account: (*name).to_owned(), bytes: held.sketch.to_bytes() })
    }
}
