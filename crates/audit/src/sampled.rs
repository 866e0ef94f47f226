//! A table of scores from models that only answer.
//!
//! [`sampled_table`] asks the suspect and the other models alike, drops an exposure for all of
//! them when one of its answers failed for any, says why, and keeps what was answered when an
//! endpoint is lost. The tests on the table are those of any other scores.

use crate::sampling::{SamplingParams, by_forced_choice, by_similarity};
use std::collections::BTreeMap;
use stillwatch_evidence::{Exposure, Progress, ScoreRow, ScoreTable, is_identical, unit_names};
use stillwatch_models::{AnswerCache, Model, ModelError};

/// Exposures asked at a time: an interrupt loses no more than these.
const CHUNK_EXPOSURES: usize = 32;

/// How texts get their scores from answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamplingKind {
    /// Mean similarity to answers to the prompt.
    Similarity,
    /// Share of "I wrote this one"; shows the texts to the model.
    ForcedChoice,
}

impl SamplingKind {
    /// Scores of each exposure's texts by one model, released first.
    pub fn scores(
        self,
        model: &dyn Model,
        exposures: &[&Exposure],
        params: &SamplingParams,
        cache: &mut AnswerCache,
        progress: &dyn Progress,
    ) -> Vec<Result<Vec<f64>, ModelError>> {
        match self {
            Self::Similarity => by_similarity(model, exposures, params, cache, progress),
            Self::ForcedChoice => by_forced_choice(model, exposures, params, cache, progress),
        }
    }
}

/// What asking gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampledTable {
    /// One row for each exposure that every model answered, without lengths in tokens.
    pub table: ScoreTable,
    /// The others, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// Why it ended before its end, if it did; a second run goes on from the cache.
    pub partial: Option<String>,
}

/// Asks all models about all exposures. `others` are references and placebos by the name of
/// their columns.
///
/// # Errors
/// A model that can't be asked at all, with its hint.
pub fn sampled_table(
    exposures: &[Exposure],
    suspect: &dyn Model,
    others: &[(String, &dyn Model)],
    kind: SamplingKind,
    params: &SamplingParams,
    cache: &mut AnswerCache,
    progress: &dyn Progress,
) -> Result<SampledTable, ModelError> {
    let units = unit_names(exposures);
    let names = others.iter().map(|(name, _)| name.clone()).collect();
    let mut out = SampledTable::default();
    out.table.reference_names = names;
    let mut todo = Vec::new();
    for (exposure, unit) in exposures.iter().zip(units) {
        if is_identical(exposure) {
            out.drop("all texts of the exposure are the same");
        } else {
            todo.push((exposure, unit));
        }
    }
    let models: Vec<(&str, &dyn Model)> = std::iter::once(("suspect", suspect))
        .chain(others.iter().map(|(name, model)| (name.as_str(), *model)))
        .collect();
    progress.begin("asking for answers", todo.len() as u64);
    for chunk in todo.chunks(CHUNK_EXPOSURES) {
        if progress.stop_requested() {
            out.partial = Some("interrupted".to_owned());
            break;
        }
        let asked: Vec<&Exposure> = chunk.iter().map(|(exposure, _)| *exposure).collect();
        let mut columns = Vec::with_capacity(models.len());
        for (name, model) in &models {
            let scores = kind.scores(*model, &asked, params, cache, &Quiet(progress));
            columns.push((*name, scores.into_iter()));
        }
        for (exposure, unit) in chunk {
            let given: Vec<_> = columns
                .iter_mut()
                .map(|(name, scores)| (*name, scores.next().unwrap_or_else(|| missing(name))))
                .collect();
            out.settle(exposure, unit.as_ref(), given)?;
        }
        progress.advance(chunk.len() as u64);
        if out.partial.is_some() {
            break;
        }
    }
    progress.end();
    Ok(out)
}

fn missing(name: &str) -> Result<Vec<f64>, ModelError> {
    Err(ModelError::Lost(format!("{name} gave too few answers")))
}

impl SampledTable {
    fn drop(&mut self, reason: &str) {
        *self.dropped.entry(reason.to_owned()).or_default() += 1;
    }

    /// Keeps an exposure that all models answered; drops it for all if one can't.
    fn settle(
        &mut self,
        exposure: &Exposure,
        unit: Option<&String>,
        given: Vec<(&str, Result<Vec<f64>, ModelError>)>,
    ) -> Result<(), ModelError> {
        let mut columns = Vec::with_capacity(given.len());
        let mut failed = None;
        for (name, scores) in given {
            match scores {
                Ok(scores) => columns.push(scores),
                Err(ModelError::Request(why)) => {
                    failed.get_or_insert_with(|| format!("{name}: {why}"));
                }
                Err(error @ (ModelError::Lost(_) | ModelError::Budget(_))) => {
                    // Neither scored nor dropped: the next run asks again.
                    self.partial.get_or_insert_with(|| format!("{name}: {error}"));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(reason) = failed {
            self.drop(&reason);
            return Ok(());
        }
        let mut columns = columns.into_iter();
        self.table.rows.push(ScoreRow {
            id: exposure.id.clone(),
            account: exposure.account.clone(),
            coin: Some(exposure.coin),
            unit: unit.cloned(),
            suspect: columns.next().unwrap_or_default(),
            references: columns.collect(),
            n_tokens: None,
        });
        Ok(())
    }
}

/// Passes notes on, but not the steps of each chunk.
struct Quiet<'a>(&'a dyn Progress);

impl Progress for Quiet<'_> {
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
