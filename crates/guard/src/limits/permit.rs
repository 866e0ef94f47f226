//! A request that was let through, from its estimate to its real cost.

use super::{Cost, Inner, Price};
use crate::store::{BudgetKey, Scope};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// What was taken from one account's or cluster's buckets.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) key: BudgetKey,
    pub(super) taken: [f64; 3],
}

/// A request that was let through with an estimate of its cost. Settling corrects the estimate;
/// dropping it unsettled gives the estimate back, less what is known to be spent.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    inner: Option<Arc<Inner>>,
    pub(super) holds: Vec<Hold>,
    price: Price,
    spent: Option<Cost>,
}

impl Permit {
    pub(super) fn new(inner: Arc<Inner>, price: Price) -> Self {
        Self { inner: Some(inner), holds: Vec::new(), price, spent: None }
    }

    /// For accounts without limits.
    pub(super) fn unlimited() -> Self {
        Self { inner: None, holds: Vec::new(), price: Price::default(), spent: None }
    }

    /// Notes what is known to be spent so far: booked when the permit is dropped unsettled.
    pub fn note(&mut self, cost: Cost) {
        self.spent = Some(cost);
    }

    /// Books what it really cost.
    pub fn settle(mut self, cost: Cost) {
        self.spent = Some(cost);
    }

    /// What is left for the account, as headers: `x-ratelimit-limit-requests`,
    /// `x-ratelimit-remaining-requests`, `x-ratelimit-reset-requests` (as `1.5s`), the same for
    /// tokens. Empty where the account has no limits.
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let account = self.holds.iter().find(|hold| hold.key.0 == Scope::Account);
        let (Some(inner), Some(account)) = (&self.inner, account) else { return Vec::new() };
        let mut headers = Vec::with_capacity(6);
        for standing in inner.standing(&account.key) {
            let names = match standing.what {
                "requests" => [
                    HeaderName::from_static("x-ratelimit-limit-requests"),
                    HeaderName::from_static("x-ratelimit-remaining-requests"),
                    HeaderName::from_static("x-ratelimit-reset-requests"),
                ],
                "tokens" => [
                    HeaderName::from_static("x-ratelimit-limit-tokens"),
                    HeaderName::from_static("x-ratelimit-remaining-tokens"),
                    HeaderName::from_static("x-ratelimit-reset-tokens"),
                ],
                _ => continue,
            };
            let values = [
                format!("{:.0}", standing.limit),
                format!("{:.0}", standing.remaining.max(0.0).floor()),
                format!("{}s", standing.reset_ms as f64 / 1_000.0),
            ];
            for (name, value) in names.into_iter().zip(values) {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.push((name, value));
                }
            }
        }
        headers
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let now_ms = inner.time.latest();
        let cost = match self.spent {
            Some(spent) => self.price.amounts(spent),
            // Nothing is known to have reached an upstream: not even the request counts.
            None => [0.0; 3],
        };
        for hold in self.holds.drain(..) {
            let [requests, tokens, money] = hold.taken;
            let more = [cost[0] - requests, cost[1] - tokens, cost[2] - money];
            let is_new = inner.entries.with_known(&hold.key, |entry| {
                entry.settle(more, now_ms);
                entry.queue(!inner.store.is_shared())
            });
            if is_new == Some(true) {
                inner.ask(hold.key);
            }
        }
    }
}
