//! What runs beside the requests: decisions from each new analysis, and in step with other nodes.

use crate::Guard;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often what other nodes decided is read.
const EVERY: Duration = Duration::from_secs(2);

/// Starts it; it ends with the guard.
pub(crate) fn spawn(guard: &Arc<Guard>) {
    tokio::spawn(run(Arc::downgrade(guard)));
}

async fn run(guard: Weak<Guard>) {
    let mut analysed_ms = 0;
    let mut budgets = BTreeMap::new();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(guard) = guard.upgrade() else { return };
        if guard.policies.is_closed() {
            return;
        }
        let now_ms = guard.clock.now_ms();
        let analysis = guard.detector.latest();
        let is_new = analysis.time_ms != analysed_ms;
        let done = if is_new || guard.policies.lock_book().has_expired(now_ms) {
            guard.policies.step(&analysis, now_ms).await.map(drop)
        } else {
            guard.policies.refresh(now_ms).await
        };
        match done {
            Ok(()) => {
                analysed_ms = analysis.time_ms;
                guard.metrics.health.restore("decisions");
            }
            Err(error) => {
                tracing::warn!(error = %error, "decisions can't be made or read");
                guard.metrics.health.degrade(
                    "decisions",
                    "the store can't be used: decisions in force stay, none are made",
                );
            }
        }
        share_budgets(&guard, &mut budgets, now_ms);
        say_what_stopped(&guard);
    }
}

/// A policy that stopped is said where operators look first.
fn say_what_stopped(guard: &Guard) {
    let stopped = guard.policies.stopped();
    match stopped.first_key_value() {
        None => guard.metrics.health.restore("policy"),
        Some((policy, why)) => guard.metrics.health.degrade(
            "policy",
            format!("the policy {policy} does nothing until it is let go on: {why}"),
        ),
    }
}

type Budgets = BTreeMap<String, (Vec<String>, crate::limits::PlanLimits)>;

/// Tells the limits which campaigns share a budget, as far as that changed.
fn share_budgets(guard: &Guard, last: &mut Budgets, now_ms: i64) {
    let next = guard.policies.shared_budgets(now_ms);
    for cluster in last.keys().filter(|cluster| !next.contains_key(*cluster)) {
        guard.limits.set_cluster(cluster, &[], None);
    }
    for (cluster, (accounts, limits)) in &next {
        if last.get(cluster).is_none_or(|(known, of)| known != accounts || of != limits) {
            guard.limits.set_cluster(cluster, accounts, Some(limits.clone()));
        }
    }
    *last = next;
}
