//! The policies and the decisions in force: loaded from the store, kept in step with other nodes,
//! answered from memory.

use super::engine::{Change, Step};
use super::snapshot::{DAY_MS, PerDay, Rule, Snapshot};
use super::template::Templates;
use super::{Actions, Book, Decision, DecisionState, Measure, PolicyConfig, decision::BY_HAND};
use super::{PolicyError, record};
use crate::limits::PlanLimits;
use crate::observe::Metrics;
use crate::store::{DecisionRow, DecisionWrite, EventRow};
use crate::{GuardError, Identity, Secrets, request::RequestView, store::Store};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stillwatch_evidence::Secret;
use stillwatch_evidence::ledger::{Entropy, OsEntropy};
use stillwatch_traffic::Analysis;

/// Ended decisions are remembered for so long: longer than an account stays cleared.
const REMEMBERED_MS: i64 = 120 * DAY_MS;

/// The policies and the decisions in force.
#[derive(Debug)]
pub struct Policies {
    pub(super) store: Store,
    configs: Vec<PolicyConfig>,
    rules: BTreeMap<String, Arc<Rule>>,
    by_hand: BTreeMap<Measure, Arc<Rule>>,
    webhook_keys: BTreeMap<String, Secret>,
    requests: PerDay,
    snapshot: ArcSwap<Snapshot>,
    templates: Templates,
    book: Mutex<Book>,
    entropy: Mutex<OsEntropy>,
    /// Number of the last change that was read; held while reading.
    known: tokio::sync::Mutex<i64>,
    metrics: Arc<Metrics>,
    pub(super) appeals: super::appeal::Throttle,
    is_closed: AtomicBool,
}

impl Policies {
    /// Loads the decisions in force. `hash_key` is that of the detector.
    ///
    /// # Errors
    /// The store fails, or a policy can't be.
    pub async fn open(
        configs: &[PolicyConfig],
        store: Store,
        metrics: &Arc<Metrics>,
        secrets: &Secrets,
        hash_key: &[u8; 32],
        now_ms: i64,
    ) -> Result<Self, GuardError> {
        PolicyConfig::check(configs)?;
        let configs = if configs.is_empty() { PolicyConfig::defaults() } else { configs.to_vec() };
        let mut webhook_keys = BTreeMap::new();
        for (i, config) in configs.iter().enumerate() {
            if let Some(name) = &config.webhook_key_env {
                let key = secrets.get(name).ok_or_else(|| {
                    GuardError::setting(format!("policy[{i}].webhook_key_env: {name} isn't set"))
                })?;
                webhook_keys.insert(config.name.clone(), key.clone());
            }
        }
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
            BY_HAND.clone_into(&mut config.name);
            config.dry_run = false;
            config.exempt_accounts.clear();
            config.exempt_plans.clear();
            (measure, rule(&config))
        });
        let policies = Self {
            store,
            by_hand: by_hand.collect(),
            rules,
            configs,
            webhook_keys,
            requests: PerDay::default(),
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            templates: Templates::new(hash_key),
            book: Mutex::new(Book::default()),
            entropy: Mutex::new(OsEntropy),
            known: tokio::sync::Mutex::new(0),
            metrics: Arc::clone(metrics),
            appeals: super::appeal::Throttle::default(),
            is_closed: AtomicBool::new(false),
        };
        policies.refresh(now_ms).await?;
        Ok(policies)
    }

    /// What is done to this request. Asks no database, waits for no lock.
    pub fn decide(&self, who: &Identity, request: &RequestView, now_ms: i64) -> Actions {
        let n_requests = self.requests.add(now_ms.div_euclid(DAY_MS));
        self.snapshot.load().decide(who, request, now_ms, n_requests, &self.templates)
    }

    /// The policies, as configured.
    pub fn configs(&self) -> &[PolicyConfig] {
        &self.configs
    }

    /// The key that signs reports of verification for a policy.
    pub(super) fn webhook_keys(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.webhook_keys.iter().map(|(policy, key)| (policy.as_str(), key))
    }

    /// Reads what other nodes, or this one, changed.
    ///
    /// # Errors
    /// The store fails; what is known stays in force.
    pub async fn refresh(&self, now_ms: i64) -> Result<(), GuardError> {
        let mut known = self.known.lock().await;
        let version = self.store.decisions_version().await?;
        if version == *known {
            return Ok(());
        }
        let ended_after_ms = now_ms.saturating_sub(REMEMBERED_MS);
        let rows = self.store.decisions_since(*known, ended_after_ms).await?;
        let marks = self.store.policy_marks(*known).await?;
        *known = version;
        let mut book = self.lock_book();
        for mark in marks {
            match mark.what.as_str() {
                "stopped" => book.stop(&mark.subject, &mark.note),
                "resumed" => book.resume(&mark.subject, mark.time_ms),
                _ => book.grant(&mark.subject, mark.time_ms),
            }
        }
        for decision in rows.into_iter().filter_map(record::decision) {
            book.put(decision);
        }
        book.forget_ended(ended_after_ms);
        self.rebuild(&book, now_ms);
        drop(book);
        drop(known);
        Ok(())
    }

    /// Makes, renews and ends decisions from what was measured; how many were made.
    ///
    /// # Errors
    /// The store fails; then nothing was changed.
    pub async fn step(&self, analysis: &Analysis, now_ms: i64) -> Result<usize, GuardError> {
        self.refresh(now_ms).await?;
        let changes = {
            let book = self.lock_book();
            let step = Step { policies: &self.configs, book: &book, now_ms };
            step.changes(analysis, &mut *self.lock_entropy())?
        };
        if changes.is_empty() {
            return Ok(0);
        }
        let mut write = DecisionWrite::default();
        let mut new_states: BTreeMap<String, (bool, DecisionRow)> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Make(decision) => write.insert.push(record::row(&decision)),
                Change::Renew(decision) => {
                    new_states.insert(decision.id.clone(), (true, record::row(&decision)));
                }
                Change::Expire(decision) => {
                    new_states.insert(decision.id.clone(), (false, record::row(&decision)));
                }
                Change::Stop { policy, why } => {
                    tracing::error!(policy, why, "a policy stops");
                    write.events.push(self.event("policy", "stopped", &policy, &why, now_ms)?);
                }
            }
        }
        let ids: Vec<String> = new_states.keys().cloned().collect();
        let (made, _) = self
            .store
            .write_decisions(
                &ids,
                |row| {
                    // What a human did meanwhile stays.
                    let is_open =
                        DecisionState::from_name(&row.state).is_some_and(DecisionState::is_open);
                    let Some((keeps_state, new)) = new_states.get(&row.id) else { return false };
                    if !is_open {
                        return false;
                    }
                    let state = row.state.clone();
                    new.clone_into(row);
                    if *keeps_state {
                        row.state = state;
                    }
                    true
                },
                &write,
            )
            .await?;
        for row in &made {
            if let Some(measure) = Measure::from_name(&row.measure) {
                self.metrics.decided(measure);
            }
            tracing::info!(
                decision = row.id,
                policy = row.policy,
                measure = row.measure,
                state = row.state,
                reason = row.code,
                dry_run = row.dry_run,
                "a decision was made"
            );
        }
        self.refresh(now_ms).await?;
        Ok(made.len())
    }

    /// A decision, by its name.
    ///
    /// # Errors
    /// The store fails, or has none of that name.
    pub async fn decision(&self, id: &str) -> Result<Decision, PolicyError> {
        let known = self.lock_book().get(id).cloned();
        if let Some(decision) = known {
            return Ok(decision);
        }
        let row = self.store.decision(id).await?;
        row.and_then(record::decision).ok_or(PolicyError::Unknown("decision"))
    }

    /// Decisions as the store has them, the newest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list(
        &self,
        account: Option<&str>,
        state: Option<DecisionState>,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Decision>, PolicyError> {
        let filter = crate::store::DecisionFilter {
            account: account.map(str::to_owned),
            state: state.map(|state| state.name().to_owned()),
        };
        let rows = self.store.decisions(&filter, i64::from(limit), i64::from(offset)).await?;
        Ok(rows.into_iter().filter_map(record::decision).collect())
    }

    /// Stopped policies with the reason why, and how many requests each policy touched today.
    pub fn stopped(&self) -> BTreeMap<String, String> {
        self.lock_book().stops().clone()
    }

    /// Requests that a policy touched, or would have, on this day (UTC), and whether it rests.
    pub fn touched_today(&self, policy: &str, now_ms: i64) -> (u64, bool) {
        let day = now_ms.div_euclid(DAY_MS);
        self.rules.get(policy).map_or((0, false), |rule| {
            (rule.hits.get(day), rule.resting_day.load(Ordering::Relaxed) == day)
        })
    }

    /// Open decisions in memory, for dashboards.
    pub fn open_decisions(&self) -> Vec<Decision> {
        self.lock_book().open().cloned().collect()
    }

    /// Campaigns whose accounts share one budget now: name, accounts, what they may spend.
    pub fn shared_budgets(&self, now_ms: i64) -> BTreeMap<String, (Vec<String>, PlanLimits)> {
        let mut budgets: BTreeMap<String, (Vec<String>, PlanLimits)> = BTreeMap::new();
        let book = self.lock_book();
        let enforced = book.open().filter(|decision| {
            decision.measure == Measure::SharedBudget
                && decision.is_enforced()
                && decision.expires_ms > now_ms
        });
        for decision in enforced {
            let rule = self.rule_of(decision).filter(|rule| !rule.config.dry_run);
            let Some(limits) = rule.and_then(|rule| rule.config.limits.clone()) else { continue };
            let cluster = decision.campaign.clone().unwrap_or_else(|| decision.account.clone());
            let entry = budgets.entry(cluster).or_insert_with(|| (Vec::new(), limits));
            entry.0.push(decision.account.clone());
        }
        for (accounts, _) in budgets.values_mut() {
            accounts.sort();
            accounts.dedup();
        }
        budgets
    }

    /// Takes nothing more from the detector.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    pub(super) fn lock_book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_entropy(&self) -> MutexGuard<'_, OsEntropy> {
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fresh_id(&self, kind: &str) -> Result<String, GuardError> {
        let entropy: &mut dyn Entropy = &mut *self.lock_entropy();
        super::decision::fresh_id(kind, entropy)
    }

    pub(super) fn event(
        &self,
        who: &str,
        what: &str,
        subject: &str,
        note: &str,
        now_ms: i64,
    ) -> Result<EventRow, GuardError> {
        Ok(EventRow {
            id: self.fresh_id("evt")?,
            time_ms: now_ms,
            who: who.to_owned(),
            what: what.to_owned(),
            subject: subject.to_owned(),
            note: note.to_owned(),
        })
    }

    pub(super) fn policy(&self, name: &str) -> Option<&PolicyConfig> {
        self.configs.iter().find(|config| config.name == name)
    }

    pub(super) fn by_hand(&self, measure: Measure) -> Option<&PolicyConfig> {
        self.by_hand.get(&measure).map(|rule| &rule.config)
    }

    /// The rule that a decision goes by; none for a policy that was taken out.
    fn rule_of(&self, decision: &Decision) -> Option<Arc<Rule>> {
        if decision.policy == BY_HAND {
            self.by_hand.get(&decision.measure).cloned()
        } else {
            self.rules.get(&decision.policy).cloned()
        }
    }

    /// A stopped policy's decisions aren't enforced.
    fn rebuild(&self, book: &Book, now_ms: i64) {
        let last = self.snapshot.load();
        let decisions = book.open().filter(|decision| !book.is_stopped(&decision.policy));
        let next = Snapshot::build(decisions, |decision| self.rule_of(decision), &last, now_ms);
        self.snapshot.store(Arc::new(next));
    }
}
