//! The decisions in force, ready for the way of a request: read without a lock, asking no
//! database.

use super::template::Templates;
use super::{Actions, Decision, Measure, PolicyConfig, Refusal};
use crate::{Identity, request::RequestView};
use prometheus_client::metrics::counter::Counter;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A day, milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;
/// Requests of a day from which on a share of them means something.
const REQUESTS_MIN: u64 = 1000;
/// The longest time that a monotonic deadline looks ahead; snapshots are made again long before.
const DEADLINE_MAX: Duration = Duration::from_hours(100 * 24);

/// Counts by day (UTC). Two threads at midnight may lose a few counts to each other.
#[derive(Debug, Default)]
pub(super) struct PerDay {
    day: AtomicI64,
    n: AtomicU64,
}

impl PerDay {
    /// Adds one; how many there are on this day.
    pub(super) fn add(&self, day: i64) -> u64 {
        if self.day.load(Ordering::Relaxed) != day {
            self.day.store(day, Ordering::Relaxed);
            self.n.store(0, Ordering::Relaxed);
        }
        self.n.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many there are on this day.
    pub(super) fn get(&self, day: i64) -> u64 {
        if self.day.load(Ordering::Relaxed) == day { self.n.load(Ordering::Relaxed) } else { 0 }
    }
}

/// A policy, as the way of a request needs it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) config: PolicyConfig,
    /// Requests that it touched today.
    pub(super) hits: PerDay,
    /// The day (UTC) on which it touched too many, and rests.
    pub(super) resting_day: AtomicI64,
    /// Requests that it touched, or would have.
    pub(super) counter: Counter,
}

impl Rule {
    pub(super) fn new(config: PolicyConfig, counter: Counter) -> Self {
        Self { config, hits: PerDay::default(), resting_day: AtomicI64::new(i64::MIN), counter }
    }

    /// Counts a request as touched; `false`: the policy rests for the day.
    fn touch(&self, day: i64, n_requests: u64) -> bool {
        self.counter.inc();
        let n = self.hits.add(day);
        if self.config.measure == Measure::Shadow {
            return true;
        }
        if self.resting_day.load(Ordering::Relaxed) == day {
            return false;
        }
        let may = self.config.budget.requests_share * n_requests as f64;
        if n_requests >= REQUESTS_MIN && n as f64 > may {
            self.resting_day.store(day, Ordering::Relaxed);
            tracing::error!(
                policy = %self.config.name,
                touched = n,
                requests = n_requests,
                "a policy touched more requests than its budget allows and rests until the day ends"
            );
            return false;
        }
        true
    }
}

/// One decision in force.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    id: Arc<str>,
    measure: Measure,
    dry_run: bool,
    expires_ms: i64,
    /// The same by a clock that doesn't jump: a wall clock set back extends nothing.
    deadline: Instant,
    rule: Arc<Rule>,
    templates: Arc<[u64]>,
    reason: Arc<str>,
}

impl Entry {
    pub(super) fn new(decision: &Decision, rule: Arc<Rule>, now_ms: i64, now: Instant) -> Self {
        let left = u64::try_from(decision.expires_ms.saturating_sub(now_ms)).unwrap_or(0);
        let left = Duration::from_millis(left).min(DEADLINE_MAX);
        Self {
            id: Arc::from(decision.id.as_str()),
            measure: decision.measure,
            dry_run: decision.dry_run || rule.config.dry_run,
            expires_ms: decision.expires_ms,
            deadline: now + left,
            rule,
            templates: decision.templates.as_slice().into(),
            reason: Arc::from(decision.reason.as_str()),
        }
    }

    fn is_over(&self, now_ms: i64, now: Instant) -> bool {
        now_ms >= self.expires_ms || now >= self.deadline
    }
}

/// All of them, by account, the least harmful first.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    accounts: BTreeMap<Arc<str>, Vec<Entry>>,
}

impl Snapshot {
    /// From the decisions in force. Deadlines of decisions that the last snapshot knew stay.
    pub(super) fn build<'a>(
        decisions: impl Iterator<Item = &'a Decision>,
        rule_of: impl Fn(&Decision) -> Option<Arc<Rule>>,
        last: &Self,
        now_ms: i64,
    ) -> Self {
        let now = Instant::now();
        let mut accounts: BTreeMap<Arc<str>, Vec<Entry>> = BTreeMap::new();
        for decision in decisions.filter(|decision| decision.state.is_in_force()) {
            let Some(rule) = rule_of(decision) else { continue };
            let mut entry = Entry::new(decision, rule, now_ms, now);
            let known = last.accounts.get(decision.account.as_str()).into_iter().flatten();
            for old in known.filter(|old| *old.id == *entry.id) {
                if old.expires_ms == entry.expires_ms {
                    entry.deadline = entry.deadline.min(old.deadline);
                }
            }
            accounts.entry(Arc::from(decision.account.as_str())).or_default().push(entry);
        }
        for entries in accounts.values_mut() {
            entries.sort_by_key(|entry| (entry.measure, entry.dry_run));
        }
        Self { accounts }
    }

    /// What is done to this request.
    pub(super) fn decide(
        &self,
        who: &Identity,
        request: &RequestView,
        now_ms: i64,
        n_requests: u64,
        templates: &Templates,
    ) -> Actions {
        let mut actions = Actions::default();
        let Some(entries) = self.accounts.get(&*who.account) else { return actions };
        let now = Instant::now();
        let day = now_ms.div_euclid(DAY_MS);
        for entry in entries.iter().filter(|entry| !entry.is_over(now_ms, now)) {
            let config = &entry.rule.config;
            let is_exempt = config.exempt_plans.iter().any(|plan| **plan == *who.plan)
                || config.exempt_accounts.iter().any(|account| **account == *who.account);
            if is_exempt || !entry.concerns(request, templates) {
                continue;
            }
            let may = entry.rule.touch(day, n_requests);
            if entry.dry_run || entry.measure == Measure::Shadow {
                tracing::debug!(
                    decision = &*entry.id,
                    measure = entry.measure.name(),
                    "a request would have been touched"
                );
                actions.noted.push((entry.measure, entry.id.to_string()));
            } else if may {
                entry.apply(request, &mut actions);
            }
        }
        actions
    }
}

impl Entry {
    /// Whether the measure has anything to do with this request.
    fn concerns(&self, request: &RequestView, templates: &Templates) -> bool {
        match self.measure {
            Measure::HoldNewModels => self.rule.config.holds(&request.model),
            Measure::Downgrade => self.rule.config.instead_of(&request.model).is_some(),
            Measure::TemplateQuarantine => templates.matches_request(request, &self.templates),
            _ => true,
        }
    }

    fn apply(&self, request: &RequestView, actions: &mut Actions) {
        let config = &self.rule.config;
        match self.measure {
            // Shadow does nothing; the shared budget is enforced by the limits.
            Measure::Shadow | Measure::SharedBudget => {}
            Measure::StripReasoning => actions.strip_reasoning = true,
            Measure::RewriteTraces => actions.shorten_reasoning = true,
            Measure::Exposure => actions.exposure_factor = config.factor,
            Measure::Downgrade => {
                actions.downgrade_to = config.instead_of(&request.model).map(str::to_owned);
            }
            Measure::Verification => {
                let place = config.verification_url.as_ref().map_or_else(
                    || "contact the operator".to_owned(),
                    |url| format!("go to {}", url.replace("{decision}", &self.id)),
                );
                let what =
                    format!("this account must be verified before it is served again: {place}");
                self.refuse(actions, "verification_required", &what);
            }
            Measure::HoldNewModels => {
                let what = "this model isn't served to this account for now";
                self.refuse(actions, "model_held", what);
            }
            Measure::TemplateQuarantine => {
                let what = "requests made from this template aren't served for now";
                self.refuse(actions, "template_quarantined", what);
            }
            Measure::Suspension => {
                self.refuse(actions, "account_suspended", "this account is suspended");
            }
        }
        if self.measure.is_declared() {
            actions.declared.push((self.measure, self.id.to_string()));
        }
    }

    /// Refuses the request; of several refusals the least harmful one is said.
    fn refuse(&self, actions: &mut Actions, code: &str, what: &str) {
        if actions.refusal.is_some() {
            return;
        }
        actions.refusal = Some(Refusal {
            status: 403,
            code: code.to_owned(),
            message: format!(
                "{what}; the reason is {}, see and contest it at /stillwatch/decisions/{}",
                self.reason, self.id
            ),
            decision: self.id.to_string(),
        });
    }
}
