//! A whole audit: read, score, test, and write the case that anyone can re-run.

use crate::{
    AuditContext, AuditError, AuditParams, Evaluation, HashedInput, NamedModel, ReportInput, Role,
    ScoreEnd, ScoreJob, ScoreKind, ShownTexts,
    evaluate::evaluate_with_series,
    render_report,
    score::{in_ledger_order, planned, score_exposures},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use stillwatch_evidence::{
    AuditResult, Case, CaseManifest, CaseModel, Exposure, FileDigest, Progress, ScoreTable,
    read_exposures, read_scores,
};
use stillwatch_models::{Model, ScoreCache};

/// Name of the rejects file in a case folder.
const REJECTS: &str = "rejects.jsonl";
/// Name of the scores' file in the case's cache folder.
const CACHE: &str = "scores.jsonl";
/// Texts printed at most where they are asked for.
const TEXTS_MAX: usize = 200;

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
    /// What is known of the case. Suspect, roles of models that are asked, planned units, and
    /// what scoring finds out (set aside, partial) are filled in.
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
    let mut cache = files.cache()?;
    let scored = score_exposures(&job, &mut cache, progress)?;
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

/// What is there once everything has been scored.
struct Done<'a> {
    context: AuditContext,
    table: ScoreTable,
    end: ScoreEnd,
    n_rejected: usize,
    exposures: &'a [Exposure],
}

/// The case folder, where there is one.
struct CaseFiles {
    case: Option<Case>,
    dir: PathBuf,
    question: String,
    inputs: Vec<HashedInput>,
}

impl CaseFiles {
    fn open(
        request: &AuditRequest<'_>,
        context: &AuditContext,
        fixed: &Fixed,
        now: &str,
    ) -> Result<Self, AuditError> {
        let question = request.question.clone().unwrap_or_else(|| {
            format!("Was {} trained on the texts that were released?", context.suspect)
        });
        let dir = request.out.clone().unwrap_or_default();
        let mut files = Self { case: None, dir, question, inputs: Vec::new() };
        if let Some(out) = &request.out {
            let parameters = fixed.to_json()?;
            let manifest = CaseManifest::new(&files.question, now, request.params.seed, parameters);
            files.case = Some(Case::resume(out, manifest).map_err(|e| files.error(e))?);
        }
        for (name, path) in &request.inputs {
            files.input(name, path)?;
        }
        Ok(files)
    }

    fn error(&self, source: impl std::error::Error + Send + Sync + 'static) -> AuditError {
        AuditError::Case { path: self.dir.clone(), source: Box::new(source) }
    }

    fn input(&mut self, name: &str, path: &Path) -> Result<(), AuditError> {
        let digest: FileDigest = match &mut self.case {
            Some(case) => case
                .add_input(name, path)
                .map_err(|e| AuditError::Case { path: self.dir.clone(), source: Box::new(e) })?,
            None => stillwatch_evidence::digest_file(path)?,
        };
        let file = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let name = if file == *name { file } else { format!("{name}: {file}") };
        self.inputs.push(HashedInput { name, sha256: digest.sha256 });
        Ok(())
    }

    fn models(
        &mut self,
        suspect_spec: &str,
        suspect: &dyn Model,
        others: &[OtherModel<'_>],
    ) -> Result<(), AuditError> {
        let mut models = vec![case_model("suspect", suspect_spec, suspect)];
        models.extend(others.iter().map(|o| {
            let role = match o.role {
                Role::Reference { .. } => "reference",
                Role::Placebo => "placebo",
            };
            case_model(role, &o.spec, o.model)
        }));
        for model in &models {
            if let Some(hash) = &model.model_hash {
                let name = format!("{}: {}", model.role, model.spec);
                self.inputs.push(HashedInput { name, sha256: hash.clone() });
            }
        }
        match &mut self.case {
            Some(case) => case
                .set_models(models)
                .map_err(|e| AuditError::Case { path: self.dir.clone(), source: Box::new(e) }),
            None => Ok(()),
        }
    }

    fn cache(&self) -> Result<ScoreCache, AuditError> {
        let opened = match &self.case {
            Some(case) => ScoreCache::open(case.cache_dir().join(CACHE)),
            None => Ok(ScoreCache::in_memory()),
        };
        opened.map_err(|e| self.error(e))
    }

    fn finish(
        mut self,
        request: &AuditRequest<'_>,
        done: Done<'_>,
        now: &str,
    ) -> Result<AuditOutcome, AuditError> {
        let evaluation = evaluate_with_series(&done.table, &done.context, &request.params)?;
        let made = self.case.as_ref().map_or(now, |c| c.manifest().created.as_str()).to_owned();
        let mut timeline = request.timeline.clone();
        timeline.extend(exposed_when(done.exposures));
        timeline.sort();
        let texts = if request.show_texts { shown(done.exposures) } else { Vec::new() };
        let mut commands = request.commands.clone();
        if self.case.is_some() {
            commands.push(format!("stillwatch verify {}", self.dir.display()));
        }
        let html = render_report(&ReportInput {
            evaluation: &evaluation,
            context: &done.context,
            params: &request.params,
            question: &self.question,
            made: &made,
            inputs: &self.inputs,
            timeline: &timeline,
            commands: &commands,
            texts: &texts,
        });
        if let Some(case) = &mut self.case {
            let written = case
                .write_scores(&done.table)
                .and_then(|()| case.write_result(&evaluation.result))
                .and_then(|()| case.write_report(&html));
            written
                .map_err(|e| AuditError::Case { path: self.dir.clone(), source: Box::new(e) })?;
        }
        Ok(AuditOutcome {
            evaluation,
            end: done.end,
            n_rejected_lines: done.n_rejected,
            case: request.out.clone(),
        })
    }
}

fn case_model(role: &str, spec: &str, model: &dyn Model) -> CaseModel {
    let identity = model.identity();
    let some = |hash: &String| (!hash.is_empty()).then(|| hash.clone());
    CaseModel {
        role: role.to_owned(),
        spec: spec.to_owned(),
        model_hash: some(&identity.model_hash),
        template_hash: some(&identity.template_hash),
        settings: serde_json::Value::String(identity.settings.clone()),
    }
}

/// When the first and the last exposure were sent, as their file says.
fn exposed_when(exposures: &[Exposure]) -> Vec<(String, String)> {
    let times: Vec<&String> = exposures.iter().filter_map(|e| e.time.as_ref()).collect();
    let entry = |time: Option<&&String>, what: &str| time.map(|t| ((*t).clone(), what.to_owned()));
    [
        entry(times.iter().min(), "first exposure sent, as its file says"),
        entry(times.iter().max(), "last exposure sent, as its file says"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn shown(exposures: &[Exposure]) -> Vec<ShownTexts> {
    exposures
        .iter()
        .take(TEXTS_MAX)
        .map(|e| ShownTexts {
            id: e.id.clone(),
            released: e.released.clone(),
            withheld: e.withheld.clone(),
        })
        .collect()
}
