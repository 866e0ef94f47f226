//! From what was measured to decisions: pure, so that a dry run and the running guard do the same.
//!
//! The order is that of least harm. A policy applies to an account only when the next milder one
//! that applies to it too has been in force for its dwell time, so that nobody is surprised by the
//! harshest. What blocks waits for a human. A policy that hits more than its budget allows leaves
//! the rest to a human as well, and one whose decisions were overturned too often stops.

use super::decision::{BY_HAND, REASONS_MAX, fresh_id};
use super::subjects::{Subject, subjects};
use super::{Book, Decision, DecisionState, Measure, PolicyConfig};
use crate::GuardError;
use std::collections::BTreeMap;
use stillwatch_evidence::ledger::Entropy;
use stillwatch_traffic::Analysis;

/// How long an account that a human cleared is left alone by that measure and harsher ones.
pub const CLEARED_MS: i64 = 30 * 86_400_000;
/// How long a verified account isn't asked again.
pub const VERIFIED_MS: i64 = 90 * 86_400_000;
/// Decisions that one step makes at most; the rest is made by the next.
pub const MADE_MAX: usize = 10_000;
/// Who makes decisions when no human does.
pub const BY_POLICY: &str = "policy";

/// What a step changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new decision.
    Make(Box<Decision>),
    /// A decision goes on until then, for these reasons.
    Renew(Box<Decision>),
    /// A decision's time is over.
    Expire(Box<Decision>),
    /// A policy stops, and why.
    Stop {
        /// Its name.
        policy: String,
        /// One plain sentence.
        why: String,
    },
}

/// What a step looks at besides the analysis.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The policies, in any order.
    pub policies: &'a [PolicyConfig],
    /// What was decided so far.
    pub book: &'a Book,
    /// The time, milliseconds since the epoch.
    pub now_ms: i64,
}

impl Step<'_> {
    /// What the measured asks for.
    ///
    /// # Errors
    /// The source of randomness for names failed.
    pub fn changes(
        &self,
        analysis: &Analysis,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, GuardError> {
        let mut changes = self.expired();
        let subjects = subjects(analysis);
        let mut order: Vec<&PolicyConfig> = self.policies.iter().collect();
        order.sort_by(|a, b| (a.measure, &a.name).cmp(&(b.measure, &b.name)));
        let mut budgets = self.budgets(&order, analysis, &mut changes);
        let mut n_made = 0;
        for subject in subjects.values() {
            for policy in &order {
                if n_made >= MADE_MAX || !applies(policy, subject) {
                    continue;
                }
                if let Some(change) = self.one(policy, &order, subject, &mut budgets, entropy)? {
                    n_made += usize::from(matches!(change, Change::Make(_)));
                    changes.push(change);
                }
            }
        }
        for (policy, budget) in budgets {
            if budget.n_over > 0 && !self.book.is_stopped(policy) {
                tracing::error!(
                    policy,
                    over = budget.n_over,
                    allowed = budget.may,
                    "a policy would hit more accounts than its budget allows; the rest waits for \
                     a human"
                );
            }
        }
        Ok(changes)
    }

    fn expired(&self) -> Vec<Change> {
        let over = self.book.open().filter(|decision| decision.expires_ms <= self.now_ms);
        over.map(|decision| {
            let mut decision = decision.clone();
            decision.set_state(DecisionState::Expired, BY_POLICY, self.now_ms);
            Change::Expire(Box::new(decision))
        })
        .collect()
    }

    /// What each policy may still hit; a policy with too many granted appeals stops here.
    fn budgets<'p>(
        &self,
        policies: &[&'p PolicyConfig],
        analysis: &Analysis,
        changes: &mut Vec<Change>,
    ) -> BTreeMap<&'p str, Budget> {
        let mut budgets = BTreeMap::new();
        for policy in policies {
            let n_granted = self.book.n_granted(&policy.name, self.now_ms - CLEARED_MS);
            let max = policy.budget.granted_appeals_max;
            let is_stopped = self.book.is_stopped(&policy.name);
            if n_granted >= u64::from(max) && max > 0 && !is_stopped {
                changes.push(Change::Stop {
                    policy: policy.name.clone(),
                    why: format!(
                        "{n_granted} appeals were granted in 30 days, {max} is the most: \
                         the policy hits innocents"
                    ),
                });
            }
            let share = policy.budget.accounts_share * analysis.n_accounts as f64;
            #[expect(clippy::cast_possible_truncation, reason = "a count of accounts")]
            #[expect(clippy::cast_sign_loss, reason = "a share ≥ 0 of a count")]
            let may = (share.floor() as u64).max(policy.budget.accounts_min);
            let hit = self.book.n_hit(&policy.name, self.now_ms - super::snapshot::DAY_MS);
            let is_stopped = is_stopped || (max > 0 && n_granted >= u64::from(max));
            let left = may.saturating_sub(hit);
            budgets.insert(&*policy.name, Budget { left, may, n_over: 0, is_stopped });
        }
        budgets
    }

    fn one(
        &self,
        policy: &PolicyConfig,
        order: &[&PolicyConfig],
        subject: &Subject<'_>,
        budgets: &mut BTreeMap<&str, Budget>,
        entropy: &mut dyn Entropy,
    ) -> Result<Option<Change>, GuardError> {
        let known = self.book.open_of(subject.account, &policy.name);
        if let Some(known) = known
            && known.expires_ms > self.now_ms
            && (known.dry_run || !policy.dry_run)
            && (!known.dry_run || policy.dry_run)
        {
            return Ok(self.renewed(known, policy, subject));
        }
        let budget = budgets.get_mut(&*policy.name);
        if budget.as_ref().is_some_and(|budget| budget.is_stopped)
            || self.is_cleared(subject.account, policy.measure)
            || !self.may_escalate(policy, order, subject)
        {
            return Ok(None);
        }
        let mut state =
            if policy.needs_human() { DecisionState::Proposed } else { DecisionState::Active };
        if state == DecisionState::Active
            && !policy.dry_run
            && policy.measure != Measure::Shadow
            && let Some(budget) = budget
        {
            if budget.left == 0 {
                budget.n_over += 1;
                state = DecisionState::Proposed;
            } else {
                budget.left -= 1;
            }
        }
        let decision = self.made(policy, subject, state, entropy)?;
        Ok(Some(Change::Make(Box::new(decision))))
    }

    fn made(
        &self,
        policy: &PolicyConfig,
        subject: &Subject<'_>,
        state: DecisionState,
        entropy: &mut dyn Entropy,
    ) -> Result<Decision, GuardError> {
        let reasons: Vec<_> =
            subject.reasons.iter().take(REASONS_MAX).map(|r| (*r).clone()).collect();
        let reason = reasons.first().map_or("unusual_traffic", |reason| reason.code.as_str());
        let needs_templates = policy.measure == Measure::TemplateQuarantine;
        Ok(Decision {
            id: fresh_id("dec", entropy)?,
            account: subject.account.to_owned(),
            campaign: subject.campaign.map(|campaign| campaign.id.clone()),
            measure: policy.measure,
            policy: policy.name.clone(),
            reason: reason.to_owned(),
            reasons,
            families: subject.families.iter().map(|family| (*family).to_owned()).collect(),
            dry_run: policy.dry_run,
            state,
            made_ms: self.now_ms,
            expires_ms: self.now_ms.saturating_add(policy.expires_ms()),
            made_by: BY_POLICY.to_owned(),
            changed_ms: self.now_ms,
            changed_by: BY_POLICY.to_owned(),
            note: None,
            verified: false,
            templates: if needs_templates {
                super::template::of_subject(subject)
            } else {
                Vec::new()
            },
        })
    }

    /// Goes on when half of its time is over and what was measured persists.
    fn renewed(
        &self,
        known: &Decision,
        policy: &PolicyConfig,
        subject: &Subject<'_>,
    ) -> Option<Change> {
        let left = known.expires_ms.saturating_sub(self.now_ms);
        if left > policy.expires_ms() / 2 || policy.measure.is_atomic() {
            return None;
        }
        let mut decision = known.clone();
        decision.expires_ms = self.now_ms.saturating_add(policy.expires_ms());
        decision.reasons = subject.reasons.iter().take(REASONS_MAX).map(|r| (*r).clone()).collect();
        decision.families = subject.families.iter().map(|family| (*family).to_owned()).collect();
        decision.changed_ms = self.now_ms;
        BY_POLICY.clone_into(&mut decision.changed_by);
        Some(Change::Renew(Box::new(decision)))
    }

    /// Whether a human cleared the account of this measure, or of a milder one, not long ago.
    fn is_cleared(&self, account: &str, measure: Measure) -> bool {
        self.book.of_account(account).any(|decision| {
            let age = self.now_ms.saturating_sub(decision.changed_ms);
            decision.state == DecisionState::Revoked
                && decision.measure <= measure
                && measure != Measure::Shadow
                && age < if decision.verified { VERIFIED_MS } else { CLEARED_MS }
        })
    }

    /// Whether the next milder policy that applies has been in force long enough. Of policies in
    /// dry run those count that are in dry run too; for one in force only those in force.
    fn may_escalate(
        &self,
        policy: &PolicyConfig,
        order: &[&PolicyConfig],
        subject: &Subject<'_>,
    ) -> bool {
        let milder = order.iter().rev().find(|other| {
            other.measure < policy.measure
                && (policy.dry_run || !other.dry_run)
                && applies(other, subject)
        });
        milder.is_none_or(|milder| {
            // One that stopped because it hit innocents is no step towards anything.
            !self.book.is_stopped(&milder.name)
                && self.book.open_of(subject.account, &milder.name).is_some_and(|decision| {
                    decision.state.is_in_force()
                        && decision.made_ms.saturating_add(policy.dwell_ms()) <= self.now_ms
                })
        })
    }
}

/// What a policy may still hit.
#[derive(Debug)]
struct Budget {
    left: u64,
    may: u64,
    n_over: u64,
    is_stopped: bool,
}

/// Whether the policy's conditions hold for what was measured of the account.
fn applies(policy: &PolicyConfig, subject: &Subject<'_>) -> bool {
    let of_kind = if subject.campaign.is_some() { policy.campaigns } else { policy.accounts };
    of_kind
        && subject.n >= policy.requests_min
        && subject.families.len() >= policy.families_min() as usize
        && !policy.exempt_accounts.iter().any(|account| account == subject.account)
        && !policy.exempt_plans.iter().any(|plan| plan == subject.plan)
        && (policy.reasons.is_empty()
            || subject.reasons.iter().any(|reason| policy.reasons.contains(&reason.code)))
        && policy.name != BY_HAND
}
