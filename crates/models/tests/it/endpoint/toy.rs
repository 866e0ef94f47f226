//! A toy server that scores given text in the shapes of vLLM and of `echo`.
//!
//! Its tokeniser cuts words with the blank before them, newlines alone, and characters beyond
//! ASCII into pieces of two bytes, shown as U+FFFD; its law is a hash of a token and the one
//! before. The expected scores are computed from the same law without any HTTP.
#![expect(clippy::expect_used, reason = "helpers of tests")]
#![expect(clippy::struct_excessive_bools, reason = "what servers know is independent")]

use super::mock::{Hit, Reply};
use serde_json::{Map, Value, json};

/// Which ways to score a toy server knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Features {
    pub(crate) tokenize: bool,
    pub(crate) chat: bool,
    pub(crate) prompt_logprobs: bool,
    pub(crate) echo: bool,
    /// Echo refuses to generate nothing.
    pub(crate) echo_generates: bool,
    /// Gives each echoed token the distribution of the next, as llama-cpp-python does.
    pub(crate) echo_is_out_of_step: bool,
    /// Takes `echo` and ignores it, as llama-server does.
    pub(crate) ignores_echo: bool,
    /// Drops blanks of tokens that are shown alone, as decoders of SentencePiece do.
    pub(crate) strips_blanks: bool,
}

pub(crate) type Token = Vec<u8>;

/// Bytes of the longest token: an id holds them behind a leading one.
const LONGEST_TOKEN: usize = 7;

/// Cuts text into tokens.
pub(crate) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for c in text.chars() {
        let bytes = c.to_string().into_bytes();
        if !c.is_ascii() {
            tokens.extend(bytes.chunks(2).map(<[u8]>::to_vec));
            continue;
        }
        match tokens.last_mut() {
            Some(last) if c.is_ascii_alphanumeric() && last.is_ascii() && joins(last) => {
                last.extend(bytes);
            }
            // Two newlines are one token, so an answer that starts with one straddles.
            Some(last) if c == '\n' && last.as_slice() == b"\n" => last.extend(bytes),
            _ => tokens.push(bytes),
        }
    }
    tokens
}

fn joins(last: &[u8]) -> bool {
    let grows = |&b: &u8| b.is_ascii_alphanumeric() || (b == b' ' && last.len() == 1);
    last.len() < LONGEST_TOKEN && last.last().is_some_and(grows)
}

/// Log-probability of a token after another, nats.
pub(crate) fn log_prob(previous: &[u8], token: &[u8]) -> f64 {
    let mut hash: u32 = 17;
    for &b in previous.iter().chain(b"|").chain(token) {
        hash = hash.wrapping_mul(31).wrapping_add(b.into());
    }
    -f64::from(hash % 9973) / 1000.0 - 0.125
}

/// Scores of an answer, tokenised apart from its prompt.
pub(crate) fn expected(prompt: &str, answer: &str) -> Vec<f64> {
    let mut previous = tokenize(prompt).pop().expect("a prompt");
    tokenize(answer)
        .into_iter()
        .map(|token| {
            let value = log_prob(&previous, &token);
            previous = token;
            value
        })
        .collect()
}

/// The server's own template.
pub(crate) fn template(messages: &Value) -> String {
    let mut text = String::new();
    for message in messages.as_array().expect("messages") {
        let role = message["role"].as_str().expect("role");
        let content = message["content"].as_str().expect("content").trim();
        text.extend(["<", role, ">", content, "<end>\n"]);
    }
    text
}

/// The server's template with the opening of an answer.
pub(crate) fn prompted(messages: &Value) -> String {
    template(messages) + "<assistant>"
}

/// Answers as the toy server does.
pub(crate) fn answer(features: Features, hit: &Hit) -> Reply {
    let body = &hit.body;
    let asks = |field: &str| body.get(field).is_some();
    match hit.path.as_str() {
        "/tokenize" if features.tokenize => {
            let text = body["prompt"]
                .as_str()
                .map_or_else(|| prompted(&body["messages"]), ToOwned::to_owned);
            let ids: Vec<u64> = tokenize(&text).iter().map(|t| id(t)).collect();
            Reply::json(&json!({"count": ids.len(), "tokens": ids}))
        }
        "/v1/chat/completions" if asks("prompt_logprobs") && features.chat => {
            // continue_final_message: the text ends with the last message.
            let text = template(&body["messages"]);
            let text = text.strip_suffix("<end>\n").expect("template");
            let mut reply = chat_answer();
            reply["prompt_logprobs"] = positions(&tokenize(text), features);
            Reply::json(&reply)
        }
        "/v1/chat/completions" => Reply::json(&chat_answer()),
        "/v1/completions" if asks("echo") => echo(features, body),
        "/v1/completions" if features.prompt_logprobs || features.tokenize => {
            let tokens = match &body["prompt"] {
                Value::String(text) if features.prompt_logprobs => tokenize(text),
                Value::Array(ids) if features.tokenize => {
                    ids.iter().map(|i| token(i.as_u64().expect("id"))).collect()
                }
                _ => return Reply::new(400, "unsupported prompt"),
            };
            Reply::json(&json!({
                "choices": [{"text": "x", "prompt_logprobs": positions(&tokens, features)}],
                "usage": {"prompt_tokens": tokens.len(), "completion_tokens": 1},
            }))
        }
        _ => Reply::new(404, r#"{"detail":"Not Found"}"#),
    }
}

fn chat_answer() -> Value {
    json!({"choices": [{"message": {"content": "hi"}, "finish_reason": "length"}]})
}

fn echo(features: Features, body: &Value) -> Reply {
    let prompt = body["prompt"].as_str().expect("prompt");
    if features.ignores_echo {
        return Reply::json(&json!({"choices": [{
            "text": "-",
            "logprobs": {"tokens": ["-", "-"], "token_logprobs": [-0.1, -0.2]},
        }]}));
    }
    if !features.echo {
        return Reply::new(404, "no such path");
    }
    let generates = body["max_tokens"] == 1;
    if features.echo_generates && !generates {
        return Reply::new(400, r#"{"error":{"message":"max_tokens must be at least 1"}}"#);
    }
    let mut tokens = tokenize(prompt);
    if generates {
        tokens.push(b"!".to_vec());
    }
    let shown: Vec<String> = tokens.iter().map(|t| show(t, features)).collect();
    let values: Vec<Option<f64>> = (0..tokens.len()).map(|i| value(&tokens, i)).collect();
    let shift = usize::from(features.echo_is_out_of_step);
    let guessed = |i: usize| match (i, shown.get(i + shift)) {
        (0, _) | (_, None) => Value::Null,
        (_, Some(favourite)) => json!({favourite: -0.1, "another": -2.0}),
    };
    let top: Vec<Value> = (0..shown.len()).map(guessed).collect();
    Reply::json(&json!({"choices": [{
        "text": prompt,
        "logprobs": {
            "tokens": shown, "token_logprobs": values, "top_logprobs": top, "text_offset": [],
        },
    }]}))
}

fn positions(tokens: &[Token], features: Features) -> Value {
    let entry = |i: usize| match value(tokens, i) {
        None => Value::Null,
        Some(log_prob) => {
            let token = &tokens[i];
            let mut map = Map::new();
            let shown = show(token, features);
            map.insert(
                id(token).to_string(),
                json!({"logprob": log_prob, "rank": 1, "decoded_token": shown}),
            );
            Value::Object(map)
        }
    };
    (0..tokens.len()).map(entry).collect()
}

fn value(tokens: &[Token], i: usize) -> Option<f64> {
    Some(log_prob(&tokens[i.checked_sub(1)?], &tokens[i]))
}

fn show(token: &[u8], features: Features) -> String {
    let text = String::from_utf8_lossy(token).into_owned();
    if features.strips_blanks { text.trim_start_matches(' ').to_owned() } else { text }
}

/// The bytes behind a leading one.
fn id(token: &[u8]) -> u64 {
    token.iter().fold(1, |id, &b| id << 8 | u64::from(b))
}

fn token(id: u64) -> Token {
    let bytes = id.to_be_bytes();
    let start = bytes.iter().position(|&b| b == 1).expect("the leading one");
    bytes[start + 1..].to_vec()
}
