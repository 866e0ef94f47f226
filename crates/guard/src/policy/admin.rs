//! What a human does to decisions: approve, revoke, make one, say that an account was verified,
//! let a stopped policy go on. Each leaves an event with who did it.

use super::decision::{BY_HAND, NOTE_BYTES_MAX};
use super::{
    BLOCKING_FAMILIES_MIN, Decision, DecisionState, EXPIRES_HOURS_MAX, Measure, Policies,
    PolicyError, record,
};
use crate::store::{DecisionRow, DecisionWrite};
use serde::{Deserialize, Serialize};
use stillwatch_traffic::Analysis;

/// Accounts that one decision by hand may be about.
pub const BY_HAND_ACCOUNTS_MAX: usize = 50_000;

/// A decision that a human makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// The account; or `campaign`, for all of its accounts at once.
    #[serde(default)]
    pub account: Option<String>,
    /// The campaign, as the latest analysis names it.
    #[serde(default)]
    pub campaign: Option<String>,
    /// What is done.
    pub measure: Measure,
    /// Why, for the account: a code in snake case.
    pub reason: String,
    /// Why, for the record.
    pub note: String,
    /// How long it holds, hours.
    pub expires_hours: f64,
    /// Says that a measure which refuses requests is meant although fewer than three families of
    /// evidence were measured.
    #[serde(default)]
    pub without_evidence: bool,
}

impl Policies {
    /// Puts a proposed decision in force; of a measure that is set for a whole campaign or not at
    /// all, those of all its accounts, in one transaction.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn approve(
        &self,
        id: &str,
        by: &str,
        note: Option<&str>,
        now_ms: i64,
    ) -> Result<Vec<Decision>, PolicyError> {
        let decision = self.decision(id).await?;
        let expires_ms = match self.policy(&decision.policy) {
            Some(config) => now_ms.saturating_add(config.expires_ms()),
            None => decision.expires_ms,
        };
        let ids = self.with_campaign(&decision, decision.measure.is_atomic());
        let wanted = |decision: &mut Decision| {
            if decision.state != DecisionState::Proposed {
                return false;
            }
            decision.set_state(DecisionState::Active, by, now_ms);
            decision.expires_ms = expires_ms;
            true
        };
        self.change(&ids, "approved", by, note, now_ms, wanted).await
    }

    /// Takes a decision back, or with `whole_campaign` the policy's decisions about all accounts
    /// of its campaign.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn revoke(
        &self,
        id: &str,
        whole_campaign: bool,
        by: &str,
        note: Option<&str>,
        now_ms: i64,
    ) -> Result<Vec<Decision>, PolicyError> {
        let decision = self.decision(id).await?;
        let ids = self.with_campaign(&decision, whole_campaign);
        let wanted = |decision: &mut Decision| {
            decision.set_state(DecisionState::Revoked, by, now_ms);
            true
        };
        self.change(&ids, "revoked", by, note, now_ms, wanted).await
    }

    /// Ends a verification, because the account was verified.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn verified(
        &self,
        id: &str,
        by: &str,
        note: Option<&str>,
        now_ms: i64,
    ) -> Result<Decision, PolicyError> {
        let decision = self.decision(id).await?;
        if decision.measure != Measure::Verification {
            return Err(PolicyError::Invalid(format!(
                "this decision is about {}, only a verification can be satisfied",
                decision.measure
            )));
        }
        if decision.verified {
            return Ok(decision);
        }
        let wanted = |decision: &mut Decision| {
            decision.set_state(DecisionState::Revoked, by, now_ms);
            decision.verified = true;
            true
        };
        let changed = self.change(&[decision.id], "verified", by, note, now_ms, wanted).await?;
        changed.into_iter().next().ok_or(PolicyError::Unknown("decision"))
    }

    /// Makes a decision by hand.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn make(
        &self,
        wish: &ByHand,
        analysis: &Analysis,
        by: &str,
        now_ms: i64,
    ) -> Result<Vec<Decision>, PolicyError> {
        self.check_by_hand(wish)?;
        let subjects = super::subjects::subjects(analysis);
        let accounts = accounts_of(wish, analysis)?;
        let mut made = Vec::with_capacity(accounts.len());
        for account in accounts {
            let subject = subjects.get(account);
            let families = subject.map(|subject| subject.families.clone()).unwrap_or_default();
            if wish.measure.blocks()
                && families.len() < BLOCKING_FAMILIES_MIN as usize
                && !wish.without_evidence
            {
                return Err(PolicyError::Invalid(format!(
                    "{} refuses requests, which takes {BLOCKING_FAMILIES_MIN} families of \
                     evidence; of {account:?} {} were measured. Send \"without_evidence\": true \
                     if it is meant all the same",
                    wish.measure,
                    families.len()
                )));
            }
            let templates = match subject {
                Some(subject) if wish.measure == Measure::TemplateQuarantine => {
                    super::template::of_subject(subject)
                }
                _ => Vec::new(),
            };
            #[expect(clippy::cast_possible_truncation, reason = "below 2^33 by check")]
            let lasts_ms = (wish.expires_hours * 3_600_000.0) as i64;
            made.push(Decision {
                id: self.fresh_id("dec")?,
                account: account.to_owned(),
                campaign: wish
                    .campaign
                    .clone()
                    .or_else(|| subject.and_then(|s| s.campaign).map(|c| c.id.clone())),
                measure: wish.measure,
                policy: BY_HAND.to_owned(),
                reason: wish.reason.clone(),
                reasons: subject
                    .map(|subject| subject.reasons.iter().map(|r| (*r).clone()).collect())
                    .unwrap_or_default(),
                families: families.into_iter().map(str::to_owned).collect(),
                dry_run: false,
                state: DecisionState::Active,
                made_ms: now_ms,
                expires_ms: now_ms.saturating_add(lasts_ms),
                made_by: by.to_owned(),
                changed_ms: now_ms,
                changed_by: by.to_owned(),
                note: Some(wish.note.clone()),
                verified: false,
                templates,
            });
        }
        let mut write = DecisionWrite::default();
        for decision in &made {
            write.insert.push(record::row(decision));
            write.events.push(self.event(by, "made", &decision.id, &wish.note, now_ms)?);
        }
        let (rows, _) = self.store.write_decisions(&[], |_| false, &write).await?;
        self.refresh(now_ms).await?;
        if rows.is_empty() {
            return Err(PolicyError::Conflict(
                "an open decision of this measure was made by hand already".to_owned(),
            ));
        }
        Ok(rows.into_iter().filter_map(record::decision).collect())
    }

    fn check_by_hand(&self, wish: &ByHand) -> Result<(), PolicyError> {
        let invalid = |problem: &str| Err(PolicyError::Invalid(problem.to_owned()));
        if wish.account.is_some() == wish.campaign.is_some() {
            return invalid("expected either account or campaign");
        }
        if !wish.expires_hours.is_finite()
            || !(0.01..=EXPIRES_HOURS_MAX).contains(&wish.expires_hours)
        {
            return Err(PolicyError::Invalid(format!(
                "expires_hours: expected 0.01 to {EXPIRES_HOURS_MAX}"
            )));
        }
        let is_code = |text: &str| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if !is_code(&wish.reason) {
            return invalid("reason: expected 1 to 64 characters of a-z, 0-9 and _");
        }
        if wish.note.trim().is_empty() || wish.note.len() > NOTE_BYTES_MAX {
            return Err(PolicyError::Invalid(format!(
                "note: expected 1 to {NOTE_BYTES_MAX} bytes"
            )));
        }
        let config = self.by_hand(wish.measure);
        let is_missing = match (wish.measure, config) {
            (Measure::SharedBudget, Some(config)) => config.limits.is_none(),
            (Measure::HoldNewModels, Some(config)) => config.models.is_empty(),
            (Measure::Exposure, Some(config)) => config.factor.is_none(),
            (Measure::Downgrade, Some(config)) => config.instead.is_empty(),
            (_, config) => config.is_none(),
        };
        if is_missing {
            return Err(PolicyError::Invalid(format!(
                "the configuration has no policy with the measure {}, so it isn't known how: add \
                 one (dry_run = true is enough)",
                wish.measure
            )));
        }
        Ok(())
    }

    /// Lets a stopped policy go on; granted appeals up to now are forgiven.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn resume(&self, policy: &str, by: &str, now_ms: i64) -> Result<(), PolicyError> {
        if self.policy(policy).is_none() {
            return Err(PolicyError::Unknown("policy"));
        }
        let events = vec![self.event(by, "resumed", policy, "", now_ms)?];
        let write = DecisionWrite { insert: Vec::new(), events };
        self.store.write_decisions(&[], |_| false, &write).await?;
        self.refresh(now_ms).await?;
        Ok(())
    }

    /// The decision's name; with `whole_campaign` those of the same policy's open decisions about
    /// its campaign too.
    pub(super) fn with_campaign(&self, decision: &Decision, whole_campaign: bool) -> Vec<String> {
        let mut ids = vec![decision.id.clone()];
        if let Some(campaign) = decision.campaign.as_deref().filter(|_| whole_campaign) {
            let book = self.lock_book();
            let others = book.open().filter(|other| {
                other.id != decision.id
                    && other.policy == decision.policy
                    && other.measure == decision.measure
                    && other.campaign.as_deref() == Some(campaign)
            });
            ids.extend(others.map(|other| other.id.clone()));
        }
        ids
    }

    /// Changes open decisions, all or none, and notes who did it.
    pub(super) async fn change(
        &self,
        ids: &[String],
        what: &str,
        by: &str,
        note: Option<&str>,
        now_ms: i64,
        mut change: impl FnMut(&mut Decision) -> bool + Send,
    ) -> Result<Vec<Decision>, PolicyError> {
        let note = note.unwrap_or_default();
        if note.len() > NOTE_BYTES_MAX {
            return Err(PolicyError::Invalid(format!(
                "note: it has {} bytes, expected at most {NOTE_BYTES_MAX}",
                note.len()
            )));
        }
        let first = ids.first().map_or("", String::as_str);
        let events = vec![self.event(by, what, first, note, now_ms)?];
        let write = DecisionWrite { insert: Vec::new(), events };
        let wanted = |row: &mut DecisionRow| {
            let Some(mut decision) = record::decision(row.clone()) else { return false };
            if !decision.state.is_open() || !change(&mut decision) {
                return false;
            }
            if !note.is_empty() {
                decision.note = Some(note.to_owned());
            }
            *row = record::row(&decision);
            true
        };
        let (_, changed) = self.store.write_decisions(ids, wanted, &write).await?;
        self.refresh(now_ms).await?;
        if changed.is_empty() {
            let state = self.decision(first).await?.state;
            return Err(PolicyError::Conflict(format!("the decision is {} already", state.name())));
        }
        Ok(changed.into_iter().filter_map(record::decision).collect())
    }
}

/// The accounts that a decision by hand is about.
fn accounts_of<'a>(wish: &'a ByHand, analysis: &'a Analysis) -> Result<Vec<&'a str>, PolicyError> {
    if let Some(account) = &wish.account {
        if account.is_empty() || account.len() > 256 {
            return Err(PolicyError::Invalid("account: expected 1 to 256 bytes".to_owned()));
        }
        return Ok(vec![account]);
    }
    let campaign = wish.campaign.as_deref().unwrap_or_default();
    let found = analysis.campaigns.iter().find(|known| known.id == campaign);
    let accounts = &found.ok_or(PolicyError::Unknown("campaign"))?.accounts;
    if accounts.len() > BY_HAND_ACCOUNTS_MAX {
        return Err(PolicyError::Invalid(format!(
            "campaign: it has {} accounts, {BY_HAND_ACCOUNTS_MAX} is the most at once",
            accounts.len()
        )));
    }
    Ok(accounts.iter().map(String::as_str).collect())
}
