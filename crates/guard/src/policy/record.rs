//! Decisions as the store keeps them.

use super::{Decision, DecisionState, Measure};
use crate::store::DecisionRow;
use serde::{Deserialize, Serialize};
use stillwatch_traffic::Reason;

/// What isn't asked for by queries. Everything has a default: a request to delete what is known of
/// an account leaves `{}`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Detail {
    reasons: Vec<Reason>,
    families: Vec<String>,
    made_by: String,
    changed_ms: i64,
    changed_by: String,
    note: Option<String>,
    verified: bool,
    templates: Vec<u64>,
}

/// For the store.
pub(super) fn row(decision: &Decision) -> DecisionRow {
    let is_over = !decision.state.is_open();
    let detail = Detail {
        reasons: decision.reasons.clone(),
        families: decision.families.clone(),
        made_by: decision.made_by.clone(),
        changed_ms: decision.changed_ms,
        changed_by: decision.changed_by.clone(),
        note: decision.note.clone(),
        verified: decision.verified,
        templates: decision.templates.clone(),
    };
    DecisionRow {
        id: decision.id.clone(),
        policy: decision.policy.clone(),
        measure: decision.measure.name().to_owned(),
        account: decision.account.clone(),
        cluster: decision.campaign.clone().unwrap_or_default(),
        code: decision.reason.clone(),
        detail: serde_json::to_string(&detail).unwrap_or_else(|_| "{}".to_owned()),
        dry_run: decision.dry_run,
        state: decision.state.name().to_owned(),
        created_ms: decision.made_ms,
        expires_ms: Some(decision.expires_ms),
        ended_ms: is_over.then_some(decision.changed_ms),
        ended_by: if is_over { decision.changed_by.clone() } else { String::new() },
        changed: 0,
    }
}

/// From the store; `None` for a row of a measure or state that this version doesn't know.
pub(super) fn decision(row: DecisionRow) -> Option<Decision> {
    let detail: Detail = serde_json::from_str(&row.detail).unwrap_or_default();
    Some(Decision {
        measure: Measure::from_name(&row.measure)?,
        state: DecisionState::from_name(&row.state)?,
        id: row.id,
        account: row.account,
        campaign: Some(row.cluster).filter(|cluster| !cluster.is_empty()),
        policy: row.policy,
        reason: row.code,
        reasons: detail.reasons,
        families: detail.families,
        dry_run: row.dry_run,
        made_ms: row.created_ms,
        expires_ms: row.expires_ms.unwrap_or(i64::MAX),
        made_by: detail.made_by,
        changed_ms: detail.changed_ms.max(row.ended_ms.unwrap_or(0)),
        changed_by: detail.changed_by,
        note: detail.note,
        verified: detail.verified,
        templates: detail.templates,
    })
}
