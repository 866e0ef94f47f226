//! What the fields of a request say about how its answer is sampled.
//!
//! Read from the request alone, never from an answer: whether a request may be exposed must be
//! settled before its coin is thrown.

use super::{Api, RequestView};
use serde_json::Value;

/// Below this temperature, or this share of the probability (`top_p`), answers repeat themselves
/// as good as always: twins would be identical.
pub const NEARLY_GREEDY: f64 = 0.01;

/// How the answers to a request come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Two answers to it would be the same.
    Deterministic,
    /// Two answers to it are two draws.
    Random,
}

impl RequestView {
    fn number(&self, name: &str) -> Option<f64> {
        self.params.get(name).and_then(Value::as_f64)
    }

    fn count(&self, name: &str) -> Option<u64> {
        self.params.get(name).and_then(Value::as_u64)
    }

    fn is_given(&self, name: &str) -> bool {
        match self.params.get(name) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Bool(true) | Value::Number(_)) => true,
        }
    }

    /// Whether its answer is fixed by the request: a temperature of 0, a fixed `seed`, `top_k` 1,
    /// `top_p` 0, a beam search; or none of these where the model is greedy unless told otherwise.
    pub fn sampling(&self, is_greedy_by_default: bool) -> Sampling {
        let nearly_zero = |name| self.number(name).is_some_and(|value| value < NEARLY_GREEDY);
        let fixed = nearly_zero("temperature")
            || nearly_zero("top_p")
            || self.count("top_k") == Some(1)
            || self.is_given("seed")
            || self.is_given("random_seed")
            || self.is_given("use_beam_search")
            || self.params.get("do_sample") == Some(&Value::Bool(false));
        let says_random = self.number("temperature").is_some();
        if fixed || (is_greedy_by_default && !says_random) {
            Sampling::Deterministic
        } else {
            Sampling::Random
        }
    }

    /// How many answers are asked for.
    pub fn n_answers(&self) -> u64 {
        let n = self.count("n").unwrap_or(1).max(self.count("best_of").unwrap_or(1)).max(1);
        n.saturating_mul(self.n_prompts.max(1) as u64)
    }

    /// Most tokens of each answer, where the request says so.
    pub fn max_tokens(&self) -> Option<u64> {
        let names = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
        names.into_iter().find_map(|name| self.count(name))
    }

    /// Whether it continues something that the upstream keeps (a stored response or
    /// conversation), so that the body doesn't show the whole conversation.
    pub fn continues_stored(&self) -> bool {
        self.api == Api::Responses
            && ["previous_response_id", "conversation", "prompt"]
                .into_iter()
                .any(|name| self.is_given(name))
    }

    /// Whether one plain text is all that it asks for: no tools, no second answer, no other kinds
    /// of output, nothing in the background, no prompt echoed or predicted.
    pub fn asks_for_one_text(&self) -> bool {
        const OTHERWISE: [&str; 13] = [
            "tools",
            "functions",
            "mcp_servers",
            "web_search_options",
            "audio",
            "background",
            "prediction",
            "echo",
            "suffix",
            "images",
            "container",
            "documents",
            "data_sources",
        ];
        let text_alone = match self.params.get("modalities") {
            Some(Value::Array(kinds)) => kinds.iter().all(|kind| kind == "text"),
            _ => true,
        };
        matches!(self.api, Api::Chat | Api::Completions | Api::Responses | Api::Messages)
            && self.n_answers() == 1
            && !self.has_other_parts
            && text_alone
            && !OTHERWISE.into_iter().any(|name| self.is_given(name))
    }
}
