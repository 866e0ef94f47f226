//! Models in a Hugging Face folder: `config.json`, `tokenizer.json`, `*.safetensors`.
//!
//! Weights are f32 on the CPU; scores are the same to 1e-4 for any batch and any number of
//! threads, because every answer takes its own forward passes, split at the same places.
//! The decoder itself is in [`crate::decoder`]; endpoints and GGUF files are elsewhere.

mod folder;
mod sample;
mod score;
mod weights;

use crate::{
    AccessLevel, ChatTemplate, Model, ModelError, ModelIdentity, OpenOptions, SampleRequest,
    Sampled, ScoreRequest, Scored, decoder::Decoder,
};
use folder::Folder;
use rayon::ThreadPool;
use std::{fmt, path::Path};
use stillwatch_evidence::Message;
use tokenizers::Tokenizer;

/// Positions that one forward pass takes: bounds memory at long contexts, and is always
/// counted from the start of prompt and answer, so that it never depends on the batch.
const CHUNK: usize = 256;

/// A model from a folder, ready to score and sample.
pub struct HfModel {
    identity: ModelIdentity,
    decoder: Decoder,
    /// Reads special tokens in the rendered prompt.
    tokenizer: Tokenizer,
    /// Reads the same characters in an answer as plain text.
    answer_tokenizer: Tokenizer,
    template: ChatTemplate,
    /// Tokens that end an answer.
    stop: Vec<u32>,
    /// What precedes the answer when the prompt is empty.
    first: Option<u32>,
    /// Longest sequence, tokens.
    context: usize,
    pool: ThreadPool,
}

impl fmt::Debug for HfModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HfModel").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl HfModel {
    /// Reads and checks the whole folder.
    ///
    /// # Errors
    /// [`ModelError::Unusable`] names the file and field or tensor and says what to do.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, ModelError> {
        let folder = Folder::read(path)?;
        let decoder = Decoder::from_tensors(&folder.config, &folder.tensors)
            .map_err(|error| unusable(path, &error.to_string(), "check config.json"))?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads)
            .thread_name(|i| format!("stillwatch-hf-{i}"))
            .build()
            .map_err(|error| unusable(path, &error.to_string(), "free some resources"))?;
        let mut answer_tokenizer = folder.tokenizer.clone();
        answer_tokenizer.set_encode_special_tokens(true);
        Ok(Self {
            identity: ModelIdentity {
                spec: format!("hf:{}", path.display()),
                model_hash: folder.model_hash,
                template_hash: folder.template_hash,
                settings: format!(
                    "candle 0.11, f32, {CHUNK} positions a pass, split at the answer"
                ),
            },
            context: folder.config.max_position_embeddings.min(options.context_max.max(2)),
            first: folder.first,
            stop: folder.stop,
            template: folder.template,
            tokenizer: folder.tokenizer,
            answer_tokenizer,
            decoder,
            pool,
        })
    }

    /// The decoder inside.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Tokens of the rendered prompt; at least one.
    fn prompt_tokens(&self, messages: &[Message]) -> Result<Vec<u32>, ModelError> {
        let text =
            self.template.render(messages).map_err(|e| ModelError::Request(e.to_string()))?;
        // Templates write their own beginning-of-sequence; without one the tokeniser does.
        let encoding = self
            .tokenizer
            .encode(text, self.template.is_plain())
            .map_err(|e| ModelError::Request(format!("can't tokenise the prompt: {e}")))?;
        let mut tokens = encoding.get_ids().to_vec();
        // ... but nothing may end the sequence before the answer.
        let added = encoding.get_special_tokens_mask();
        let begins = added.iter().take_while(|&&a| a == 1).count();
        let ends = added.iter().rev().take_while(|&&a| a == 1).count();
        if self.template.is_plain() && ends > 0 && begins < tokens.len() {
            tokens.truncate(tokens.len() - ends);
        }
        if tokens.is_empty() {
            let first = self.first.ok_or_else(|| {
                let text = "the prompt is empty and the model has no beginning-of-sequence token";
                ModelError::Request(text.to_owned())
            })?;
            tokens.push(first);
        }
        Ok(tokens)
    }
}

impl Model for HfModel {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn access(&self) -> AccessLevel {
        AccessLevel::Weights
    }

    fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>> {
        self.score_all(requests)
    }

    fn sample(&self, requests: &[SampleRequest]) -> Vec<Result<Sampled, ModelError>> {
        self.sample_all(requests)
    }
}

/// The folder or one of its files can't be used.
fn unusable(path: &Path, what: &str, hint: &str) -> ModelError {
    ModelError::Unusable { message: format!("{}: {what}", path.display()), hint: hint.to_owned() }
}

/// Computation failed in a way that concerns this text only.
fn failed(error: &candle_core::Error) -> ModelError {
    let text = error.to_string();
    ModelError::Request(text.lines().next().unwrap_or_default().to_owned())
}
