//! The exchange between memory and store: leases are taken and given back, spending is written.
//!
//! One task, many entries per transaction. What a transaction decided is taken into memory only
//! after it has been committed; one that failed half-way costs the account a lease, never the
//! operator a limit.

use super::bucket::Rate;
use super::entry::Asked;
use super::plans::Rates;
use super::{GATHER, Inner};
use crate::GuardError;
use crate::store::{BudgetKey, BudgetRow, NodeRow, Store};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Entries per transaction.
const BATCH: usize = 200;
/// How long the task sleeps when nobody wakes it.
const TICK: Duration = Duration::from_millis(500);
/// How often idle entries are looked for, plans are polled, and the node says that it is there.
const SWEEP: Duration = Duration::from_secs(2);
/// A node that wasn't heard of for so long is gone.
const NODE_GONE_MS: i64 = 15_000;
/// Every bucket is full after so long: a day's worth of debt and a day's worth of level.
const FULL_AFTER_MS: i64 = 2 * 86_400_000;
/// Clocks of the database may be this much out of order between two transactions.
const ORDER_MS: i64 = 2_000;

/// What was given for an entry, and what the store has left of it, where that was read.
type Grant = (BudgetKey, Arc<Rates>, [f64; 3], Option<[Option<f64>; 3]>);

/// Names whose buckets may not be full.
///
/// # Errors
/// The store fails.
pub(super) async fn cold(store: &Store, now_ms: i64) -> Result<Vec<BudgetKey>, GuardError> {
    store.purge_budgets(now_ms - FULL_AFTER_MS).await?;
    let mut all: Vec<BudgetKey> = Vec::new();
    loop {
        let page = store.budget_keys(all.last()).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The task.
pub(super) async fn work(inner: Arc<Inner>, mut plans_version: i64) {
    let mut swept = Instant::now();
    let mut purged = Instant::now();
    while !inner.is_stopping.load(Ordering::Acquire) {
        // Woken or not: both are reasons to look.
        let _woken = tokio::time::timeout(TICK, inner.wake.notified()).await;
        if !inner.store.is_shared() && !inner.is_urgent.load(Ordering::Acquire) {
            tokio::time::sleep(GATHER).await;
        }
        inner.is_urgent.store(false, Ordering::Release);
        if let Err(error) = exchange(&inner, false).await {
            tracing::debug!(%error, "limits are not written");
            tokio::time::sleep(TICK / 2).await;
        }
        if swept.elapsed() >= SWEEP {
            swept = Instant::now();
            let now_ms = inner.time.at(inner.clock.now_ms());
            let mut idle = Vec::new();
            inner.entries.sweep(now_ms, |key| idle.push(key));
            inner.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(idle);
            match poll(&inner, Some(plans_version)).await {
                Ok(version) => plans_version = version,
                Err(error) => tracing::debug!(%error, "plans and nodes are not polled"),
            }
        }
        if purged.elapsed() >= Duration::from_hours(1) {
            purged = Instant::now();
            let before_ms = inner.clock.now_ms() - FULL_AFTER_MS;
            if let Err(error) = inner.store.purge_budgets(before_ms).await {
                tracing::debug!(%error, "old budgets are not removed");
            }
        }
    }
}

/// Reads the plans where they changed since the version that is known, says that this node is
/// there, counts the others.
///
/// # Errors
/// The store fails.
pub(super) async fn poll(inner: &Inner, known: Option<i64>) -> Result<i64, GuardError> {
    let version = inner.store.keys_version().await?;
    if Some(version) != known {
        inner.load_plans().await?;
    }
    if inner.store.is_shared() {
        let now_ms = inner.store.clock_ms(inner.clock.now_ms()).await?;
        let id = inner.store.node().to_owned();
        let node = NodeRow { id, started_ms: inner.store.started_ms(), seen_ms: now_ms };
        inner.store.put_node(&node).await?;
        let nodes = inner.store.nodes(now_ms - NODE_GONE_MS).await?.len();
        inner.nodes.store(u32::try_from(nodes).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
    }
    Ok(version)
}

/// Gives everything back.
///
/// # Errors
/// The store fails.
pub(super) async fn close(inner: &Inner) -> Result<(), sqlx::Error> {
    let keys = inner.entries.keys();
    *inner.queue.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    exchange(inner, true).await
}

impl Inner {
    /// Asks the store for an entry soon.
    pub(super) fn ask(&self, key: BudgetKey) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        self.wake.notify_one();
    }
}

/// Exchanges all that is queued now.
async fn exchange(inner: &Inner, is_closing: bool) -> Result<(), sqlx::Error> {
    let mut keys = std::mem::take(&mut *inner.queue.lock().unwrap_or_else(PoisonError::into_inner));
    // In one order on all nodes, so that none waits for the other in a circle.
    keys.sort();
    keys.dedup();
    let mut batches = keys.chunks(BATCH);
    for batch in batches.by_ref() {
        let clock_ms = inner.clock.now_ms();
        let now_ms = inner.time.at(clock_ms);
        let is_only_node = !inner.store.is_shared();
        let asked: Vec<(BudgetKey, Asked)> = batch
            .iter()
            .filter_map(|key| {
                let asked = inner
                    .entries
                    .with_known(key, |entry| entry.claim(now_ms, is_only_node, is_closing))?;
                Some(((key.0, Arc::clone(&key.1)), asked))
            })
            .collect();
        let done = inner.store.run(transact(&inner.store, &asked, clock_ms)).await;
        match done {
            Ok(grants) => {
                for (key, rates, given, left) in grants {
                    inner.entries.with_known(&key, |entry| entry.granted(&rates, given, left));
                }
                inner.exchanged.notify_waiters();
            }
            Err(error) => {
                let again = asked.into_iter().map(|(key, _)| key).filter(|key| {
                    inner.entries.with_known(key, super::entry::Entry::queue_now) == Some(true)
                });
                let mut queue = inner.queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.extend(again);
                // The others weren't asked for: they count as queued still.
                queue.extend(batches.flatten().map(|key| (key.0, Arc::clone(&key.1))));
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn transact(
    store: &Store,
    asked: &[(BudgetKey, Asked)],
    clock_ms: i64,
) -> Result<Vec<Grant>, sqlx::Error> {
    let mut tx = store.begin_budgets(clock_ms).await?;
    let is_read = |asked: &Asked| store.is_shared() || !asked.is_known;
    let unread: Vec<BudgetKey> = asked
        .iter()
        .filter(|(_, asked)| is_read(asked))
        .map(|(key, _)| (key.0, Arc::clone(&key.1)))
        .collect();
    let rows: BTreeMap<BudgetKey, BudgetRow> =
        tx.lock(&unread).await?.into_iter().map(|row| (row.key.clone(), row)).collect();
    let mut writes = Vec::with_capacity(asked.len());
    let mut grants = Vec::with_capacity(asked.len());
    for (key, asked) in asked {
        let row = rows.get(key);
        let mut given = [0.0; 3];
        let mut left = [None; 3];
        for kind in 0..3 {
            let (Some(Some(claim)), Some(Some(rate))) =
                (asked.claims.get(kind), asked.rates.0.get(kind))
            else {
                continue;
            };
            let level = match row {
                Some(row) => level(row, kind, rate, tx.now_ms),
                None => asked.stored.get(kind).copied().flatten().unwrap_or(rate.capacity),
            };
            let (gives, leaves) = claim.serve(rate, level);
            if let (Some(given), Some(left)) = (given.get_mut(kind), left.get_mut(kind)) {
                *given = gives;
                *left = Some(leaves);
            }
        }
        let updated_ms = match row {
            Some(row) if row.updated_ms - tx.now_ms <= ORDER_MS => row.updated_ms.max(tx.now_ms),
            _ => tx.now_ms,
        };
        writes.push(BudgetRow { key: key.clone(), levels: left, updated_ms });
        grants.push((key.clone(), Arc::clone(&asked.rates), given, row.map(|_| left)));
    }
    tx.write(&writes).await?;
    tx.commit().await?;
    Ok(grants)
}

/// A stored level at a later time. A clock that was set back lets no time pass.
fn level(row: &BudgetRow, kind: usize, rate: &Rate, now_ms: i64) -> f64 {
    match row.levels.get(kind).copied().flatten() {
        Some(level) => rate.refill(level, now_ms - row.updated_ms),
        None => rate.capacity,
    }
}
