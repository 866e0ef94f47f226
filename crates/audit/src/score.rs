//! Scores exposures by the suspect and the other models, blind to the coin.
//!
//! Always both texts; which goes first is a second, seeded coin. A failure, refusal or score
//! that isn't finite on any text by any model drops the pair for all models, and is counted
//! with its reason. What was scored is kept when the run is interrupted or a model is lost, and
//! a second run goes on from the cache. Where the e-value decides and the declared rule is to
//! stop at evidence, scoring stops where the replay of the stored scores will stop.
//!
//! All models are asked in the way that the context declares: for likelihoods, or, if the
//! suspect only answers, for answers (see [`by_similarity`], [`by_forced_choice`]).

use crate::{
    AuditContext, AuditError, AuditParams,
    context::{Planned, ScoreKind, SetAside},
    evaluate::{deciding_references, questions},
    params::Stopping,
    prepare::{Prepared, prepare},
    sampling::{SamplingParams, by_forced_choice, by_similarity},
    sequential::replay,
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use stillwatch_evidence::{Decide, Exposure, Progress, ScoreRow, ScoreTable, unit_names, units};
use stillwatch_models::{
    AnswerCache, Model, ModelError, ScoreCache, ScoreRequest, Scored, score_cached,
};

/// Exposures scored between two looks at the stopping rule: enough for a batch, few enough that
/// little is scored in vain.
const CHUNK_EXPOSURES: usize = 32;
/// Reasons kept apart before the rest is counted together.
const REASONS_MAX: usize = 20;

/// A model besides the suspect, under the name of its columns.
pub struct NamedModel<'a> {
    /// Name of its columns, normally its model string.
    pub name: String,
    /// The model.
    pub model: &'a dyn Model,
}

impl std::fmt::Debug for NamedModel<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedModel").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who scores what, and how far.
pub struct ScoreJob<'a> {
    /// In ledger order, see [`in_ledger_order`].
    pub exposures: &'a [Exposure],
    /// The model asked about.
    pub suspect: &'a dyn Model,
    /// References and placebos.
    pub others: &'a [NamedModel<'a>],
    /// Their roles, and what else is known.
    pub context: &'a AuditContext,
    /// What was fixed beforehand.
    pub params: &'a AuditParams,
    /// Exposures to score at most; absent: all.
    pub budget: Option<usize>,
}

impl std::fmt::Debug for ScoreJob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScoreJob")
            .field("exposures", &self.exposures.len())
            .field("others", &self.others)
            .field("params", &self.params)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// What models said before, so that nothing is asked twice.
#[derive(Debug)]
pub struct Caches {
    /// Likelihoods.
    pub scores: ScoreCache,
    /// Answers.
    pub answers: AnswerCache,
}

impl Caches {
    /// Keeps everything in memory only.
    pub fn in_memory() -> Self {
        Self { scores: ScoreCache::in_memory(), answers: AnswerCache::in_memory() }
    }
}

/// Why scoring ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScoreEnd {
    /// Every exposure of the budget was tried.
    Finished,
    /// The declared rule stopped it.
    Evidence,
    /// Interrupted, endpoint lost or its budget spent; resume is possible.
    Partial(String),
}

/// What scoring gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredExposures {
    /// One row for each exposure with a score by every model.
    pub table: ScoreTable,
    /// The others, by reason.
    pub set_aside: Vec<SetAside>,
    /// Why it ended.
    pub end: ScoreEnd,
}

/// The exposures in the order of their ledger's sequence numbers if every one has one, of the
/// same log; else in the order of the file, since nothing orders the entries of two logs.
pub fn in_ledger_order(mut exposures: Vec<Exposure>) -> Vec<Exposure> {
    let key = |e: &Exposure| e.commitment.as_ref().map(|c| c.sequence);
    let log = |e: &Exposure| e.commitment.as_ref().map(|c| c.log_id.clone());
    let first = exposures.first().and_then(log);
    if first.is_some() && exposures.iter().all(|e| log(e) == first) {
        exposures.sort_by_key(key);
    }
    exposures
}

/// Scores exposures until the budget, the stopping rule, an interrupt or a lost model.
///
/// Errors: a model that can't score at all. A text that can't be scored is no error.
pub fn score_exposures(
    job: &ScoreJob<'_>,
    caches: &mut Caches,
    progress: &dyn Progress,
) -> Result<ScoredExposures, AuditError> {
    job.params.check()?;
    let mut run = Run::new(job);
    let todo = run.todo();
    progress.begin("scoring pairs", todo.iter().map(|unit| unit.len() as u64).sum());
    for chunk in chunks(&todo) {
        if progress.stop_requested() {
            run.end = ScoreEnd::Partial("interrupted".to_owned());
            break;
        }
        run.chunk(&chunk, caches, progress)?;
        progress.advance(chunk.len() as u64);
        if run.end != ScoreEnd::Finished || run.evidence_suffices()? {
            break;
        }
    }
    progress.end();
    Ok(run.finish())
}

/// Whole units up to a number of exposures.
fn within_budget(units: Vec<Vec<usize>>, budget: Option<usize>) -> Vec<Vec<usize>> {
    let mut left = budget.unwrap_or(usize::MAX);
    units
        .into_iter()
        .take_while(|unit| {
            let fits = unit.len() <= left;
            left = left.saturating_sub(unit.len());
            fits
        })
        .collect()
}

/// Whole units, about [`CHUNK_EXPOSURES`] exposures at a time: a unit that was scored in part
/// must not reach the stopping rule.
fn chunks(units: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = Vec::new();
    for unit in units {
        match out.last_mut() {
            Some(last) if last.len() + unit.len() <= CHUNK_EXPOSURES => last.extend(unit),
            _ => out.push(unit.clone()),
        }
    }
    out
}

/// What a job sets out to score, from its exposures alone.
pub(crate) fn planned(exposures: &[Exposure], budget: Option<usize>) -> Planned {
    let mut by_account: BTreeMap<String, usize> = BTreeMap::new();
    let mut k_min = usize::MAX;
    for unit in within_budget(units(exposures).units, budget) {
        let members: Vec<&Exposure> = unit.iter().filter_map(|i| exposures.get(*i)).collect();
        let accounts: BTreeSet<&String> =
            members.iter().filter_map(|e| e.account.as_ref()).collect();
        for account in accounts {
            *by_account.entry(account.clone()).or_default() += 1;
        }
        k_min = members.iter().map(|e| e.withheld.len()).fold(k_min, usize::min);
    }
    Planned { units: by_account, k_min: if k_min == usize::MAX { 1 } else { k_min } }
}

struct Run<'a> {
    job: &'a ScoreJob<'a>,
    units: Vec<Option<String>>,
    table: ScoreTable,
    reasons: BTreeMap<String, usize>,
    end: ScoreEnd,
}

impl<'a> Run<'a> {
    fn new(job: &'a ScoreJob<'a>) -> Self {
        let table = ScoreTable {
            reference_names: job.others.iter().map(|o| o.name.clone()).collect(),
            ..ScoreTable::default()
        };
        let units = unit_names(job.exposures);
        Self { job, units, table, reasons: BTreeMap::new(), end: ScoreEnd::Finished }
    }

    /// Units to score, identical twins set aside, up to the budget.
    fn todo(&mut self) -> Vec<Vec<usize>> {
        let sorted = units(self.job.exposures);
        if !sorted.identical.is_empty() {
            self.reasons.insert(
                "all texts of the exposure are the same".to_owned(),
                sorted.identical.len(),
            );
        }
        within_budget(sorted.units, self.job.budget)
    }

    fn chunk(
        &mut self,
        chunk: &[usize],
        caches: &mut Caches,
        progress: &dyn Progress,
    ) -> Result<(), AuditError> {
        let asked: Vec<Asked<'_>> = chunk
            .iter()
            .filter_map(|i| self.job.exposures.get(*i).map(|e| (*i, e)))
            .map(|(index, exposure)| Asked::new(index, exposure, self.job.params.seed))
            .collect();
        let mut models = vec![("suspect".to_owned(), self.job.suspect)];
        models.extend(self.job.others.iter().map(|o| (format!("model {}", o.name), o.model)));
        let mut answers = Vec::with_capacity(models.len());
        for (role, model) in models {
            answers.push(self.ask(model, &role, &asked, caches, &Inner(progress))?);
        }
        for (at, one) in asked.iter().enumerate() {
            let by_model: Vec<&Answer> = answers.iter().filter_map(|a| a.get(at)).collect();
            if let Some(Answer::Lost(why)) = by_model.iter().find(|a| matches!(a, Answer::Lost(_)))
            {
                // Neither scored nor set aside: the next run asks again, for all texts.
                self.end = ScoreEnd::Partial(why.clone());
                return Ok(());
            }
            self.settle(one, &by_model);
        }
        Ok(())
    }

    /// What one model says of each exposure's texts.
    fn ask(
        &self,
        model: &dyn Model,
        role: &str,
        asked: &[Asked<'_>],
        caches: &mut Caches,
        progress: &dyn Progress,
    ) -> Result<Vec<Answer>, AuditError> {
        let sampling = SamplingParams {
            samples: self.job.context.samples,
            seed: self.job.params.seed,
            ..SamplingParams::default()
        };
        let exposures: Vec<&Exposure> = asked.iter().map(|one| one.exposure).collect();
        let answers = &mut caches.answers;
        let sampled = match self.job.context.score_kind {
            ScoreKind::Similarity => by_similarity(model, &exposures, &sampling, answers, progress),
            ScoreKind::ForcedChoice => {
                by_forced_choice(model, &exposures, &sampling, answers, progress)
            }
            ScoreKind::LogLikelihood | ScoreKind::Given => {
                let requests: Vec<ScoreRequest> = asked.iter().flat_map(Asked::requests).collect();
                let given = score_cached(model, &mut caches.scores, &requests, progress);
                return sorted_answers(asked, given, role);
            }
        };
        sampled.into_iter().map(|scores| from_sampling(scores, role)).collect()
    }

    fn settle(&mut self, asked: &Asked<'_>, by_model: &[&Answer]) {
        let mut columns = Vec::with_capacity(by_model.len());
        let mut n_tokens = None;
        for answer in by_model {
            match answer {
                Answer::Scores { scores, tokens } => {
                    n_tokens = n_tokens.or_else(|| tokens.clone());
                    columns.push(scores.clone());
                }
                Answer::Failed(why) | Answer::Lost(why) => {
                    let known = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(why);
                    let reason = if known { why.as_str() } else { "other failures" };
                    *self.reasons.entry(reason.to_owned()).or_default() += 1;
                    return;
                }
            }
        }
        let mut columns = columns.into_iter();
        let Some(suspect) = columns.next() else { return };
        self.table.rows.push(ScoreRow {
            id: asked.exposure.id.clone(),
            account: asked.exposure.account.clone(),
            coin: Some(asked.exposure.coin),
            unit: self.units.get(asked.index).cloned().flatten(),
            suspect,
            references: columns.collect(),
            n_tokens,
        });
    }

    /// Whether the declared rule stops here. Replays from the start: a unit whose rows are
    /// spread over chunks is then settled as the stored scores will settle it.
    fn evidence_suffices(&mut self) -> Result<bool, AuditError> {
        let params = self.job.params;
        if params.decide != Decide::E || params.stopping != Stopping::AtEvidence {
            return Ok(false);
        }
        let prepared = prepare(&self.table, self.job.context)?;
        if passes(&prepared, self.job.context, params)? {
            self.end = ScoreEnd::Evidence;
            return Ok(true);
        }
        Ok(false)
    }

    fn finish(self) -> ScoredExposures {
        let set_aside =
            self.reasons.into_iter().map(|(reason, count)| SetAside { reason, count }).collect();
        ScoredExposures { table: self.table, set_aside, end: self.end }
    }
}

fn passes(
    prepared: &Prepared,
    context: &AuditContext,
    params: &AuditParams,
) -> Result<bool, AuditError> {
    if context.unopened_leaves > 0 {
        // Their magnitude is the largest of all pairs, which is known only at the end.
        return Ok(false);
    }
    let questions = questions(prepared, context, params)?;
    let references = deciding_references(prepared);
    Ok(replay(prepared, &references, &[], &questions, params)?.stopped)
}

/// One exposure with the order in which its texts are asked.
struct Asked<'a> {
    index: usize,
    exposure: &'a Exposure,
    /// Text `order[j]` (0: released) is asked at place j.
    order: Vec<usize>,
}

impl<'a> Asked<'a> {
    /// The second coin: seeded by run and exposure, so that neither budget nor chunk moves it.
    fn new(index: usize, exposure: &'a Exposure, seed: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"stillwatch scoring order\0");
        hash.update(seed.to_le_bytes());
        hash.update(exposure.id.as_bytes());
        let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
        let mut order: Vec<usize> = (0..=exposure.withheld.len()).collect();
        order.shuffle(&mut rng);
        Self { index, exposure, order }
    }

    fn requests(&self) -> Vec<ScoreRequest> {
        self.order
            .iter()
            .filter_map(|text| match text.checked_sub(1) {
                None => Some(&self.exposure.released),
                Some(sibling) => self.exposure.withheld.get(sibling),
            })
            .map(|answer| ScoreRequest {
                messages: self.exposure.messages.clone(),
                answer: answer.clone(),
            })
            .collect()
    }
}

/// What one model said of one exposure's texts, released first.
enum Answer {
    Scores {
        scores: Vec<f64>,
        /// Not known where texts were compared, not scored.
        tokens: Option<Vec<f64>>,
    },
    /// These texts can't be scored by this model.
    Failed(String),
    /// The model can't be asked any more.
    Lost(String),
}

/// Gives each exposure its texts' results back, released first.
fn sorted_answers(
    asked: &[Asked<'_>],
    given: Vec<Result<Scored, ModelError>>,
    role: &str,
) -> Result<Vec<Answer>, AuditError> {
    let mut given = given.into_iter();
    asked
        .iter()
        .map(|one| {
            let mut texts: Vec<(usize, Result<Scored, ModelError>)> =
                one.order.iter().copied().zip(given.by_ref()).collect();
            texts.sort_by_key(|(text, _)| *text);
            let complete = texts.len() == one.order.len();
            let mut scores = Vec::new();
            let mut tokens = Vec::new();
            let mut failed = None;
            let mut lost = (!complete).then(|| format!("{role} gave too few answers"));
            for (_, result) in texts {
                match result {
                    Ok(scored) if scored.log_likelihood().is_finite() => {
                        scores.push(scored.log_likelihood());
                        tokens.push(scored.n_tokens() as f64);
                    }
                    Ok(_) => failed = Some(format!("{role}: a score is not finite")),
                    Err(ModelError::Request(why)) => failed = Some(format!("{role}: {why}")),
                    Err(error @ (ModelError::Lost(_) | ModelError::Budget(_))) => {
                        lost = Some(format!("{role}: {error}"));
                    }
                    Err(source) => {
                        return Err(AuditError::Model { role: role.to_owned(), source });
                    }
                }
            }
            Ok(match (lost, failed) {
                (Some(why), _) => Answer::Lost(why),
                (None, Some(why)) => Answer::Failed(why),
                (None, None) => Answer::Scores { scores, tokens: Some(tokens) },
            })
        })
        .collect()
}

fn from_sampling(scores: Result<Vec<f64>, ModelError>, role: &str) -> Result<Answer, AuditError> {
    Ok(match scores {
        Ok(scores) => Answer::Scores { scores, tokens: None },
        Err(ModelError::Request(why)) => Answer::Failed(format!("{role}: {why}")),
        Err(error @ (ModelError::Lost(_) | ModelError::Budget(_))) => {
            Answer::Lost(format!("{role}: {error}"))
        }
        Err(source) => return Err(AuditError::Model { role: role.to_owned(), source }),
    })
}

/// Passes notes on, but not the steps of each chunk.
struct Inner<'a>(&'a dyn Progress);

impl Progress for Inner<'_> {
    fn begin(&self, _step: &str, _total: u64) {}
    fn advance(&self, _n: u64) {}
    fn end(&self) {}
    fn note(&self, line: &str) {
        self.0.note(line);
    }
    fn stop_requested(&self) -> bool {
        self.0.stop_requested()
    }
}
