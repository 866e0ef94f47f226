//! The case folder of a run: what goes in beforehand, and what is written at its end.

use crate::{
    AuditContext, AuditError, AuditOutcome, AuditRequest, Caches, HashedInput, OtherModel,
    ReportInput, Role, ScoreEnd, ShownTexts, evaluate::evaluate_with_series, render_report,
    run::Fixed,
};
use std::path::{Path, PathBuf};
use stillwatch_evidence::{
    Case, CaseManifest, CaseModel, Exposure, FileDigest, ScoreTable, digest_file,
};
use stillwatch_models::{AnswerCache, Model, ScoreCache};

/// Name of the scores' file in the case's cache folder.
const SCORES: &str = "scores.jsonl";
/// Name of the answers' file there.
const ANSWERS: &str = "answers.jsonl";
/// Texts printed at most where they are asked for.
const TEXTS_MAX: usize = 200;

/// What is there once everything has been scored.
pub(crate) struct Done<'a> {
    pub context: AuditContext,
    pub table: ScoreTable,
    pub end: ScoreEnd,
    pub n_rejected: usize,
    pub exposures: &'a [Exposure],
}

/// The case folder, where there is one.
pub(crate) struct CaseFiles {
    pub case: Option<Case>,
    dir: PathBuf,
    question: String,
    inputs: Vec<HashedInput>,
}

impl CaseFiles {
    /// Creates the case or goes on with it, and enters the request's inputs.
    pub(crate) fn open(
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

    /// An error about this case.
    pub(crate) fn error(
        &self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> AuditError {
        AuditError::Case { path: self.dir.clone(), source: Box::new(source) }
    }

    /// Hashes an input into the case.
    pub(crate) fn input(&mut self, name: &str, path: &Path) -> Result<(), AuditError> {
        let digest: FileDigest = match &mut self.case {
            Some(case) => case
                .add_input(name, path)
                .map_err(|e| AuditError::Case { path: self.dir.clone(), source: Box::new(e) })?,
            None => digest_file(path)?,
        };
        let file = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let name = if file == *name { file } else { format!("{name}: {file}") };
        self.inputs.push(HashedInput { name, sha256: digest.sha256 });
        Ok(())
    }

    /// Enters the models with their hashes.
    pub(crate) fn models(
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

    /// What models said before.
    pub(crate) fn caches(&self) -> Result<Caches, AuditError> {
        let Some(case) = &self.case else { return Ok(Caches::in_memory()) };
        let dir = case.cache_dir();
        Ok(Caches {
            scores: ScoreCache::open(dir.join(SCORES)).map_err(|e| self.error(e))?,
            answers: AnswerCache::open(dir.join(ANSWERS)).map_err(|e| self.error(e))?,
        })
    }

    /// Tests, and writes scores, result and report.
    pub(crate) fn finish(
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
