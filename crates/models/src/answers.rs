//! Sampled answers as they are kept: they cost money and an endpoint does not repeat them.

use crate::{
    Model, ModelError, ModelIdentity, SampleRequest, Sampled,
    cache::{Cache, Kept, ask_cached},
};
use serde::{Deserialize, Serialize};
use stillwatch_evidence::{Message, Progress};

/// Answers already known, and the file they are kept in.
pub type AnswerCache = Cache<Sampled>;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerLine {
    key: String,
    text: String,
    finish_reason: String,
}

/// What an answer depends on.
#[derive(Debug, Serialize)]
pub struct AnswerKey<'a> {
    version: u32,
    model_hash: &'a str,
    template_hash: &'a str,
    settings: &'a str,
    messages: &'a [Message],
    temperature: f64,
    top_p: f64,
    max_tokens: usize,
    seed: u64,
}

impl Kept for Sampled {
    type Request = SampleRequest;
    type Key<'a> = AnswerKey<'a>;
    type Line = AnswerLine;
    const WORDS: (&'static str, &'static str) = ("answer", "ask");
    /// An answer's body is limited to less than this.
    const LINE_BYTES_MAX: u64 = 64 << 20;

    fn key<'a>(identity: &'a ModelIdentity, request: &'a SampleRequest) -> AnswerKey<'a> {
        AnswerKey {
            version: 1,
            model_hash: &identity.model_hash,
            template_hash: &identity.template_hash,
            settings: &identity.settings,
            messages: &request.messages,
            temperature: request.params.temperature,
            top_p: request.params.top_p,
            max_tokens: request.params.max_tokens,
            seed: request.params.seed,
        }
    }

    fn to_line(&self, key: &str) -> AnswerLine {
        AnswerLine {
            key: key.to_owned(),
            text: self.text.clone(),
            finish_reason: self.finish_reason.clone(),
        }
    }

    fn from_line(line: AnswerLine) -> (String, Self) {
        (line.key, Self { text: line.text, finish_reason: line.finish_reason })
    }

    fn ask(model: &dyn Model, requests: &[SampleRequest]) -> Vec<Result<Self, ModelError>> {
        model.sample(requests)
    }
}

/// Samples `requests` in their order, asking the model only for what the cache doesn't hold;
/// equal requests are asked once. Progress advances by one per request.
///
/// After a lost endpoint, a spent budget or a cache that can't be written, the model is asked
/// nothing more; what was answered is kept and the other requests get that error.
pub fn sample_cached(
    model: &dyn Model,
    cache: &mut AnswerCache,
    requests: &[SampleRequest],
    progress: &dyn Progress,
) -> Vec<Result<Sampled, ModelError>> {
    ask_cached(model, cache, requests, progress)
}
