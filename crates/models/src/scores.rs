//! Scores as they are kept: tokens' log-likelihoods by the hash of model, settings and texts.

use crate::{
    Model, ModelError, ModelIdentity, ScoreRequest, Scored,
    cache::{Cache, Kept, ask_cached},
};
use serde::{Deserialize, Serialize};
use stillwatch_evidence::{Message, Progress};

/// Scores already known, and the file they are kept in.
pub type ScoreCache = Cache<Scored>;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreLine {
    key: String,
    token_log_likelihoods: Vec<f64>,
}

/// What a score depends on.
#[derive(Debug, Serialize)]
pub struct ScoreKey<'a> {
    version: u32,
    model_hash: &'a str,
    template_hash: &'a str,
    settings: &'a str,
    messages: &'a [Message],
    text: &'a str,
}

impl Kept for Scored {
    type Request = ScoreRequest;
    type Key<'a> = ScoreKey<'a>;
    type Line = ScoreLine;
    const WORDS: (&'static str, &'static str) = ("score", "score");
    /// 1,000,000 tokens at 24 characters.
    const LINE_BYTES_MAX: u64 = 24_000_000;

    fn key<'a>(identity: &'a ModelIdentity, request: &'a ScoreRequest) -> ScoreKey<'a> {
        ScoreKey {
            version: 1,
            model_hash: &identity.model_hash,
            template_hash: &identity.template_hash,
            settings: &identity.settings,
            messages: &request.messages,
            text: &request.answer,
        }
    }

    fn to_line(&self, key: &str) -> ScoreLine {
        let token_log_likelihoods = self.token_log_likelihoods.clone();
        ScoreLine { key: key.to_owned(), token_log_likelihoods }
    }

    fn from_line(line: ScoreLine) -> (String, Self) {
        (line.key, Self { token_log_likelihoods: line.token_log_likelihoods })
    }

    fn ask(model: &dyn Model, requests: &[ScoreRequest]) -> Vec<Result<Self, ModelError>> {
        model.score(requests)
    }
}

/// Scores `requests` in their order, asking the model only for what the cache doesn't hold;
/// equal requests are asked once. Progress advances by one per request.
///
/// After a lost endpoint, a spent budget or a cache that can't be written, the model is asked
/// nothing more; what was scored is kept and the other requests get that error.
pub fn score_cached(
    model: &dyn Model,
    cache: &mut ScoreCache,
    requests: &[ScoreRequest],
    progress: &dyn Progress,
) -> Vec<Result<Scored, ModelError>> {
    ask_cached(model, cache, requests, progress)
}
