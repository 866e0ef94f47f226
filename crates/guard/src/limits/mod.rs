//! Token buckets in requests, tokens and money, per account and per cluster of accounts.

use crate::{GuardError, Identity, store::Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Plans and their limits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Limits by name of plan; `default` is that of accounts without one.
    pub plan: BTreeMap<String, PlanLimits>,
}

/// Limits of one plan; absent: none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens (prompt and answer) per minute.
    pub tokens_per_minute: Option<u64>,
    /// Money per day, in the currency of the prices, micro-units.
    pub micros_per_day: Option<u64>,
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

/// The buckets.
#[derive(Debug)]
pub struct Limits {
    _store: Store,
}

/// A request that was let through with an estimate of its cost. Settling corrects the estimate;
/// dropping it unsettled gives the estimate back, less what is known to be spent.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    _private: (),
}

impl Permit {
    /// Books what it really cost.
    pub fn settle(self, _cost: Cost) {}
}

impl Limits {
    /// Loads what was spent.
    ///
    /// # Errors
    /// The store fails.
    pub async fn open(_config: &LimitsConfig, store: Store) -> Result<Self, GuardError> {
        Ok(Self { _store: store })
    }

    /// Reserves an estimate before the upstream is asked.
    ///
    /// # Errors
    /// [`LimitExceeded`].
    pub fn admit(
        &self,
        _who: &Identity,
        _model: &str,
        _estimate: Cost,
        _now_ms: i64,
    ) -> Result<Permit, LimitExceeded> {
        Ok(Permit { _private: () })
    }

    /// Accounts that share one budget from now on (a cluster's), by policy.
    pub fn set_cluster(&self, _cluster: &str, _accounts: &[String], _limits: Option<PlanLimits>) {}
}
