//! Appeals against decisions: made by who was told the decision's name, resolved by a human.

use super::{Decision, DecisionState, Policies, PolicyError};
use crate::store::{AppealRow, DecisionWrite};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// The longest text of an appeal, bytes.
pub const TEXT_BYTES_MAX: usize = 4000;
/// The longest contact and answer, bytes.
pub const CONTACT_BYTES_MAX: usize = 200;
/// Appeals against one decision in all.
pub const APPEALS_MAX: u32 = 5;
/// Appeals from one address in an hour.
const PER_ADDRESS_MAX: u32 = 10;
/// Appeals from everywhere in a minute, of one node.
const PER_MINUTE_MAX: u32 = 60;
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// Bounds how often appeals are made.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    minute: (i64, u32),
    hour: i64,
    addresses: BTreeMap<IpAddr, u32>,
}

impl Throttle {
    fn admits(&self, ip: IpAddr, now_ms: i64) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_ms.div_euclid(MINUTE_MS);
        if counts.minute.0 != minute {
            counts.minute = (minute, 0);
        }
        let hour = now_ms.div_euclid(HOUR_MS);
        if counts.hour != hour {
            counts.hour = hour;
            counts.addresses.clear();
        }
        counts.minute.1 += 1;
        if counts.minute.1 > PER_MINUTE_MAX {
            return false;
        }
        if counts.addresses.len() >= ADDRESSES_MAX && !counts.addresses.contains_key(&ip) {
            return false;
        }
        let n = counts.addresses.entry(ip).or_default();
        *n += 1;
        *n <= PER_ADDRESS_MAX
    }
}

impl Policies {
    /// Takes an appeal: one open at a time, few in all.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn appeal(
        &self,
        decision: &str,
        text: &str,
        contact: &str,
        ip: IpAddr,
        now_ms: i64,
    ) -> Result<AppealRow, PolicyError> {
        if !self.appeals.admits(ip, now_ms) {
            return Err(PolicyError::TooMany);
        }
        let text = text.trim();
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(PolicyError::Invalid(format!(
                "text: expected 1 to {TEXT_BYTES_MAX} bytes that say why the decision is wrong"
            )));
        }
        if contact.len() > CONTACT_BYTES_MAX {
            return Err(PolicyError::Invalid(format!(
                "contact: expected at most {CONTACT_BYTES_MAX} bytes"
            )));
        }
        let decision = self.decision(decision).await?;
        if !decision.state.is_in_force() {
            return Err(PolicyError::Conflict(format!(
                "the decision is {}: there is nothing to contest",
                decision.state.name()
            )));
        }
        let n =
            self.store.appeals(Some(&decision.id), None, i64::from(APPEALS_MAX), 0).await?.len();
        if n >= APPEALS_MAX as usize {
            return Err(PolicyError::Conflict(format!(
                "{APPEALS_MAX} appeals against this decision were made: that is the most"
            )));
        }
        let appeal = AppealRow {
            id: self.fresh_id("app")?,
            decision: decision.id.clone(),
            text: text.to_owned(),
            contact: contact.trim().to_owned(),
            state: "open".to_owned(),
            created_ms: now_ms,
            resolved_ms: None,
            answer: String::new(),
        };
        if !self.store.put_appeal(&appeal, 1).await? {
            return Err(PolicyError::Conflict(
                "an appeal against this decision is open already".to_owned(),
            ));
        }
        let contest = |decision: &mut Decision| {
            let is_active = decision.state == DecisionState::Active;
            if is_active {
                decision.set_state(DecisionState::Contested, "account", now_ms);
            }
            is_active
        };
        match self.change(&[decision.id], "contested", "account", None, now_ms, contest).await {
            // It may have ended at this very moment; the appeal stands all the same.
            Ok(_) | Err(PolicyError::Conflict(_)) => Ok(appeal),
            Err(error) => Err(error),
        }
    }

    /// Appeals, the newest first; of one decision or of all, open ones or all.
    ///
    /// # Errors
    /// The store fails.
    pub async fn appeals(
        &self,
        decision: Option<&str>,
        open_only: bool,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<AppealRow>, PolicyError> {
        let state = open_only.then_some("open");
        Ok(self.store.appeals(decision, state, i64::from(limit), i64::from(offset)).await?)
    }

    /// Resolves an appeal: granted, the decision is revoked (with `whole_campaign` those about all
    /// accounts of its campaign) and counts as an innocent hit; denied, it stays in force.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn resolve(
        &self,
        appeal: &str,
        granted: bool,
        answer: &str,
        whole_campaign: bool,
        by: &str,
        now_ms: i64,
    ) -> Result<AppealRow, PolicyError> {
        let answer = answer.trim();
        if answer.is_empty() || answer.len() > TEXT_BYTES_MAX {
            return Err(PolicyError::Invalid(format!(
                "answer: expected 1 to {TEXT_BYTES_MAX} bytes: the account reads it"
            )));
        }
        let row = self.store.appeal(appeal).await?.ok_or(PolicyError::Unknown("appeal"))?;
        let state = if granted { "granted" } else { "denied" };
        if !self.store.resolve_appeal(&row.id, state, answer, now_ms).await? {
            return Err(PolicyError::Conflict(format!("the appeal is {} already", row.state)));
        }
        let decision = self.decision(&row.decision).await?;
        let what = if granted { "appeal_was_granted" } else { "appeal_was_denied" };
        let ids = self.with_campaign(&decision, granted && whole_campaign);
        let settle = |decision: &mut Decision| {
            if granted {
                decision.set_state(DecisionState::Revoked, by, now_ms);
            } else if decision.state == DecisionState::Contested {
                decision.set_state(DecisionState::Active, by, now_ms);
            }
            true
        };
        match self.change(&ids, what, by, None, now_ms, settle).await {
            // It ended while the appeal was open.
            Ok(_) | Err(PolicyError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        if granted {
            let events =
                vec![self.event(by, "appeal_granted", &decision.policy, &decision.id, now_ms)?];
            let write = DecisionWrite { insert: Vec::new(), events };
            self.store.write_decisions(&[], |_| false, &write).await?;
            self.refresh(now_ms).await?;
        }
        Ok(AppealRow {
            state: state.to_owned(),
            answer: answer.to_owned(),
            resolved_ms: Some(now_ms),
            ..row
        })
    }
}
