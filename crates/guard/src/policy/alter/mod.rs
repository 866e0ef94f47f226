//! Takes hidden reasoning and log-probabilities out of answers, and nothing else.
//!
//! The final answer's text is never altered, bytes that hold neither reasoning nor
//! log-probabilities pass as they came, and a stream comes out the same however it was cut. What
//! isn't JSON of a known shape passes untouched: a withheld trace is worth less than an answer
//! that arrives. Reasoning that a model writes into the answer's own text (`<think>…`) is part of
//! that text and stays.
//!
//! The upstream must be asked for an answer without content coding (take `accept-encoding` out of
//! the request), and an altered answer has another length.

mod anthropic;
mod chat;
mod model;
mod responses;
mod shorten;
mod span;
mod sse;

use super::Actions;
use crate::request::Api;
use bytes::Bytes;

pub use model::with_model;
pub use shorten::SHORTENED_MARK;
pub use sse::{EVENT_BYTES_MAX, SseAlterer};

/// What becomes of reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// It is taken out.
    Strip,
    /// Its first sentences stay, the rest is taken out.
    Shorten,
}

/// How answers to one request are altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alteration {
    api: Api,
    reasoning: Reasoning,
}

/// What becomes of one event or body.
#[derive(Debug, PartialEq, Eq)]
enum Edited {
    /// It holds nothing that goes.
    Same,
    /// It is this now.
    Changed(Vec<u8>),
    /// All of it goes.
    Dropped,
}

impl Edited {
    fn from_edits(edits: span::Edits, text: &[u8]) -> Self {
        if edits.is_empty() { Self::Same } else { Self::Changed(edits.apply(text)) }
    }
}

impl Alteration {
    /// What the actions ask for; `None` where answers stay as they are. Stripping, the more
    /// thorough of the two, comes before shortening.
    pub fn new(api: Api, actions: &Actions) -> Option<Self> {
        let reasoning = match (actions.strip_reasoning, actions.shorten_reasoning) {
            (true, _) => Reasoning::Strip,
            (false, true) => Reasoning::Shorten,
            (false, false) => return None,
        };
        match api {
            Api::Chat | Api::Completions | Api::Responses | Api::Messages => {
                Some(Self { api, reasoning })
            }
            Api::Embeddings | Api::Models => None,
        }
    }

    /// A whole JSON answer, altered.
    pub fn alter_json(self, body: &Bytes) -> Bytes {
        let edited = match self.api {
            Api::Chat | Api::Completions => chat::Chat::new(self.reasoning).edit(body),
            Api::Responses => responses::Responses::new(self.reasoning).edit(body),
            Api::Messages => anthropic::Messages::new(self.reasoning).edit(body),
            Api::Embeddings | Api::Models => Edited::Same,
        };
        match edited {
            Edited::Changed(new) => Bytes::from(new),
            Edited::Same | Edited::Dropped => body.clone(),
        }
    }

    /// For an answer that comes as server-sent events.
    pub fn stream(self) -> SseAlterer {
        SseAlterer::new(self)
    }
}
