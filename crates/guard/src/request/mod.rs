//! What a request asks: one view of all request shapes. Unknown fields pass untouched, because
//! the bytes that go upstream are the client's own.

use serde_json::{Map, Value};
use stillwatch_evidence::Message;

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
    /// The conversation as text: parts that aren't text are left out.
    pub messages: Vec<Message>,
    /// Everything else of the body, but for `messages`, `input`, `prompt`, `system`, `model`:
    /// sampling parameters and what isn't understood.
    pub params: Map<String, Value>,
    /// Whether a part of the conversation isn't text (images, files, tool results).
    pub has_other_parts: bool,
}

/// Why a body isn't a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotARequest(pub String);

impl RequestView {
    /// Reads a body.
    ///
    /// # Errors
    /// It isn't JSON of the expected shape; the message names the field.
    pub fn parse(api: Api, body: &[u8]) -> Result<Self, NotARequest> {
        let mut params: Map<String, Value> =
            serde_json::from_slice(body).map_err(|e| NotARequest(format!("the body: {e}")))?;
        let model = match params.remove("model") {
            Some(Value::String(model)) => model,
            None => String::new(),
            Some(_) => return Err(NotARequest("model: expected a string".to_owned())),
        };
        let stream = params.get("stream").and_then(Value::as_bool).unwrap_or(false);
        Ok(Self { api, model, stream, messages: Vec::new(), params, has_other_parts: false })
    }
}
