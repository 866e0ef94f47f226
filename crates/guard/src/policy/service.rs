//! The policies and the decisions in force.

use super::snapshot::{DAY_MS, PerDay, Rule, Snapshot};
use super::{Actions, Decision, Measure, PolicyConfig, decision::BY_HAND};
use crate::observe::Metrics;
use crate::{GuardError, Identity, request::RequestView, store::Store};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The policies and the decisions in force.
#[derive(Debug)]
pub struct Policies {
    _store: Store,
    configs: Vec<PolicyConfig>,
    rules: BTreeMap<String, Arc<Rule>>,
    by_hand: BTreeMap<Measure, Arc<Rule>>,
    requests: PerDay,
    snapshot: ArcSwap<Snapshot>,
}

impl Policies {
    /// Loads the decisions in force.
    ///
    /// # Errors
    /// The store fails, or a policy can't be.
    pub async fn open(
        configs: &[PolicyConfig],
        store: Store,
        metrics: &Metrics,
    ) -> Result<Self, GuardError> {
        PolicyConfig::check(configs)?;
        let configs = if configs.is_empty() { PolicyConfig::defaults() } else { configs.to_vec() };
        let rule = |config: &PolicyConfig| {
            let mode = if config.dry_run { "dry run" } else { "in force" };
            let counter = metrics.policy_hits.get(&format!("{} {mode}", config.measure));
            Arc::new(Rule::new(config.clone(), counter))
        };
        let rules = configs.iter().map(|config| (config.name.clone(), rule(config))).collect();
        let by_hand = Measure::ALL.into_iter().map(|measure| {
            let configured = configs.iter().find(|config| config.measure == measure);
            let mut config =
                configured.cloned().unwrap_or_else(|| PolicyConfig::new(BY_HAND, measure));
            config.name = BY_HAND.to_owned();
            config.dry_run = false;
            config.exempt_accounts.clear();
            config.exempt_plans.clear();
            (measure, rule(&config))
        });
        Ok(Self {
            _store: store,
            by_hand: by_hand.collect(),
            rules,
            configs,
            requests: PerDay::default(),
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
        })
    }

    /// What is done to this request. Asks no database, waits for no lock.
    pub fn decide(&self, who: &Identity, request: &RequestView, now_ms: i64) -> Actions {
        let n_requests = self.requests.add(now_ms.div_euclid(DAY_MS));
        self.snapshot.load().decide(who, request, now_ms, n_requests)
    }

    /// The policies, as configured.
    pub fn configs(&self) -> &[PolicyConfig] {
        &self.configs
    }

    /// The rule that a decision goes by.
    fn rule_of(&self, decision: &Decision) -> Option<Arc<Rule>> {
        if decision.policy == BY_HAND {
            self.by_hand.get(&decision.measure).cloned()
        } else {
            self.rules.get(&decision.policy).cloned()
        }
    }

    pub(super) fn rebuild<'a>(&self, decisions: impl Iterator<Item = &'a Decision>, now_ms: i64) {
        let last = self.snapshot.load();
        let next = Snapshot::build(decisions, |decision| self.rule_of(decision), &last, now_ms);
        self.snapshot.store(Arc::new(next));
    }
}
