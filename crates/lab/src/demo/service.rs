//! The teacher's service: a dozen accounts ask, a coin sends one of two answers.

use super::exposing::{Ask, commit, expose};
use super::{DemoParams, Exposed, Files, Part, Stage, account};
use crate::LabError;
use rand::{RngCore as _, seq::SliceRandom as _};
use std::path::Path;
use stillwatch_evidence::ledger::{Ledger, Sha256Hash};
use stillwatch_evidence::{Message, Progress};
use stillwatch_models::{Model, ModelSpec, OpenOptions, SampleParams, SampleRequest, open};

/// A request with what was answered.
pub(super) struct Answer {
    pub(super) messages: Vec<Message>,
    pub(super) text: String,
}

/// What went through the service, and who took it.
pub(super) struct Traffic {
    pub(super) exposed: Exposed,
    /// Accounts whose traffic became training data, sorted.
    pub(super) harvesters: Vec<String>,
    /// What they were sent.
    pub(super) harvested: Vec<Answer>,
    /// What the innocent teacher answered to the same requests.
    pub(super) innocent: Vec<Answer>,
}

/// Requests sampled between two looks at the progress bar.
const CHUNK: usize = 64;

/// Opens a model folder of this run.
pub(super) fn open_folder(folder: &Path) -> Result<Box<dyn Model>, LabError> {
    Ok(open(&ModelSpec::Hf(folder.to_owned()), &OpenOptions::default())?)
}

/// The hash that pins down a model of this run, as audits see it.
pub(super) fn weights_hash(folder: &Path) -> Result<Sha256Hash, LabError> {
    let model = open_folder(folder)?;
    let hash = &model.identity().model_hash;
    hash.parse().map_err(|e| LabError::Format {
        path: folder.to_owned(),
        reason: format!("hash of the weights {hash:?}: {e}"),
    })
}

/// Answers every request twice, and lets the ledger's coins choose which answer is sent.
pub(super) fn serve(
    params: &DemoParams,
    stage: &Stage,
    files: &Files,
    ledger: &mut Ledger,
    progress: &dyn Progress,
) -> Result<Traffic, LabError> {
    let sizes = &params.sizes;
    let mut accounts: Vec<usize> = (0..sizes.n_accounts).collect();
    accounts.shuffle(&mut Part::Student.rng(params.seed));
    let mut harvesters: Vec<String> =
        accounts.into_iter().take(sizes.n_harvesters).map(account).collect();
    harvesters.sort();

    let asks = &stage.requests;
    let openings = commit(ledger, asks, 2, "teacher")?;
    let teacher = open_folder(&files.teacher)?;
    let twice: Vec<&Ask> = asks.iter().flat_map(|ask| [ask, ask]).collect();
    let answers =
        sample(teacher.as_ref(), "the teacher answers", &twice, (params, Part::Answers), progress)?;
    let texts: Vec<Vec<String>> = answers.chunks(2).map(<[String]>::to_vec).collect();
    let (exposures, head) = expose(ledger, (asks, &openings), &texts, "teacher", params.now)?;

    let harvests = |account: Option<&String>| account.is_some_and(|a| harvesters.contains(a));
    let harvested = exposures
        .iter()
        .filter(|e| harvests(e.account.as_ref()))
        .map(|e| Answer { messages: e.messages.clone(), text: e.released.clone() })
        .collect();
    let theirs: Vec<&Ask> = asks.iter().filter(|ask| harvests(ask.account.as_ref())).collect();
    let innocent_teacher = open_folder(&files.innocent_teacher)?;
    let texts = sample(
        innocent_teacher.as_ref(),
        "the innocent teacher answers",
        &theirs,
        (params, Part::InnocentAnswers),
        progress,
    )?;
    let innocent = theirs
        .iter()
        .zip(texts)
        .map(|(ask, text)| Answer { messages: ask.messages.clone(), text })
        .collect();
    Ok(Traffic { exposed: Exposed { exposures, head }, harvesters, harvested, innocent })
}

/// One answer to each ask at temperature 1, each with a seed of its own.
fn sample(
    model: &dyn Model,
    step: &str,
    asks: &[&Ask],
    (params, part): (&DemoParams, Part),
    progress: &dyn Progress,
) -> Result<Vec<String>, LabError> {
    let mut rng = part.rng(params.seed);
    let requests: Vec<SampleRequest> = asks
        .iter()
        .map(|ask| SampleRequest {
            messages: ask.messages.clone(),
            params: SampleParams {
                temperature: 1.0,
                top_p: 1.0,
                max_tokens: params.sizes.answer_tokens,
                seed: rng.next_u64(),
            },
        })
        .collect();
    progress.begin(step, requests.len() as u64);
    let mut texts = Vec::with_capacity(requests.len());
    for chunk in requests.chunks(CHUNK) {
        for sampled in model.sample(chunk) {
            texts.push(sampled?.text);
        }
        progress.advance(chunk.len() as u64);
    }
    progress.end();
    Ok(texts)
}
