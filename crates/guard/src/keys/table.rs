//! Accounts and keys in memory: about 170 bytes for an account with one key.
//!
//! Both are spread over shards by hash, each shard a sorted list that is replaced as a whole
//! when something in it changes. Readers take no lock; the comparison of the hashes themselves
//! is in constant time, and what is sorted are keyed hashes, which callers can't choose.

use super::DEFAULT_PLAN;
use super::hash::stored;
use crate::store::{AccountRow, KeyRow};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use subtle::ConstantTimeEq as _;

/// How long rows of removed accounts stay in the store, so that other nodes see them.
pub(super) const TOMBSTONE_MS: i64 = 24 * 3_600_000;
const SHARDS: usize = 4096;
/// Bit of an account's state that says that its keys are refused; the others number its plan.
const DISABLED: u32 = 1 << 31;

/// An account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: Arc<str>,
    state: AtomicU32,
}

impl Account {
    pub(super) fn is_disabled(&self) -> bool {
        self.state.load(Ordering::Relaxed) & DISABLED != 0
    }
}

#[derive(Debug, Clone)]
struct Key {
    hash: [u8; 32],
    expires_ms: i64,
    account: Arc<Account>,
}

type Shards<T> = Box<[ArcSwap<Vec<T>>]>;
/// By shard: what changes, and to what; `None`: it goes.
type Changes<K, T> = BTreeMap<usize, Vec<(K, Option<T>)>>;

/// Accounts and keys.
#[derive(Debug)]
pub(super) struct Table {
    accounts: Shards<Arc<Account>>,
    keys: Shards<Key>,
    plans: ArcSwap<Vec<Arc<str>>>,
    n_accounts: AtomicUsize,
}

fn shards<T>() -> Shards<T> {
    (0..SHARDS).map(|_| ArcSwap::from_pointee(Vec::new())).collect()
}

fn shard_of(hash: &[u8]) -> usize {
    hash.iter().take(2).fold(0, |n, byte| n << 8 | usize::from(*byte)) % SHARDS
}

fn shard_of_name(name: &str) -> usize {
    shard_of(blake3::hash(name.as_bytes()).as_bytes())
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            accounts: shards(),
            keys: shards(),
            plans: ArcSwap::from_pointee(vec![Arc::from(DEFAULT_PLAN)]),
            n_accounts: AtomicUsize::new(0),
        }
    }

    /// The account of a key that holds now.
    pub(super) fn account_of(&self, hash: &[u8; 32], now_ms: i64) -> Option<Arc<Account>> {
        let keys = self.keys.get(shard_of(hash))?.load();
        let at = keys.partition_point(|key| key.hash < *hash);
        let key = keys.get(at)?;
        (bool::from(key.hash.ct_eq(hash)) && now_ms < key.expires_ms)
            .then(|| Arc::clone(&key.account))
    }

    /// An account by its name.
    pub(super) fn account(&self, name: &str) -> Option<Arc<Account>> {
        if self.n_accounts() == 0 {
            return None;
        }
        let accounts = self.accounts.get(shard_of_name(name))?.load();
        let at = accounts.binary_search_by(|account| (*account.name).cmp(name)).ok()?;
        accounts.get(at).map(Arc::clone)
    }

    /// The plan of an account.
    pub(super) fn plan_of(&self, account: &Account) -> Arc<str> {
        let at = account.state.load(Ordering::Relaxed) & !DISABLED;
        let plans = self.plans.load();
        let plan = usize::try_from(at).ok().and_then(|at| plans.get(at));
        plan.map_or_else(|| Arc::from(DEFAULT_PLAN), Arc::clone)
    }

    pub(super) fn n_accounts(&self) -> usize {
        self.n_accounts.load(Ordering::Relaxed)
    }

    /// Collects changes, to replace each shard once.
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { table: self, accounts: BTreeMap::new(), keys: BTreeMap::new() }
    }

    /// The number of a plan. Only one refresh at a time calls it.
    fn plan_number(&self, plan: &str) -> u32 {
        let plans = self.plans.load();
        let number = plans.iter().position(|known| **known == *plan).unwrap_or_else(|| {
            let mut more = Vec::clone(&plans);
            more.push(Arc::from(plan));
            let at = more.len() - 1;
            self.plans.store(Arc::new(more));
            at
        });
        u32::try_from(number).unwrap_or(0) & !DISABLED
    }
}

/// Changes that were read and aren't visible yet.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    table: &'a Table,
    accounts: Changes<Arc<str>, Arc<Account>>,
    keys: Changes<[u8; 32], Key>,
}

impl Batch<'_> {
    /// Takes an account. One that is known changes at once, for all its keys.
    pub(super) fn account(&mut self, row: &AccountRow) {
        let disabled = if row.disabled || row.deleted { DISABLED } else { 0 };
        let state = self.table.plan_number(&row.plan) | disabled;
        let known = self.table.account(&row.name);
        if let Some(known) = &known {
            known.state.store(state, Ordering::Relaxed);
        }
        let change = match (known, row.deleted) {
            (Some(known), true) => (Arc::clone(&known.name), None),
            (None, false) => {
                let name: Arc<str> = Arc::from(row.name.as_str());
                let account = Account { name: Arc::clone(&name), state: AtomicU32::new(state) };
                (name, Some(Arc::new(account)))
            }
            (Some(_), false) | (None, true) => return,
        };
        self.accounts.entry(shard_of_name(&row.name)).or_default().push(change);
    }

    /// Makes the accounts visible: before the keys, which point to them.
    pub(super) fn finish_accounts(&mut self) {
        for (at, changes) in std::mem::take(&mut self.accounts) {
            let Some(shard) = self.table.accounts.get(at) else { continue };
            let before = shard.load();
            let mut after = merge(&before, changes, |account| &account.name);
            after.shrink_to_fit();
            let n = self.table.n_accounts() + after.len() - before.len();
            self.table.n_accounts.store(n, Ordering::Relaxed);
            shard.store(Arc::new(after));
        }
    }

    /// Takes a virtual key.
    pub(super) fn key(&mut self, row: &KeyRow) {
        let Some(hash) = stored(&row.hash) else { return };
        let key = match (row.revoked_ms, self.table.account(&row.account)) {
            (None, Some(account)) => {
                Some(Key { hash, expires_ms: row.expires_ms.unwrap_or(i64::MAX), account })
            }
            _ => None,
        };
        self.keys.entry(shard_of(&hash)).or_default().push((hash, key));
    }

    /// Makes the keys visible.
    pub(super) fn finish_keys(&mut self) {
        for (at, changes) in std::mem::take(&mut self.keys) {
            let Some(shard) = self.table.keys.get(at) else { continue };
            let mut after = merge(&shard.load(), changes, |key| &key.hash);
            after.shrink_to_fit();
            shard.store(Arc::new(after));
        }
    }
}

/// A sorted list with changes; of several changes of one item the last counts.
fn merge<T: Clone, K: Ord + ToOwned>(
    before: &[T],
    mut changes: Vec<(K, Option<T>)>,
    key: impl Fn(&T) -> &K,
) -> Vec<T> {
    changes.sort_by(|a, b| a.0.cmp(&b.0));
    let mut after = Vec::with_capacity(before.len() + changes.len());
    let mut old = before.iter().peekable();
    let mut changes = changes.into_iter().peekable();
    while let Some((name, item)) = changes.next() {
        if changes.peek().is_some_and(|next| next.0 == name) {
            continue;
        }
        while let Some(kept) = old.next_if(|kept| *key(kept) < name) {
            after.push(kept.clone());
        }
        old.next_if(|replaced| *key(replaced) == name);
        after.extend(item);
    }
    after.extend(old.cloned());
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merging_is_what_a_map_does(
            before in proptest::collection::btree_set(0_u8..50, 0..20),
            changes in proptest::collection::vec((0_u8..50, proptest::bool::ANY), 0..40),
        ) {
            let mut map = before.clone();
            for (item, is_there) in &changes {
                if *is_there { map.insert(*item); } else { map.remove(item); }
            }
            let before: Vec<u8> = before.into_iter().collect();
            let changes = changes.iter().map(|(i, there)| (*i, there.then_some(*i))).collect();
            prop_assert_eq!(merge(&before, changes, |i| i), map.into_iter().collect::<Vec<_>>());
        }
    }
}
