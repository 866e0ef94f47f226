//! The trait of everything that generates or scores text, by access level.

use std::fmt;
use stillwatch_evidence::Message;

/// What a model lets us do, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessLevel {
    /// It answers; nothing more.
    Sampling,
    /// It also scores given text.
    Logprobs,
    /// Its weights are at hand.
    Weights,
}

impl fmt::Display for AccessLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sampling => "sampling",
            Self::Logprobs => "logprobs",
            Self::Weights => "weights",
        })
    }
}

/// What pins a model down: the string that named it and hashes of what decides its scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The model string as given.
    pub spec: String,
    /// SHA-256 (hexadecimal) of the weights, or of URL and model name for an endpoint.
    pub model_hash: String,
    /// SHA-256 of the chat template (and tokeniser, where it is a file of its own).
    pub template_hash: String,
    /// Settings that can change a score's bits (back-end, batch shape, threads), canonical text.
    pub settings: String,
}

/// Asks for the log-likelihood of one answer after one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRequest {
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The answer that is scored: its tokens only, tokenised apart from the rendered prompt,
    /// no end-of-turn token, never truncated.
    pub answer: String,
}

/// Log-likelihood of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Natural-log probability of each answer token, nats; finite.
    pub token_log_likelihoods: Vec<f64>,
}

impl Scored {
    /// Sum over the answer's tokens, nats.
    pub fn log_likelihood(&self) -> f64 {
        self.token_log_likelihoods.iter().sum()
    }

    /// Number of answer tokens.
    pub fn n_tokens(&self) -> usize {
        self.token_log_likelihoods.len()
    }
}

/// How to sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleParams {
    /// Softmax temperature; 0 is greedy.
    pub temperature: f64,
    /// Nucleus mass.
    pub top_p: f64,
    /// Longest answer, tokens.
    pub max_tokens: usize,
    /// Seed of this answer.
    pub seed: u64,
}

/// Asks for one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRequest {
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// How to sample.
    pub params: SampleParams,
}

/// One sampled answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// The text, without end-of-turn markers.
    pub text: String,
    /// `stop`, `length`, or what the server said.
    pub finish_reason: String,
}

/// Why a model could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The model can't do what was asked.
    #[error("model {model} offers {access} access only, but {wanted} is needed")]
    Access {
        /// Model string.
        model: String,
        /// What it offers.
        access: AccessLevel,
        /// What was needed.
        wanted: AccessLevel,
    },
    /// This one text could not be handled (empty answer, too long, not finite); others may.
    #[error("{0}")]
    Request(String),
    /// The file, folder or endpoint can't be used at all.
    #[error("{message}")]
    Unusable {
        /// What was wrong, naming the file, field or URL.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The endpoint was lost after retries; what was scored so far is kept.
    #[error("endpoint lost: {0}")]
    Lost(String),
    /// A limit on requests, tokens or money was reached.
    #[error("budget spent: {0}")]
    Budget(String),
    /// Scores can't be kept (disk full, no permission); nothing more is asked of the model.
    #[error("{0}")]
    Store(String),
}

/// Anything that generates or scores text. Results come in the order of the requests.
pub trait Model: Send + Sync {
    /// What pins it down.
    fn identity(&self) -> &ModelIdentity;

    /// What it lets us do.
    fn access(&self) -> AccessLevel;

    /// Scores a batch of answers. Item `i` of the result belongs to item `i` of `requests`.
    fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>>;

    /// Samples a batch of answers.
    fn sample(&self, requests: &[SampleRequest]) -> Vec<Result<Sampled, ModelError>>;
}
