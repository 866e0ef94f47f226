//! A whole audit: read, score, test, and write the case that anyone can re-run.

use crate::{
    AuditContext, AuditError, AuditParams, Evaluation, NamedModel, Role, SamplingKind,
    SamplingParams, ScoreEnd, ScoreJob, ScoreKind, ScoredExposures, SetAside,
    case_files::{CaseFiles, Done},
    sampled_table,
    score::{in_ledger_order, planned, reached, score_exposures},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use stillwatch_evidence::{AuditResult, Exposure, Progress, read_exposures, read_scores};
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
    let exposures = in_ledger_order(std::mem::take(&mut unread.exposures));
    context.planned = Some(planned(&exposures, *budget));
    context.score_kind = match sampling_kind(*suspect, &context) {
        None => ScoreKind::LogLikelihood,
        Some(SamplingKind::Similarity) => ScoreKind::Similarity,
        Some(SamplingKind::ForcedChoice) => ScoreKind::ForcedChoice,
    };
    let fixed = Fixed { params: request.params.clone(), context: context.clone() };
    let mut files = CaseFiles::open(request, &context, &fixed, now)?;
    files.input("exposures", path)?;
    if rejects > 0
        && let Some(case) = &files.case
    {
        unread.write_rejects(&case.dir().join(REJECTS)).map_err(|e| files.error(e))?;
    }
    files.models(suspect_spec, *suspect, others)?;
    let scored = if let Some(kind) = sampling_kind(*suspect, &context) {
        ask(kind, &reached(&exposures, *budget), (*suspect, others), request, &files, progress)?
    } else {
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
        score_exposures(&job, &mut files.cache()?, progress)?
    };
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

/// How a suspect is asked that gives no likelihoods; absent where it gives them.
fn sampling_kind(suspect: &dyn Model, context: &AuditContext) -> Option<SamplingKind> {
    match (suspect.access(), context.score_kind) {
        (_, ScoreKind::ForcedChoice) => Some(SamplingKind::ForcedChoice),
        (_, ScoreKind::Similarity) | (AccessLevel::Sampling, _) => Some(SamplingKind::Similarity),
        _ => None,
    }
}

/// Scores by asking for answers: the same rows, the same reasons, no early stop.
fn ask(
    kind: SamplingKind,
    exposures: &[Exposure],
    (suspect, others): (&dyn Model, &[OtherModel<'_>]),
    request: &AuditRequest<'_>,
    files: &CaseFiles,
    progress: &dyn Progress,
) -> Result<ScoredExposures, AuditError> {
    let named: Vec<(String, &dyn Model)> =
        others.iter().map(|o| (o.spec.clone(), o.model)).collect();
    let params = SamplingParams { seed: request.params.seed, ..SamplingParams::default() };
    let mut cache = files.answers()?;
    let asked = sampled_table(exposures, suspect, &named, kind, &params, &mut cache, progress)
        .map_err(|source| AuditError::Model { role: "a model".to_owned(), source })?;
    let set_aside =
        asked.dropped.into_iter().map(|(reason, count)| SetAside { reason, count }).collect();
    let end = asked.partial.map_or(ScoreEnd::Finished, ScoreEnd::Partial);
    Ok(ScoredExposures { table: asked.table, set_aside, end })
}
