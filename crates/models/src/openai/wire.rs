//! The JSON that goes out and what is read from the JSON that comes back.
//!
//! Bodies of chat and legacy completions, and the three shapes in which servers give the
//! log-probabilities of given text. No network here.

use super::http::Unread;
use crate::{SampleParams, Sampled};
use serde_json::{Map, Value, json};
use stillwatch_evidence::Message;

/// Largest value that a log-probability may have by rounding, nats.
const ROUNDING_NATS: f64 = 1e-3;
/// vLLM writes minus infinity as -9999, because JSON has none.
const MINUS_INFINITY: f64 = -9999.0;

/// The prompt of a conversation for servers that take raw text: their chat template is not
/// known, so every message stands under its role, and the answer begins on a new line.
pub(super) fn plain_prompt(messages: &[Message]) -> String {
    let turns: String =
        messages.iter().flat_map(|m| [&m.role, ":\n", &m.content, "\n\n"]).collect();
    turns + "assistant:\n"
}

/// Where the next speaker would begin in [`plain_prompt`].
pub(super) const PLAIN_STOP: &str = "\n\nuser:";

/// Messages as JSON.
pub(super) fn chat_messages(messages: &[Message]) -> Vec<Value> {
    messages.iter().map(|m| json!({"role": m.role, "content": m.content})).collect()
}

/// Name of the parameter that limits the answer's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LengthField {
    /// Nearly everywhere.
    MaxTokens,
    /// Newer models of OpenAI refuse the other one.
    MaxCompletionTokens,
}

impl LengthField {
    fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// Body of a sampling request without its prompt.
pub(super) fn sampling(model: &str, params: &SampleParams, length: LengthField) -> Value {
    json!({
        "model": model,
        "temperature": params.temperature,
        "top_p": params.top_p,
        length.name(): params.max_tokens,
        "seed": params.seed,
        "stream": false,
    })
}

/// Reads a sampled answer, chat or legacy.
pub(super) fn sampled(answer: &Value) -> Result<Sampled, Unread> {
    let Some(choice) = answer.pointer("/choices/0").and_then(Value::as_object) else {
        return Err(Unread::Garbage("without choices".to_owned()));
    };
    let finish_reason =
        choice.get("finish_reason").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let text = choice.get("message").map_or_else(|| choice.get("text"), |m| m.get("content"));
    match text {
        Some(Value::String(text)) => Ok(Sampled { text: text.clone(), finish_reason }),
        Some(Value::Null) => Err(Unread::Request(format!(
            "the model gave no text (finish reason {finish_reason:?})"
        ))),
        _ => Err(Unread::Garbage("with a choice that holds no text".to_owned())),
    }
}

/// Tokens of given text as the server sees them, with their log-probabilities (nats).
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Given {
    /// Text of each token.
    pub(super) tokens: Vec<String>,
    /// `None` for the first token, which nothing precedes.
    pub(super) log_probs: Vec<Option<f64>>,
}

/// Reads vLLM's `prompt_logprobs` (of the choice, or of the chat answer), asked for with 0
/// alternatives: one entry per position. `None` if the server doesn't know it.
pub(super) fn prompt_log_probs(answer: &Value) -> Option<Given> {
    let mut given = Given::default();
    for position in prompt_positions(answer)? {
        let Some(entries) = position.as_object() else {
            // The first position; what the token was doesn't matter, nothing is scored there.
            given.tokens.push(String::new());
            given.log_probs.push(None);
            continue;
        };
        // Two entries would leave open which of them is the text's.
        let (1, Some(entry)) = (entries.len(), entries.values().next()) else {
            return None;
        };
        given.tokens.push(entry.get("decoded_token")?.as_str()?.to_owned());
        given.log_probs.push(Some(entry.get("logprob")?.as_f64()?));
    }
    Some(given)
}

/// Reads `prompt_logprobs` for known token ids: the entry of exactly that token at each position.
pub(super) fn prompt_log_probs_of(answer: &Value, ids: &[u64]) -> Option<Vec<Option<f64>>> {
    let positions = prompt_positions(answer)?;
    if positions.len() != ids.len() {
        return None;
    }
    let value = |(position, id): (&Value, &u64)| {
        let Some(entries) = position.as_object() else { return Some(None) };
        Some(Some(entries.get(&id.to_string())?.get("logprob")?.as_f64()?))
    };
    positions.iter().zip(ids).map(value).collect()
}

fn prompt_positions(answer: &Value) -> Option<&Vec<Value>> {
    ["/choices/0/prompt_logprobs", "/prompt_logprobs"]
        .iter()
        .find_map(|path| answer.pointer(path).and_then(Value::as_array))
}

/// Reads the legacy `logprobs` of an echoed prompt. `None` if there are none.
pub(super) fn echoed(answer: &Value) -> Option<Given> {
    let log_probs = answer.pointer("/choices/0/logprobs")?;
    let tokens = log_probs.get("tokens")?.as_array()?;
    let values = log_probs.get("token_logprobs")?.as_array()?;
    if tokens.len() != values.len() {
        return None;
    }
    Some(Given {
        tokens: tokens.iter().map(|t| t.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        log_probs: values.iter().map(Value::as_f64).collect(),
    })
}

/// The likeliest token at each position of an echoed prompt, where the server tells.
pub(super) fn favourites(answer: &Value) -> Vec<Option<String>> {
    let positions = answer.pointer("/choices/0/logprobs/top_logprobs").and_then(Value::as_array);
    let likeliest = |position: &Value| {
        let of = |entry: (&String, &Value)| Some((entry.0.clone(), entry.1.as_f64()?));
        let entries = position.as_object()?.iter().filter_map(of);
        entries.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(token, _)| token)
    };
    positions.into_iter().flatten().map(likeliest).collect()
}

/// Reads the ids of vLLM's `/tokenize`. `None` if the server doesn't know it.
pub(super) fn token_ids(answer: &Value) -> Option<Vec<u64>> {
    let ids: Option<Vec<u64>> =
        answer.get("tokens")?.as_array()?.iter().map(Value::as_u64).collect();
    ids.filter(|ids| !ids.is_empty())
}

/// Checks the log-probabilities of an answer's tokens: all there, finite, none above 0.
pub(super) fn checked(log_probs: &[Option<f64>]) -> Result<Vec<f64>, String> {
    if log_probs.is_empty() {
        return Err("the answer has no tokens".to_owned());
    }
    let check = |(i, value): (usize, &Option<f64>)| match value {
        Some(v) if *v <= MINUS_INFINITY => {
            Err(format!("answer token {i} has probability 0 (log-probability {v})"))
        }
        Some(v) if v.is_finite() && *v <= ROUNDING_NATS => Ok(*v),
        Some(v) => Err(format!("answer token {i} has the impossible log-probability {v}")),
        None => Err(format!("answer token {i} has no log-probability")),
    };
    log_probs.iter().enumerate().map(check).collect()
}

/// A JSON object with the entries of both; the right one's win.
pub(super) fn merged(left: Value, right: Value) -> Value {
    let object = |value| match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let mut map = object(left);
    map.extend(object(right));
    Value::Object(map)
}
