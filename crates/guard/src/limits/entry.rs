//! The buckets of one account or cluster, and the table of all that are in use.

use super::bucket::{Bucket, Claim, Credit, Short};
use super::plans::Rates;
use crate::store::BudgetKey;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tables that the entries are spread over: requests of different accounts seldom meet.
const SHARDS: usize = 256;
/// An entry that nobody used for so long gives its leases back.
const IDLE_MS: i64 = 15_000;
/// An entry that nobody used for so long leaves memory.
const FORGET_MS: i64 = 600_000;

/// The buckets of one account or cluster.
#[derive(Debug)]
pub(super) struct Entry {
    rates: Arc<Rates>,
    buckets: [Option<Bucket>; 3],
    /// Until when time has passed for the buckets.
    at_ms: i64,
    used_ms: i64,
    exchanged_ms: i64,
    /// Whether the store was asked, or is known to have nothing.
    is_known: bool,
    is_queued: bool,
    /// Requests let through and not settled.
    open: u32,
}

/// Why an entry doesn't let a request through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Held {
    /// Which bucket is empty, and for how many milliseconds.
    Empty(usize, u64),
    /// The store has to be asked first.
    Unleased,
}

impl Entry {
    fn new(rates: &Arc<Rates>, now_ms: i64, is_known: bool) -> Self {
        Self {
            rates: Arc::clone(rates),
            buckets: rates.0.map(|rate| rate.as_ref().map(Bucket::full)),
            at_ms: now_ms,
            used_ms: now_ms,
            exchanged_ms: now_ms,
            is_known,
            is_queued: false,
            open: 0,
        }
    }

    /// Lets time pass until now.
    pub(super) fn pass(&mut self, now_ms: i64) {
        let passed = now_ms - self.at_ms;
        if passed > 0 {
            for (bucket, rate) in self.buckets.iter_mut().zip(&self.rates.0) {
                if let (Some(bucket), Some(rate)) = (bucket, rate) {
                    bucket.pass(rate, passed);
                }
            }
            self.at_ms = now_ms;
        }
    }

    fn adapt(&mut self, rates: &Arc<Rates>) {
        if Arc::ptr_eq(&self.rates, rates) {
            return;
        }
        for (bucket, rate) in self.buckets.iter_mut().zip(&rates.0) {
            match (bucket.as_mut(), rate) {
                (Some(bucket), Some(rate)) => bucket.adapt(rate),
                (None, Some(rate)) => *bucket = Some(Bucket::full(rate)),
                (_, None) => *bucket = None,
            }
        }
        self.rates = Arc::clone(rates);
    }

    /// Takes amounts of all buckets or of none. What is more than a bucket holds counts as what
    /// it holds: else such a request could never pass. Returns what was taken.
    pub(super) fn take(
        &mut self,
        amounts: [f64; 3],
        credit: Credit,
        now_ms: i64,
    ) -> Result<[f64; 3], Held> {
        self.pass(now_ms);
        self.used_ms = now_ms;
        let mut taken = [0.0; 3];
        let is_asked = self.is_known || matches!(credit, Credit::Share(_));
        let mut held = (!is_asked).then_some(Held::Unleased);
        for (kind, amount) in amounts.into_iter().enumerate() {
            let (Some(Some(bucket)), Some(Some(rate))) =
                (self.buckets.get_mut(kind), self.rates.0.get(kind))
            else {
                continue;
            };
            let amount = amount.min(rate.capacity);
            if let Some(taken) = taken.get_mut(kind) {
                *taken = amount;
            }
            match bucket.check(rate, amount, credit) {
                Ok(()) => {}
                Err(Short::Empty(wait)) => return Err(Held::Empty(kind, wait)),
                Err(Short::Unleased) => held = Some(Held::Unleased),
            }
        }
        if let Some(held) = held {
            return Err(held);
        }
        self.book(taken);
        self.open += 1;
        Ok(taken)
    }

    fn book(&mut self, amounts: [f64; 3]) {
        for ((bucket, rate), amount) in self.buckets.iter_mut().zip(&self.rates.0).zip(amounts) {
            if let (Some(bucket), Some(rate)) = (bucket, rate) {
                bucket.take(rate, amount);
            }
        }
    }

    /// Corrects what a request took by what it cost.
    pub(super) fn settle(&mut self, more: [f64; 3], now_ms: i64) {
        self.pass(now_ms);
        self.book(more);
        self.open = self.open.saturating_sub(1);
    }

    /// Whether the store should be asked soon; says so once.
    pub(super) fn queue(&mut self, is_only_node: bool) -> bool {
        let is_low = || {
            self.buckets.iter().zip(&self.rates.0).any(|(bucket, rate)| match (bucket, rate) {
                (Some(bucket), Some(rate)) => bucket.is_low(rate, is_only_node),
                _ => false,
            })
        };
        if self.is_queued || (self.is_known && !is_low()) {
            return false;
        }
        self.is_queued = true;
        true
    }

    /// Asks for the store at once, though nothing is low.
    pub(super) fn queue_now(&mut self) -> bool {
        !std::mem::replace(&mut self.is_queued, true)
    }

    /// Level, capacity and milliseconds until full, by bucket.
    pub(super) fn standing(&self) -> [Option<(f64, f64, u64)>; 3] {
        let mut all = [None; 3];
        for ((all, bucket), rate) in all.iter_mut().zip(&self.buckets).zip(&self.rates.0) {
            if let (Some(bucket), Some(rate)) = (bucket, rate) {
                let missing = rate.capacity - bucket.level();
                let reset = if missing > 1e-6 { rate.wait_ms(missing) } else { 0 };
                *all = Some((bucket.level(), rate.capacity, reset));
            }
        }
        all
    }

    /// What to ask the store for.
    pub(super) fn claim(&mut self, now_ms: i64, is_only_node: bool, is_closing: bool) -> Asked {
        self.pass(now_ms);
        self.is_queued = false;
        let passed = now_ms - self.exchanged_ms;
        self.exchanged_ms = now_ms;
        let is_idle = is_closing || now_ms - self.used_ms >= IDLE_MS;
        let rates = Arc::clone(&self.rates);
        let mut asked =
            Asked { claims: [None; 3], stored: [None; 3], is_known: self.is_known, rates };
        for (kind, bucket) in self.buckets.iter_mut().enumerate() {
            let (Some(bucket), Some(Some(rate))) = (bucket, self.rates.0.get(kind)) else {
                continue;
            };
            let claim = bucket.claim(rate, passed, is_only_node, is_idle);
            if let (Some(claims), Some(stored)) =
                (asked.claims.get_mut(kind), asked.stored.get_mut(kind))
            {
                // What lies there now, before the claim is served.
                *stored = Some(bucket.stored() - claim.surplus);
                *claims = Some(claim);
            }
        }
        asked
    }

    /// Takes in what the store gave. `left`: what it has left, where that was read.
    pub(super) fn granted(
        &mut self,
        rates: &Rates,
        given: [f64; 3],
        left: Option<[Option<f64>; 3]>,
    ) {
        for (kind, bucket) in self.buckets.iter_mut().enumerate() {
            if let (Some(bucket), Some(Some(rate)), Some(given)) =
                (bucket, rates.0.get(kind), given.get(kind))
            {
                let left = left.and_then(|left| left.get(kind).copied().flatten());
                bucket.granted(rate, *given, left);
            }
        }
        self.is_known = true;
    }
}

/// What an entry asks the store for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) claims: [Option<Claim>; 3],
    /// What lies in the store, as far as this node knows.
    pub(super) stored: [Option<f64>; 3],
    /// Whether that is known.
    pub(super) is_known: bool,
    pub(super) rates: Arc<Rates>,
}

type Shard = BTreeMap<BudgetKey, Entry>;

/// All entries in use.
#[derive(Debug)]
pub(super) struct Entries {
    shards: Vec<Mutex<Shard>>,
    /// Hashes of names that have something in the store and aren't in memory (one node only).
    cold: Mutex<BTreeSet<u64>>,
    is_only_node: bool,
}

fn hash(key: &BudgetKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entries {
    pub(super) fn new(is_only_node: bool, cold: impl IntoIterator<Item = BudgetKey>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            cold: Mutex::new(cold.into_iter().map(|key| hash(&key)).collect()),
            is_only_node,
        }
    }

    /// Does something with an entry, which is made where it is missing.
    pub(super) fn with<T>(
        &self,
        key: &BudgetKey,
        rates: &Arc<Rates>,
        now_ms: i64,
        act: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let hash = hash(key);
        let mut shard = lock(self.shards.get(place(hash))?);
        if let Some(entry) = shard.get_mut(key) {
            entry.adapt(rates);
            return Some(act(entry));
        }
        let is_known = self.is_only_node && !lock(&self.cold).remove(&hash);
        let mut entry = Entry::new(rates, now_ms, is_known);
        let result = act(&mut entry);
        shard.insert((key.0, Arc::clone(&key.1)), entry);
        Some(result)
    }

    /// Does something with an entry that is there.
    pub(super) fn with_known<T>(
        &self,
        key: &BudgetKey,
        act: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        lock(self.shards.get(place(hash(key)))?).get_mut(key).map(act)
    }

    /// Queues what is idle and holds leases, forgets what is full or unused for long.
    pub(super) fn sweep(&self, now_ms: i64, mut queue: impl FnMut(BudgetKey)) {
        for shard in &self.shards {
            lock(shard).retain(|key, entry| {
                let idle_ms = now_ms - entry.used_ms;
                if idle_ms < IDLE_MS || entry.is_queued {
                    return true;
                }
                let holds = |bucket: &Option<Bucket>| {
                    bucket.as_ref().is_some_and(|bucket| bucket.lease().abs() > 1e-6)
                };
                if entry.buckets.iter().any(holds) {
                    if entry.queue_now() {
                        queue((key.0, Arc::clone(&key.1)));
                    }
                    return true;
                }
                if entry.open > 0 {
                    return true;
                }
                entry.pass(now_ms);
                if entry.standing().iter().flatten().all(|(_, _, reset)| *reset == 0) {
                    return false;
                }
                if idle_ms < FORGET_MS {
                    return true;
                }
                if self.is_only_node {
                    lock(&self.cold).insert(hash(key));
                }
                false
            });
        }
    }

    /// Names of all entries.
    pub(super) fn keys(&self) -> Vec<BudgetKey> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            keys.extend(lock(shard).keys().map(|key| (key.0, Arc::clone(&key.1))));
        }
        keys
    }

    /// Forgets an entry: as though it had never been used.
    pub(super) fn remove(&self, key: &BudgetKey) {
        let hash = hash(key);
        lock(&self.cold).remove(&hash);
        if let Some(shard) = self.shards.get(place(hash)) {
            lock(shard).remove(key);
        }
    }
}

fn place(hash: u64) -> usize {
    usize::try_from(hash % SHARDS as u64).unwrap_or(0)
}
