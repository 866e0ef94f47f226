//! A dry run: who would have been hit in a log, when, by which rule, for which reasons.
//!
//! The log is replayed through the same detection and the same engine, with the log's own clock.
//! Policies count as in force whatever `dry_run` says in them. What waits for a human is reported
//! apart, since nobody approves anything in a replay; so harsher policies behind it stay silent.

use super::engine::{Change, Step};
use super::template::Templates;
use super::{Book, Decision, DecisionState, Measure, PolicyConfig};
use crate::GuardError;
use crate::live::Seen;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use stillwatch_evidence::Exchange;
use stillwatch_evidence::ledger::OsEntropy;
use stillwatch_traffic::{Live, LiveParams, Reason};

/// Hits that a report lists one by one; the counts hold all.
pub const HITS_MAX: usize = 10_000;

/// How a log is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRunParams {
    /// Keys the hashes; any value, the same for the same report.
    pub hash_key: [u8; 32],
    /// Accounts kept in memory; those longest unseen are forgotten.
    pub accounts_max: usize,
    /// Time of the log between two analyses, milliseconds.
    pub analyse_every_ms: i64,
}

impl Default for DryRunParams {
    fn default() -> Self {
        Self { hash_key: [0x5a; 32], accounts_max: 200_000, analyse_every_ms: 6 * 3_600_000 }
    }
}

/// What a dry run found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DryRunReport {
    /// First time in the log, RFC 3339; absent where no exchange has one.
    pub from: Option<String>,
    /// Last time in the log.
    pub until: Option<String>,
    /// Exchanges read.
    pub n_exchanges: u64,
    /// Exchanges that name no account, which no policy can touch.
    pub n_without_account: u64,
    /// Accounts in the log.
    pub n_accounts: u64,
    /// Accounts that any policy but shadow would have touched without a human.
    pub n_accounts_touched: u64,
    /// Per policy, the least harmful first.
    pub policies: Vec<DryRunPolicy>,
    /// Who would have been hit, in order of time; at most [`HITS_MAX`].
    pub hits: Vec<DryRunHit>,
    /// Whether there were more hits than are listed.
    pub hits_cut: bool,
}

/// What one policy would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRunPolicy {
    /// Its name.
    pub policy: String,
    /// What it does.
    pub measure: Measure,
    /// Accounts that it would have touched.
    pub accounts: u64,
    /// Their share of all accounts in the log.
    pub accounts_share: f64,
    /// Accounts that would have waited for a human.
    pub accounts_proposed: u64,
    /// Requests that it would have touched.
    pub requests: u64,
    /// Their share of all requests in the log.
    pub requests_share: f64,
    /// Requests that it would have touched besides, had a human approved at once.
    pub requests_if_approved: u64,
    /// Whether the share of requests is above the policy's budget.
    pub over_budget: bool,
}

/// One account hit by one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRunHit {
    /// The policy.
    pub policy: String,
    /// What is done.
    pub measure: Measure,
    /// The account.
    pub account: String,
    /// The campaign that it is counted to.
    pub campaign: Option<String>,
    /// When, RFC 3339.
    pub at: String,
    /// `active`, or `proposed` where a human would have had to approve.
    pub state: DecisionState,
    /// The weightiest reason's code.
    pub reason: String,
    /// What was measured.
    pub reasons: Vec<Reason>,
    /// Requests of the account touched from then on (or, of a proposal, that would have been).
    pub requests: u64,
}

/// Replays a log.
///
/// # Errors
/// The policies can't be, or the system has no randomness.
pub fn dry_run(
    policies: &[PolicyConfig],
    exchanges: impl IntoIterator<Item = Exchange>,
    params: &DryRunParams,
) -> Result<DryRunReport, GuardError> {
    PolicyConfig::check(policies)?;
    let policies: Vec<PolicyConfig> =
        policies.iter().map(|policy| PolicyConfig { dry_run: false, ..policy.clone() }).collect();
    let mut replay = Replay {
        live: Live::new(LiveParams {
            hash_key: params.hash_key,
            accounts_max: params.accounts_max,
        }),
        templates: Templates::new(&params.hash_key),
        policies: &policies,
        book: Book::default(),
        touched: BTreeMap::new(),
        accounts: BTreeSet::new(),
        report: DryRunReport::default(),
        now_ms: None,
    };
    let mut next_ms = i64::MIN;
    for exchange in exchanges {
        replay.report.n_exchanges += 1;
        replay.tick(&exchange);
        let now_ms = replay.now_ms.unwrap_or(0);
        if next_ms == i64::MIN {
            next_ms = now_ms.saturating_add(params.analyse_every_ms);
        } else if now_ms >= next_ms {
            replay.step(now_ms)?;
            next_ms = now_ms.saturating_add(params.analyse_every_ms.max(1));
        }
        replay.take(exchange, now_ms);
    }
    let end_ms = replay.now_ms.unwrap_or(0);
    replay.step(end_ms)?;
    Ok(replay.finish())
}

struct Replay<'a> {
    live: Live,
    templates: Templates,
    policies: &'a [PolicyConfig],
    book: Book,
    /// Requests touched by each decision.
    touched: BTreeMap<String, u64>,
    accounts: BTreeSet<String>,
    report: DryRunReport,
    now_ms: Option<i64>,
}

impl Replay<'_> {
    /// The log's clock: it never runs backwards, whatever the order of lines.
    fn tick(&mut self, exchange: &Exchange) {
        let Some(time) = exchange.time else { return };
        let text = time.to_string();
        let ms = time.as_millisecond();
        if self.now_ms.is_none() {
            self.report.from = Some(text.clone());
        }
        if self.now_ms.is_none_or(|now| ms >= now) {
            self.now_ms = Some(ms);
            self.report.until = Some(text);
        }
    }

    fn take(&mut self, exchange: Exchange, now_ms: i64) {
        let model = exchange.model.clone();
        let plan = exchange.plan.clone().unwrap_or_default();
        let Some(seen) = Seen::new(exchange) else {
            self.report.n_without_account += 1;
            return;
        };
        let observation = seen.observation();
        if !self.accounts.contains(observation.account) {
            self.accounts.insert(observation.account.to_owned());
        }
        let concerned = self
            .book
            .of_account(observation.account)
            .filter(|decision| decision.state.is_open() && decision.expires_ms > now_ms);
        for decision in concerned {
            let Some(policy) = self.policies.iter().find(|p| p.name == decision.policy) else {
                continue;
            };
            let is_touched = match policy.measure {
                Measure::HoldNewModels => policy.holds(&model),
                Measure::Downgrade => policy.instead_of(&model).is_some(),
                Measure::TemplateQuarantine => {
                    self.templates.matches(observation, &decision.templates)
                }
                _ => true,
            };
            if is_touched && !policy.exempt_plans.contains(&plan) {
                *self.touched.entry(decision.id.clone()).or_default() += 1;
            }
        }
        self.live.observe(&observation);
    }

    fn step(&mut self, now_ms: i64) -> Result<(), GuardError> {
        let analysis = self.live.analyse(now_ms);
        let step = Step { policies: self.policies, book: &self.book, now_ms };
        for change in step.changes(&analysis, &mut OsEntropy)? {
            match change {
                Change::Make(decision) | Change::Renew(decision) | Change::Expire(decision) => {
                    self.book.put(*decision);
                }
                Change::Stop { policy, why } => self.book.stop(&policy, &why),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> DryRunReport {
        let n_accounts = self.accounts.len() as u64;
        let n_requests = self.report.n_exchanges;
        let share = |n: u64, of: u64| if of == 0 { 0.0 } else { n as f64 / of as f64 };
        let mut decisions: Vec<&Decision> = self.book.all().collect();
        decisions.sort_by(|a, b| {
            (a.made_ms, a.measure, &a.policy, &a.account)
                .cmp(&(b.made_ms, b.measure, &b.policy, &b.account))
        });
        let was_proposed = |decision: &Decision| {
            // Nobody approves in a replay, so a decision that expired as a proposal was one.
            decision.state == DecisionState::Proposed
                || self.policies.iter().any(|p| p.name == decision.policy && p.needs_human())
        };
        let touched_of = |decision: &Decision| self.touched.get(&decision.id).copied().unwrap_or(0);
        let mut order: Vec<&PolicyConfig> = self.policies.iter().collect();
        order.sort_by(|a, b| (a.measure, &a.name).cmp(&(b.measure, &b.name)));
        for policy in order {
            let (mut accounts, mut proposed) = (BTreeSet::new(), BTreeSet::new());
            let (mut requests, mut if_approved) = (0, 0);
            for decision in decisions.iter().filter(|decision| decision.policy == policy.name) {
                if was_proposed(decision) {
                    proposed.insert(&decision.account);
                    if_approved += touched_of(decision);
                } else {
                    accounts.insert(&decision.account);
                    requests += touched_of(decision);
                }
            }
            let requests_share = share(requests, n_requests);
            self.report.policies.push(DryRunPolicy {
                policy: policy.name.clone(),
                measure: policy.measure,
                accounts: accounts.len() as u64,
                accounts_share: share(accounts.len() as u64, n_accounts),
                accounts_proposed: proposed.len() as u64,
                requests,
                requests_share,
                requests_if_approved: if_approved,
                over_budget: policy.measure != Measure::Shadow
                    && requests_share > policy.budget.requests_share,
            });
        }
        let hit: BTreeSet<&str> = decisions
            .iter()
            .filter(|decision| decision.measure != Measure::Shadow && !was_proposed(decision))
            .map(|decision| decision.account.as_str())
            .collect();
        self.report.n_accounts_touched = hit.len() as u64;
        self.report.n_accounts = n_accounts;
        self.report.hits_cut = decisions.len() > HITS_MAX;
        self.report.hits = decisions
            .iter()
            .take(HITS_MAX)
            .map(|decision| DryRunHit {
                policy: decision.policy.clone(),
                measure: decision.measure,
                account: decision.account.clone(),
                campaign: decision.campaign.clone(),
                at: jiff::Timestamp::from_millisecond(decision.made_ms)
                    .map(|time| time.to_string())
                    .unwrap_or_default(),
                state: if was_proposed(decision) {
                    DecisionState::Proposed
                } else {
                    DecisionState::Active
                },
                reason: decision.reason.clone(),
                reasons: decision.reasons.clone(),
                requests: touched_of(decision),
            })
            .collect();
        self.report
    }
}
