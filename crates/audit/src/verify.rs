//! Whether a case bears out its verdict, without any model: hashes, and a replay from scores.

use crate::{AuditContext, AuditError, SetAside, evaluate::evaluate, run::Fixed};
use serde::Serialize;
use std::path::Path;
use stillwatch_evidence::{AuditResult, Case, case::Change, result_json};

/// What replaying stored scores can't show.
pub const SCORES_CAVEAT: &str = "stored scores don't show who scored: whoever doubts them scores \
    the texts again";

/// What verifying a case found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Files that are missing or no longer have the hash that the manifest says.
    pub changes: Vec<Change>,
    /// The stored verdict follows from the stored scores and parameters, byte for byte.
    pub follows: bool,
    /// Fields of the stored result that the replay gives otherwise.
    pub differences: Vec<String>,
    /// The result as replayed.
    pub replayed: AuditResult,
    /// The result as stored.
    pub stored: AuditResult,
    /// One sentence for people.
    pub sentence: String,
    /// What this can't show.
    pub caveat: &'static str,
}

impl VerifyReport {
    /// Nothing changed, and the verdict follows.
    pub fn holds(&self) -> bool {
        self.follows && self.changes.is_empty()
    }
}

/// Re-hashes every input and file of a case and replays its findings from the stored scores.
///
/// Errors: the folder holds no case, or one that can't be read. A case that doesn't hold is no
/// error but a report that says so.
pub fn verify_case(dir: &Path) -> Result<VerifyReport, AuditError> {
    let fail = |source: stillwatch_evidence::CaseError| AuditError::Case {
        path: dir.to_owned(),
        source: Box::new(source),
    };
    let case = Case::open(dir).map_err(fail)?;
    let changes = case.changes();
    let fixed: Fixed = serde_json::from_value(case.manifest().parameters.clone()).map_err(|e| {
        AuditError::data(
            format!("{}: field `parameters`", dir.join("case.json").display()),
            format!("{e}; the case was changed by hand or made by another version"),
        )
    })?;
    let table = case.read_scores().map_err(fail)?;
    let stored = case.read_result().map_err(fail)?;
    let context = AuditContext {
        // What scoring found out is in the result; only its number enters the verdict.
        set_aside: vec![SetAside {
            reason: "as recorded in the result".to_owned(),
            count: stored.n_set_aside,
        }],
        partial: stored.partial,
        ..fixed.context
    };
    let replayed = evaluate(&table, &context, &fixed.params)?;
    let follows = bytes(&replayed)? == bytes(&stored)?;
    let differences = differences(&stored, &replayed)?;
    let sentence = sentence(&changes, follows, &differences);
    Ok(VerifyReport {
        changes,
        follows,
        differences,
        replayed,
        stored,
        sentence,
        caveat: SCORES_CAVEAT,
    })
}

fn bytes(result: &AuditResult) -> Result<String, AuditError> {
    result_json(result).map_err(|e| AuditError::data("result", e))
}

/// Top-level fields that differ.
fn differences(a: &AuditResult, b: &AuditResult) -> Result<Vec<String>, AuditError> {
    let object = |r: &AuditResult| {
        serde_json::to_value(r).map_err(|e| AuditError::data("result", e.to_string()))
    };
    let (a, b) = (object(a)?, object(b)?);
    let Some(fields) = a.as_object() else { return Ok(Vec::new()) };
    Ok(fields
        .iter()
        .filter(|(k, v)| b.get(k.as_str()) != Some(v))
        .map(|(k, _)| k.clone())
        .collect())
}

fn sentence(changes: &[Change], follows: bool, differences: &[String]) -> String {
    let files = match changes {
        [] => "every input and file has the hash that the manifest says".to_owned(),
        some => {
            let names: Vec<String> = some.iter().map(|c| c.name.clone()).collect();
            format!("changed or missing: {}", crate::format::list(&names, 8))
        }
    };
    let verdict = if follows {
        "the verdict follows from the stored scores".to_owned()
    } else {
        format!(
            "the stored result does not follow from the stored scores (it differs in {})",
            crate::format::list(differences, 8)
        )
    };
    format!("{files}; {verdict}; {SCORES_CAVEAT}.")
}
