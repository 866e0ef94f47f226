//! The four plans, sealed in the ledger before the first score.
//!
//! Plans over the same exposures share the error (plan j spends alpha / (j (j + 1))), so the
//! order of sealing matters: the innocent come first, who need the power to be cleared.

use super::audits::{Question, spec};
use super::service::weights_hash;
use super::{DemoParams, exposing::range};
use crate::LabError;
use std::collections::BTreeMap;
use std::path::Path;
use stillwatch_audit::AuditParams;
use stillwatch_evidence::ledger::{Filter, Ledger};
use stillwatch_evidence::plan::{
    PLAN_VERSION, Plan, PlannedBudget, PlannedExposures, PlannedModel, PlannedRange, SealedPlan,
    seal_in_ledger,
};
use stillwatch_evidence::{VerdictKind, atomic, digest_file};

/// Seals the plan of every question; the answer is in the order of the questions.
pub(super) fn seal(
    params: &DemoParams,
    audit: &AuditParams,
    questions: &[Question<'_>],
    ledger: &mut Ledger,
) -> Result<Vec<SealedPlan>, LabError> {
    let mut order: Vec<usize> = (0..questions.len()).collect();
    let guilty = |&i: &usize| questions.get(i).map(|q| q.expected == VerdictKind::Established);
    order.sort_by_key(guilty);
    let mut sealed = BTreeMap::new();
    for i in order {
        let Some(question) = questions.get(i) else { continue };
        let plan = plan(audit, question, ledger)?;
        sealed.insert(i, seal_in_ledger(ledger, plan, params.now)?);
    }
    Ok(sealed.into_values().collect())
}

/// Writes a sealed plan as JSON.
pub(super) fn write(path: &Path, sealed: &SealedPlan) -> Result<(), LabError> {
    let json = serde_json::to_vec_pretty(sealed)
        .map_err(|e| LabError::Format { path: path.to_owned(), reason: e.to_string() })?;
    Ok(atomic::write(path, &json)?)
}

fn plan(audit: &AuditParams, question: &Question<'_>, ledger: &Ledger) -> Result<Plan, LabError> {
    let (first_sequence, last_sequence) = range(&question.exposed.exposures);
    let by_account = question.exposed.exposures.iter().any(|e| e.account.is_some());
    let split: &[(&str, f64)] =
        if by_account { &[("pooled", 0.5), ("accounts", 0.5)] } else { &[("pooled", 1.0)] };
    let sha256 =
        digest_file(question.exposures).map_err(stillwatch_audit::AuditError::from)?.sha256;
    Ok(Plan {
        version: PLAN_VERSION,
        name: question.name.to_owned(),
        suspect: model(question.suspect)?,
        references: vec![model(question.reference)?],
        placebos: Vec::new(),
        alpha: audit.alpha,
        alpha_split: split
            .iter()
            .map(|(k, share)| ((*k).to_owned(), audit.alpha * share))
            .collect(),
        decide: audit.decide,
        statistic: format!("twins, {} resamples", audit.n_resamples),
        order: "ledger".to_owned(),
        seeds: BTreeMap::from([("run".to_owned(), audit.seed)]),
        budget: PlannedBudget::default(),
        exposures: PlannedExposures {
            sha256: sha256.parse().ok(),
            ledger: Some(PlannedRange {
                log_id: ledger.view().identity().log_id.clone(),
                first_sequence,
                last_sequence,
                filter: Filter::default(),
            }),
        },
        stopping_rule: "all pairs of the budget".to_owned(),
        target_effect: audit.target_effect,
    })
}

fn model(folder: &Path) -> Result<PlannedModel, LabError> {
    Ok(PlannedModel { model: spec(folder), hash: Some(weights_hash(folder)?) })
}
