//! What a request asks: one view of all request shapes. Unknown fields pass untouched, because
//! the bytes that go upstream are the client's own.
//!
//! A body is read once: the conversation goes straight into [`Message`]s, everything else into a
//! bounded map of parameters. A field that is given twice is refused, because two readers could
//! differ about which one counts. What the fields mean for sampling is in [`sampling`].

mod body;
mod content;
mod params;
mod reading;
pub mod sampling;

use crate::limits::Cost;
use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value};
use stillwatch_evidence::Message;

pub use params::PARAM_VALUES_MAX;
pub use sampling::Sampling;

/// Bytes of text per token, a rule of thumb for estimates before the upstream says how many.
pub const BYTES_PER_TOKEN: u64 = 4;

/// The end points that are understood. Others are refused with 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `GET /v1/models`, `GET /v1/models/{id}`.
    Models,
    /// `POST /v1/messages` (Anthropic).
    Messages,
}

/// What a request asks, as far as the guard looks at it.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestView {
    /// The shape.
    pub api: Api,
    /// Model asked for; empty where none is named.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The conversation as text: parts that aren't text are left out. Instructions that stand
    /// apart (`system`, `instructions`) come first; `developer` is called `system`.
    pub messages: Vec<Message>,
    /// Everything else of the body, but for `messages`, `input`, `prompt`, `system`,
    /// `instructions`, `model`: sampling parameters and what isn't understood.
    pub params: Map<String, Value>,
    /// Whether a part of the conversation isn't text (images, files, tool calls and results).
    pub has_other_parts: bool,
    /// Prompts that are answered apart: more than one only for lists of prompts or inputs.
    pub n_prompts: usize,
    /// Tokens of the prompt that came as numbers instead of text.
    pub prompt_token_ids: u64,
}

/// Why a body isn't a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotARequest(pub String);

impl RequestView {
    /// Reads a body. That of [`Api::Models`] isn't looked at.
    ///
    /// # Errors
    /// It isn't JSON of the expected shape; the message names the field.
    pub fn parse(api: Api, body: &[u8]) -> Result<Self, NotARequest> {
        if api == Api::Models {
            return Ok(Self::empty(api));
        }
        let reading = reading::Reading::new();
        let mut json = serde_json::Deserializer::from_slice(body);
        let seed = body::Body { api, reading: &reading };
        seed.deserialize(&mut json)
            .and_then(|view| json.end().map(|()| view))
            .map_err(|error| NotARequest(reading.explain(&error.to_string())))
    }

    /// A request that asks nothing.
    pub(crate) fn empty(api: Api) -> Self {
        Self {
            api,
            model: String::new(),
            stream: false,
            messages: Vec::new(),
            params: Map::new(),
            has_other_parts: false,
            n_prompts: 1,
            prompt_token_ids: 0,
        }
    }

    /// Bytes of text in the conversation.
    pub fn prompt_bytes(&self) -> usize {
        self.messages.iter().map(|message| message.content.len()).sum()
    }

    /// What it may cost: the prompt by its length, the answers by what the request allows, or by
    /// `answer_tokens` where it doesn't say.
    pub fn estimate(&self, answer_tokens: u64) -> Cost {
        let text = (self.prompt_bytes() as u64).div_ceil(BYTES_PER_TOKEN);
        let completion_tokens = match self.api {
            Api::Embeddings | Api::Models => 0,
            _ => {
                let each = self.max_tokens().unwrap_or(answer_tokens);
                each.saturating_mul(self.n_answers())
            }
        };
        Cost { prompt_tokens: text.saturating_add(self.prompt_token_ids), completion_tokens }
    }
}
