//! The decisions in memory: what the store holds, indexed by account.

use super::{Decision, DecisionState};
use std::collections::{BTreeMap, BTreeSet};

/// Decisions, stopped policies, granted appeals.
#[derive(Debug, Clone, Default)]
pub struct Book {
    decisions: BTreeMap<String, Decision>,
    by_account: BTreeMap<String, BTreeSet<String>>,
    open: BTreeSet<String>,
    stops: BTreeMap<String, String>,
    /// When a human let a stopped policy go on, milliseconds: earlier appeals are forgiven.
    resumed: BTreeMap<String, i64>,
    /// When appeals against decisions of a policy were granted, milliseconds.
    granted: BTreeMap<String, Vec<i64>>,
}

impl Book {
    /// Takes a decision in, in place of an earlier state of it.
    pub fn put(&mut self, decision: Decision) {
        if decision.state.is_open() {
            self.open.insert(decision.id.clone());
        } else {
            self.open.remove(&decision.id);
        }
        self.by_account.entry(decision.account.clone()).or_default().insert(decision.id.clone());
        self.decisions.insert(decision.id.clone(), decision);
    }

    /// The decision of this name.
    pub fn get(&self, id: &str) -> Option<&Decision> {
        self.decisions.get(id)
    }

    /// All decisions, by name.
    pub fn all(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.values()
    }

    /// Decisions that may still change.
    pub fn open(&self) -> impl Iterator<Item = &Decision> {
        self.open.iter().filter_map(|id| self.decisions.get(id))
    }

    /// Whether a decision's time is over that still counts as open.
    pub fn has_expired(&self, now_ms: i64) -> bool {
        self.open().any(|decision| decision.expires_ms <= now_ms)
    }

    /// Decisions about an account.
    pub fn of_account(&self, account: &str) -> impl Iterator<Item = &Decision> {
        let ids = self.by_account.get(account);
        ids.into_iter().flatten().filter_map(|id| self.decisions.get(id))
    }

    /// The open decision of a policy about an account: of several the latest.
    pub fn open_of(&self, account: &str, policy: &str) -> Option<&Decision> {
        self.of_account(account)
            .filter(|decision| decision.policy == policy && decision.state.is_open())
            .max_by(|a, b| (a.made_ms, &a.id).cmp(&(b.made_ms, &b.id)))
    }

    /// Forgets decisions that ended before then.
    pub fn forget_ended(&mut self, before_ms: i64) {
        let by_account = &mut self.by_account;
        self.decisions.retain(|id, decision| {
            let keep = decision.state.is_open() || decision.changed_ms >= before_ms;
            if !keep && let Some(ids) = by_account.get_mut(&decision.account) {
                ids.remove(id);
                if ids.is_empty() {
                    by_account.remove(&decision.account);
                }
            }
            keep
        });
    }

    /// Accounts that a policy's decisions have hit since then.
    pub fn n_hit(&self, policy: &str, since_ms: i64) -> u64 {
        let hit: BTreeSet<&str> = self
            .decisions
            .values()
            .filter(|decision| {
                decision.policy == policy
                    && decision.made_ms > since_ms
                    && !decision.dry_run
                    && decision.state != DecisionState::Proposed
            })
            .map(|decision| decision.account.as_str())
            .collect();
        hit.len() as u64
    }

    /// Notes that an appeal against a decision of this policy was granted.
    pub fn grant(&mut self, policy: &str, at_ms: i64) {
        self.granted.entry(policy.to_owned()).or_default().push(at_ms);
    }

    /// Appeals granted against a policy since then.
    pub fn n_granted(&self, policy: &str, since_ms: i64) -> u64 {
        let since_ms = self.resumed.get(policy).copied().unwrap_or(i64::MIN).max(since_ms);
        let times = self.granted.get(policy);
        times.into_iter().flatten().filter(|at_ms| **at_ms > since_ms).count() as u64
    }

    /// Notes that a policy stopped.
    pub fn stop(&mut self, policy: &str, why: &str) {
        self.stops.insert(policy.to_owned(), why.to_owned());
    }

    /// Notes that a human let a policy go on.
    pub fn resume(&mut self, policy: &str, at_ms: i64) {
        self.stops.remove(policy);
        self.resumed.insert(policy.to_owned(), at_ms);
    }

    /// Whether a policy has stopped.
    pub fn is_stopped(&self, policy: &str) -> bool {
        self.stops.contains_key(policy)
    }

    /// Stopped policies with the reason why.
    pub fn stops(&self) -> &BTreeMap<String, String> {
        &self.stops
    }
}
