//! A whole audit: read, score, test, and write the case that anyone can re-run.

use crate::{
    AuditContext, AuditError, AuditParams, Evaluation, NamedModel, Role, ScoreEnd, ScoreJob,
    ScoreKind,
    case_files::{CaseFiles, Done},
    score::{in_ledger_order, planned, score_exposures},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use stillwatch_evidence::{AuditResult, Progress, read_exposures, read_scores};
use stillwatch_models::{AccessLevel, Model};

/// Name of the rejects file in a case folder.
const REJECTS: &str = "rejects.jsonl";

/// A model besides the suspect, with its part in the audit.
pub struct OtherModel<'a> {
    /// Model string.
    pub spec: String,
    /// Reference or placebo.
    pub role: Role,
    /// The model, open.
    pub model: &'a dyn Model,
}

impl std::fmt::Debug for OtherModel<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtherModel")
            .field("spec", &self.spec)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Where the scores come from.
pub enum AuditSource<'a> {
    /// A file of scores made elsewhere; roles of its columns are in the context.
    Scores(PathBuf),
    /// A file of exposures, scored now.
    Exposures {
        /// The file.
        path: PathBuf,
        /// Model string of the suspect.
        suspect_spec: String,
        /// The suspect, open.
        suspect: &'a dyn Model,
        /// References and placebos.
        others: Vec<OtherModel<'a>>,
        /// Exposures to score at most; absent: all.
        budget: Option<usize>,
    },
}

impl std::fmt::Debug for AuditSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scores(path) => f.debug_tuple("Scores").field(path).finish(),
            Self::Exposures { path, suspect_spec, others, budget, .. } => f
                .debug_struct("Exposures")
                .field("path", path)
                .field("suspect_spec", suspect_spec)
                .field("others", others)
                .field("budget", budget)
                .finish_non_exhaustive(),
        }
    }
}

/// What to audit, and where to write it.
#[derive(Debug)]
pub struct AuditRequest<'a> {
    /// Where the scores come from.
    pub source: AuditSource<'a>,
    /// What is fixed beforehand.
    pub params: AuditParams,
    /// What is known of the case. Suspect, roles of models that are asked, planned units, kind of
    /// score, and what scoring finds out (set aside, partial) are filled in. A suspect that only
    /// answers is scored by similarity; `score_kind` forced choice asks it for that instead,
    /// which shows it the texts.
    pub context: AuditContext,
    /// The question in one sentence; absent: a standing one.
    pub question: Option<String>,
    /// Case folder; absent: nothing is written, nothing is cached.
    pub out: Option<PathBuf>,
    /// Print texts in the report.
    pub show_texts: bool,
    /// Other inputs to hash into the case, by name (a sealed plan, ledger proofs).
    pub inputs: Vec<(String, PathBuf)>,
    /// What was committed and when, for the report: (RFC 3339 time, what).
    pub timeline: Vec<(String, String)>,
    /// Commands that repeat the audit, for the report.
    pub commands: Vec<String>,
}

/// What an audit gave.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditOutcome {
    /// The result with its curves.
    pub evaluation: Evaluation,
    /// Why scoring ended; `Finished` for scores made elsewhere.
    pub end: ScoreEnd,
    /// Lines of the exposures that could not be read.
    pub n_rejected_lines: usize,
    /// The case folder.
    pub case: Option<PathBuf>,
}

impl AuditOutcome {
    /// The result.
    pub fn result(&self) -> &AuditResult {
        &self.evaluation.result
    }
}

/// What a case stores to be replayed: everything that was fixed before the first score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixed {
    pub params: AuditParams,
    pub context: AuditContext,
}

impl Fixed {
    pub(crate) fn to_json(&self) -> Result<serde_json::Value, AuditError> {
        serde_json::to_value(self)
            .map_err(|e| AuditError::data("parameters of the audit", e.to_string()))
    }
}

/// Runs an audit. `now` is the time to be printed, RFC 3339.
///
/// With a case folder that holds the same question and parameters, an interrupted run goes on
/// from its cache.
pub fn run_audit(
    request: &AuditRequest<'_>,
    progress: &dyn Progress,
    now: &str,
) -> Result<AuditOutcome, AuditError> {
    request.params.check()?;
    match &request.source {
        AuditSource::Scores(path) => from_scores(request, path, now),
        AuditSource::Exposures { .. } => from_exposures(request, progress, now),
    }
}

fn from_scores(
    request: &AuditRequest<'_>,
    path: &Path,
    now: &str,
) -> Result<AuditOutcome, AuditError> {
    let table = read_scores(path)?;
    let mut context = request.context.clone();
    context.score_kind = ScoreKind::Given;
    let fixed = Fixed { params: request.params.clone(), context: context.clone() };
    let mut files = CaseFiles::open(request, &context, &fixed, now)?;
    files.input("scores", path)?;
    let done = Done { context, table, end: ScoreEnd::Finished, n_rejected: 0, exposures: &[] };
    files.finish(request, done, now)
}

fn from_exposures(
    request: &AuditRequest<'_>,
    progress: &dyn Progress,
    now: &str,
) -> Result<AuditOutcome, AuditError> {
    let AuditSource::Exposures { path, suspect_spec, suspect, others, budget } = &request.source
    else {
        return Err(AuditError::data("exposures", "a file of exposures was expected"));
    };
    let file = read_exposures(path)?;
    let rejects = file.rejects.len();
    if rejects > 0 {
        progress.note(&format!("{rejects} lines of {} can't be read", path.display()));
    }
    let mut context = request.context.clone();
    context.suspect.clone_from(suspect_spec);
    context.roles = others.iter().map(|o| (o.spec.clone(), o.role)).collect();
    if context.roles.len() != others.len() {
        return Err(AuditError::data("models", "a reference or placebo is named twice"));
    }
    let mut unread = file.clone();
    let mut exposures = in_ledger_order(std::mem::take(&mut unread.exposures));
    if let Some(only) = &context.only {
        exposures.retain(|exposure| only.contains(&exposure.id));
    }
    context.planned = Some(planned(&exposures, *budget));
    context.score_kind = score_kind(*suspect, &context);
    if context.score_kind == ScoreKind::Similarity {
        progress.note(&format!(
            "{suspect_spec} is asked for answers, which are compared with the texts: the same \
             null as with likelihoods, less power"
        ));
    }
    let fixed = Fixed { params: request.params.clone(), context: context.clone() };
    let mut files = CaseFiles::open(request, &context, &fixed, now)?;
    files.input("exposures", path)?;
    if rejects > 0
        && let Some(case) = &files.case
    {
        unread.write_rejects(&case.dir().join(REJECTS)).map_err(|e| files.error(e))?;
    }
    files.models(suspect_spec, *suspect, others)?;
    let named: Vec<NamedModel<'_>> =
        others.iter().map(|o| NamedModel { name: o.spec.clone(), model: o.model }).collect();
    let job = ScoreJob {
        exposures: &exposures,
        suspect: *suspect,
        others: &named,
        context: &context,
        params: &request.params,
        budget: *budget,
    };
    let scored = score_exposures(&job, &mut files.caches()?, progress)?;
    context.set_aside = scored.set_aside;
    context.partial = matches!(scored.end, ScoreEnd::Partial(_));
    let done = Done {
        context,
        table: scored.table,
        end: scored.end,
        n_rejected: rejects,
        exposures: &exposures,
    };
    files.finish(request, done, now)
}

/// How all models of an audit are asked: as declared, or for answers where the suspect gives no likelihoods.
pub fn score_kind(suspect: &dyn Model, context: &AuditContext) -> ScoreKind {
    match (suspect.access(), context.score_kind) {
        (_, kind @ (ScoreKind::ForcedChoice | ScoreKind::Similarity)) => kind,
        (AccessLevel::Sampling, _) => ScoreKind::Similarity,
        _ => ScoreKind::LogLikelihood,
    }
}
