//! Token buckets in requests, tokens and money, per account and per cluster of accounts.
//!
//! A request reserves an estimate before the upstream is asked and is settled by its real cost.
//! Whoever spends holds a lease from the store (see `bucket`), so that nodes which share a
//! PostgreSQL share each limit, and a node that is killed never spends twice. On one node with
//! SQLite memory decides and the store follows: a kill loses what the leases held in advance
//! (about ten seconds' worth at the account's pace, to the account's loss), and forgets at most
//! what was let through beyond the leases in the last [`GATHER`] and one commit.
//!
//! While the database is away each node spends its equal share of what it last knew.

mod bucket;
mod entry;
mod exchange;
mod permit;
mod plans;
mod timeline;

pub use permit::Permit;

use crate::store::{BudgetKey, Scope, Store};
use crate::{Clock, GuardError, Identity, SystemClock};
use arc_swap::ArcSwap;
use bucket::Credit;
use entry::{Entries, Held};
use permit::Hold;
use plans::{KINDS, Plans, Prices, Rates};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timeline::Timeline;
use tokio::sync::Notify;

/// How long a request may wait for the store's word on a shared limit.
const LEASE_WAIT: Duration = Duration::from_millis(400);
/// How long spending is gathered before it is written, where one node is alone.
pub const GATHER: Duration = Duration::from_millis(50);

/// Plans, their limits, and what models cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Limits by name of plan; `default` is that of accounts without one.
    pub plan: BTreeMap<String, PlanLimits>,
    /// Prices by model; `gpt-4*` is for all models whose names begin so. Other models are free.
    pub price: BTreeMap<String, Price>,
}

/// Limits of one plan; absent: none. A whole period's amount may be spent at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens (prompt and answer) per minute.
    pub tokens_per_minute: Option<u64>,
    /// Money per day, in the currency of the prices, micro-units.
    pub micros_per_day: Option<u64>,
}

/// What a model costs, in micro-units of any currency per million tokens: 2,500,000 is 2.50.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// A million tokens of prompts.
    pub prompt_micros_per_million: u64,
    /// A million tokens of answers.
    pub completion_micros_per_million: u64,
}

/// Why a request has to wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {scope}'s limit of {what} is spent")]
pub struct LimitExceeded {
    /// `account` or `cluster`.
    pub scope: &'static str,
    /// `requests`, `tokens` or `money`.
    pub what: &'static str,
    /// When to try again, milliseconds.
    pub retry_after_ms: u64,
}

/// What a request really cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer (of all answers sampled for it).
    pub completion_tokens: u64,
}

/// How a bucket stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Standing {
    /// `requests`, `tokens` or `money`.
    pub what: &'static str,
    /// What it holds when full.
    pub limit: f64,
    /// What is left, as far as this node knows; below 0: spent in advance.
    pub remaining: f64,
    /// Milliseconds until it is full again.
    pub reset_ms: u64,
}

/// A cluster with a budget of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterBudget {
    /// Its name.
    pub cluster: String,
    /// Its accounts, sorted.
    pub accounts: Vec<String>,
    /// Their shared limits.
    pub limits: PlanLimits,
    /// How the buckets stand; none before the first request.
    pub standing: Vec<Standing>,
}

#[derive(Debug, Clone)]
struct Membership {
    key: BudgetKey,
    limits: Arc<PlanLimits>,
    rates: Arc<Rates>,
}

type Clusters = BTreeMap<Arc<str>, Vec<Membership>>;

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    time: Timeline,
    entries: Entries,
    config: LimitsConfig,
    plans: ArcSwap<Plans>,
    prices: Prices,
    clusters: ArcSwap<Clusters>,
    /// One change of the clusters at a time.
    changing: Mutex<()>,
    /// Entries that the store is to be asked for; each is in it once.
    queue: Mutex<Vec<BudgetKey>>,
    wake: Notify,
    /// Whether a request waits for the store.
    is_urgent: AtomicBool,
    is_stopping: AtomicBool,
    exchanged: Notify,
    nodes: AtomicU32,
}

/// The buckets.
#[derive(Debug)]
pub struct Limits {
    inner: Arc<Inner>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Limits {
    /// Loads what was spent, by the clock of the system.
    ///
    /// # Errors
    /// The store fails.
    pub async fn open(config: &LimitsConfig, store: Store) -> Result<Self, GuardError> {
        Self::open_with_clock(config, store, Arc::new(SystemClock)).await
    }

    /// Loads what was spent.
    ///
    /// # Errors
    /// The store fails.
    pub async fn open_with_clock(
        config: &LimitsConfig,
        store: Store,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, GuardError> {
        let is_only_node = !store.is_shared();
        let cold =
            if is_only_node { exchange::cold(&store, clock.now_ms()).await? } else { vec![] };
        let inner = Arc::new(Inner {
            time: Timeline::new(clock.now_ms()),
            entries: Entries::new(is_only_node, cold),
            config: config.clone(),
            plans: ArcSwap::from_pointee(Plans::default()),
            prices: Prices::new(config),
            clusters: ArcSwap::default(),
            changing: Mutex::default(),
            queue: Mutex::default(),
            wake: Notify::new(),
            is_urgent: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            exchanged: Notify::new(),
            nodes: AtomicU32::new(1),
            store,
            clock,
        });
        let plans_version = exchange::poll(&inner, None).await?;
        let task = tokio::spawn(exchange::work(Arc::clone(&inner), plans_version));
        Ok(Self { inner, task: Mutex::new(Some(task)) })
    }

    /// Reserves an estimate before the upstream is asked, without waiting for the store: what is
    /// not leased is taken from this node's share.
    ///
    /// # Errors
    /// [`LimitExceeded`].
    pub fn admit(
        &self,
        who: &Identity,
        model: &str,
        estimate: Cost,
    ) -> Result<Permit, LimitExceeded> {
        let inner = &self.inner;
        match inner.attempt(who, model, estimate, inner.credit()) {
            Err(Refused::Unleased) => inner.share(who, model, estimate),
            Err(Refused::Limit(limit)) => Err(limit),
            Ok(permit) => Ok(permit),
        }
    }

    /// Reserves an estimate before the upstream is asked. On one node it never waits, but for
    /// an account's first request after a restart; where several nodes share the limit, for a
    /// lease from the store now and then, and not for longer than 400 ms.
    ///
    /// # Errors
    /// [`LimitExceeded`].
    pub async fn reserve(
        &self,
        who: &Identity,
        model: &str,
        estimate: Cost,
    ) -> Result<Permit, LimitExceeded> {
        let inner = &self.inner;
        let mut until = None;
        loop {
            let exchanged = inner.exchanged.notified();
            match inner.attempt(who, model, estimate, inner.credit()) {
                Err(Refused::Unleased) => {}
                Err(Refused::Limit(limit)) => return Err(limit),
                Ok(permit) => return Ok(permit),
            }
            let until = *until.get_or_insert_with(|| tokio::time::Instant::now() + LEASE_WAIT);
            if tokio::time::timeout_at(until, exchanged).await.is_err() {
                return inner.share(who, model, estimate);
            }
        }
    }

    /// Accounts that share one budget from now on (a cluster's), by policy. Without limits, or
    /// without accounts, the cluster has none any more.
    pub fn set_cluster(&self, cluster: &str, accounts: &[String], limits: Option<PlanLimits>) {
        let inner = &self.inner;
        let _one_at_a_time = inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.clusters.load_full();
        let mut rates = None;
        let mut clusters: Clusters = BTreeMap::new();
        for (account, memberships) in before.iter() {
            let (own, kept): (Vec<_>, Vec<_>) =
                memberships.iter().cloned().partition(|member| *member.key.1 == *cluster);
            // The same limits stay the same object, so that buckets need not adapt.
            rates = rates.or_else(|| own.into_iter().find(|m| limits.as_ref() == Some(&*m.limits)));
            if !kept.is_empty() {
                clusters.insert(Arc::clone(account), kept);
            }
        }
        if let Some(limits) = limits {
            let member = rates.unwrap_or_else(|| Membership {
                key: (Scope::Cluster, Arc::from(cluster)),
                rates: Arc::new(Rates::new(&limits)),
                limits: Arc::new(limits),
            });
            for account in accounts {
                clusters.entry(Arc::from(account.as_str())).or_default().push(member.clone());
            }
        }
        inner.clusters.store(Arc::new(clusters));
    }

    /// All clusters with a budget, by name.
    pub fn clusters(&self) -> Vec<ClusterBudget> {
        let mut all: BTreeMap<Arc<str>, ClusterBudget> = BTreeMap::new();
        for (account, memberships) in self.inner.clusters.load().iter() {
            for member in memberships {
                let budget =
                    all.entry(Arc::clone(&member.key.1)).or_insert_with(|| ClusterBudget {
                        cluster: member.key.1.to_string(),
                        accounts: Vec::new(),
                        limits: PlanLimits::clone(&member.limits),
                        standing: self.inner.standing(&member.key),
                    });
                budget.accounts.push(account.to_string());
            }
        }
        all.into_values().collect()
    }

    /// How an account's buckets stand; empty where it has no limits or didn't ask lately (then
    /// they are full, or as the store has them).
    pub fn standing(&self, account: &str) -> Vec<Standing> {
        self.inner.standing(&(Scope::Account, Arc::from(account)))
    }

    /// Fills the buckets of an account again.
    ///
    /// # Errors
    /// The store fails.
    pub async fn reset(&self, account: &str) -> Result<(), GuardError> {
        self.inner.store.delete_budget(Scope::Account, account).await?;
        self.inner.entries.remove(&(Scope::Account, Arc::from(account)));
        Ok(())
    }

    /// All plans: those of the configuration and of the admin API.
    pub fn plans(&self) -> BTreeMap<String, PlanLimits> {
        let plans = self.inner.plans.load();
        plans.all().map(|(name, limits)| (name.clone(), limits.clone())).collect()
    }

    /// Whether a plan stands in the configuration.
    pub fn is_configured(&self, plan: &str) -> bool {
        self.inner.config.plan.contains_key(plan)
    }

    /// Reads the plans from the store now, instead of at the next poll.
    ///
    /// # Errors
    /// The store fails.
    pub async fn refresh(&self) -> Result<(), GuardError> {
        self.inner.load_plans().await
    }

    /// Gives all leases back and writes what is left; afterwards nothing more is written.
    pub async fn close(&self) {
        self.inner.is_stopping.store(true, Ordering::Release);
        self.inner.wake.notify_one();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It ends by itself; that it panicked is no reason not to write the rest.
            let _ended = task.await;
            if let Err(error) = exchange::close(&self.inner).await {
                tracing::warn!(%error, "limits were not written at the end");
            }
        }
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// Why a request isn't let through now.
enum Refused {
    Limit(LimitExceeded),
    Unleased,
}

impl Inner {
    /// What may be spent without asking the store.
    fn credit(&self) -> Credit {
        if !self.store.is_shared() {
            Credit::All
        } else if self.store.is_degraded() {
            Credit::Share(self.nodes.load(Ordering::Relaxed))
        } else {
            Credit::Nothing
        }
    }

    fn share(
        self: &Arc<Self>,
        who: &Identity,
        model: &str,
        estimate: Cost,
    ) -> Result<Permit, LimitExceeded> {
        let nodes = self.nodes.load(Ordering::Relaxed);
        match self.attempt(who, model, estimate, Credit::Share(nodes)) {
            Ok(permit) => Ok(permit),
            Err(Refused::Limit(limit)) => Err(limit),
            // Shares are never unleased.
            Err(Refused::Unleased) => {
                Err(LimitExceeded { scope: "account", what: "requests", retry_after_ms: 1_000 })
            }
        }
    }

    fn attempt(
        self: &Arc<Self>,
        who: &Identity,
        model: &str,
        estimate: Cost,
        credit: Credit,
    ) -> Result<Permit, Refused> {
        // Not the time at which the request came: a slow body would look like a clock set back.
        let now_ms = self.time.at(self.clock.now_ms());
        let plans = self.plans.load();
        let clusters = self.clusters.load();
        let memberships = clusters.get(&who.account).map_or(&[][..], Vec::as_slice);
        let rates = plans.rates(&who.plan);
        if rates.is_none() && memberships.is_empty() {
            return Ok(Permit::unlimited());
        }
        let price = self.prices.of(model);
        let mut permit = Permit::new(Arc::clone(self), price);
        let amounts = price.amounts(estimate);
        if let Some(rates) = rates {
            let key = (Scope::Account, Arc::clone(&who.account));
            permit.holds.push(self.hold(key, rates, amounts, credit, now_ms)?);
        }
        for member in memberships {
            // What was held so far is given back when the permit is dropped.
            let key = (member.key.0, Arc::clone(&member.key.1));
            permit.holds.push(self.hold(key, &member.rates, amounts, credit, now_ms)?);
        }
        Ok(permit)
    }

    fn hold(
        &self,
        key: BudgetKey,
        rates: &Arc<Rates>,
        amounts: [f64; 3],
        credit: Credit,
        now_ms: i64,
    ) -> Result<Hold, Refused> {
        let is_only_node = !self.store.is_shared();
        let acted = self.entries.with(&key, rates, now_ms, |entry| {
            let taken = entry.take(amounts, credit, now_ms);
            let is_new = match taken {
                Err(Held::Unleased) => entry.queue_now(),
                _ => entry.queue(is_only_node),
            };
            (taken, is_new)
        });
        let Some((taken, is_new)) = acted else { return Err(Refused::Unleased) };
        let is_waiting = taken == Err(Held::Unleased);
        if is_new {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push((key.0, Arc::clone(&key.1)));
        }
        if is_waiting {
            self.is_urgent.store(true, Ordering::Release);
        }
        if is_new || is_waiting {
            self.wake.notify_one();
        }
        match taken {
            Ok(taken) => Ok(Hold { key, taken }),
            Err(Held::Unleased) => Err(Refused::Unleased),
            Err(Held::Empty(kind, retry_after_ms)) => Err(Refused::Limit(LimitExceeded {
                scope: key.0.name(),
                what: KINDS.get(kind).copied().unwrap_or("requests"),
                retry_after_ms,
            })),
        }
    }

    fn standing(&self, key: &BudgetKey) -> Vec<Standing> {
        let now_ms = self.time.at(self.clock.now_ms());
        let standing = self.entries.with_known(key, |entry| {
            entry.pass(now_ms);
            entry.standing()
        });
        let all = standing.unwrap_or_default().into_iter().zip(KINDS);
        all.filter_map(|(standing, what)| {
            let (remaining, limit, reset_ms) = standing?;
            Some(Standing { what, limit, remaining, reset_ms })
        })
        .collect()
    }

    async fn load_plans(&self) -> Result<(), GuardError> {
        let mut plans = self.config.plan.clone();
        for row in self.store.plans().await? {
            if row.deleted {
                continue;
            }
            match serde_json::from_str(&row.limits) {
                Ok(limits) => drop(plans.insert(row.name, limits)),
                Err(error) => tracing::warn!(plan = row.name, %error, "a stored plan is no plan"),
            }
        }
        let before = self.plans.load_full();
        self.plans.store(Arc::new(Plans::new(plans, &before)));
        Ok(())
    }
}
