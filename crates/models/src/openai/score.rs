//! The ways in which servers score given text, each exact or not taken.
//!
//! | way | prompt | tokens of the answer |
//! | --- | --- | --- |
//! | [`ScoringRoute::TokenIds`] | the server's own template | tokenised apart, known by id |
//! | [`ScoringRoute::ChatPromptLogprobs`] | the server's own template | found at the end |
//! | [`ScoringRoute::PromptLogprobs`] | roles and texts, plain | found after the prompt |
//! | [`ScoringRoute::Echo`] | roles and texts, plain | found after the prompt |
//!
//! The first one is vLLM's and is what local models do too; the others tokenise prompt and
//! answer together, so a token can hold the end of one and the start of the other. Such a text
//! is refused with [`Failure::Request`], never cut.

use super::{
    align::{AlignError, after_prompt, at_end, at_end_after},
    http::{Endpoint, Failure, Unread},
    wire::{self, Given},
};
use crate::{ScoreRequest, Scored, budget::Usage};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};
use stillwatch_evidence::Message;

/// Tokenised prompts kept: the texts of one exposure share theirs.
const PROMPTS_KEPT: usize = 512;

/// How the endpoint scores given text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoringRoute {
    /// vLLM: prompt and answer tokenised apart by `/tokenize`, scored as token ids with
    /// `prompt_logprobs` on `/completions`.
    TokenIds,
    /// vLLM: `prompt_logprobs` on `/chat/completions` with `continue_final_message`.
    ChatPromptLogprobs,
    /// vLLM: `prompt_logprobs` on `/completions` with raw text.
    PromptLogprobs,
    /// `echo` with `logprobs` on `/completions` with raw text.
    Echo {
        /// Answer tokens that have to be generated besides: 0, or 1 where 0 is refused.
        max_tokens: u64,
    },
}

impl ScoringRoute {
    /// All ways, the best first.
    pub(super) const ALL: [Self; 5] = [
        Self::TokenIds,
        Self::ChatPromptLogprobs,
        Self::PromptLogprobs,
        Self::Echo { max_tokens: 0 },
        Self::Echo { max_tokens: 1 },
    ];

    /// Whether the server applies its own chat template.
    pub fn uses_server_template(self) -> bool {
        matches!(self, Self::TokenIds | Self::ChatPromptLogprobs)
    }
}

impl fmt::Display for ScoringRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokenIds => "token ids with prompt_logprobs",
            Self::ChatPromptLogprobs => "chat with prompt_logprobs",
            Self::PromptLogprobs => "completions with prompt_logprobs",
            Self::Echo { .. } => "completions with echo",
        })
    }
}

/// Token ids of prompts, by conversation.
#[derive(Debug, Default)]
pub(super) struct PromptCache(Mutex<BTreeMap<Vec<Message>, Arc<Vec<u64>>>>);

impl PromptCache {
    fn get(&self, messages: &[Message]) -> Option<Arc<Vec<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(messages).cloned()
    }

    fn put(&self, messages: &[Message], ids: &Arc<Vec<u64>>) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= PROMPTS_KEPT {
            map.clear();
        }
        map.insert(messages.to_vec(), Arc::clone(ids));
    }
}

/// Scores one answer by the given way.
pub(super) async fn score(
    endpoint: &Endpoint,
    route: ScoringRoute,
    prompts: &PromptCache,
    request: &ScoreRequest,
) -> Result<Scored, Failure> {
    if request.answer.is_empty() {
        return Err(Failure::Request("the answer is empty: there is nothing to score".to_owned()));
    }
    let log_probs = match route {
        ScoringRoute::TokenIds => by_token_ids(endpoint, prompts, request).await?,
        ScoringRoute::ChatPromptLogprobs => by_chat(endpoint, request).await?,
        ScoringRoute::PromptLogprobs => by_prompt_log_probs(endpoint, request).await?,
        ScoringRoute::Echo { max_tokens } => by_echo(endpoint, max_tokens, request).await?,
    };
    let token_log_likelihoods = wire::checked(&log_probs).map_err(Failure::Request)?;
    Ok(Scored { token_log_likelihoods })
}

async fn by_token_ids(
    endpoint: &Endpoint,
    prompts: &PromptCache,
    request: &ScoreRequest,
) -> Result<Vec<Option<f64>>, Failure> {
    let prompt = prompt_ids(endpoint, prompts, &request.messages).await?;
    let body = json!({"prompt": request.answer, "add_special_tokens": false});
    let answer = tokenize(endpoint, body).await?;
    let ids: Vec<u64> = prompt.iter().chain(&answer).copied().collect();
    let body = json!({
        "model": endpoint.model,
        "prompt": ids,
        "prompt_logprobs": 0,
        "max_tokens": 1,
        "temperature": 0.0,
        "stream": false,
    });
    let bound = Usage { input_tokens: ids.len() as u64, output_tokens: 1 };
    let read = |answer: &Value| {
        wire::prompt_log_probs_of(answer, &ids)
            .ok_or_else(|| lacking("without a log-probability for every token that was sent"))
    };
    let log_probs = endpoint.post("completions", &body, bound, read).await?;
    Ok(log_probs.get(prompt.len()..).unwrap_or_default().to_vec())
}

async fn prompt_ids(
    endpoint: &Endpoint,
    prompts: &PromptCache,
    messages: &[Message],
) -> Result<Arc<Vec<u64>>, Failure> {
    if let Some(ids) = prompts.get(messages) {
        return Ok(ids);
    }
    let body = json!({"messages": wire::chat_messages(messages), "add_generation_prompt": true});
    let ids = Arc::new(tokenize(endpoint, body).await?);
    prompts.put(messages, &ids);
    Ok(ids)
}

async fn tokenize(endpoint: &Endpoint, body: Value) -> Result<Vec<u64>, Failure> {
    let body = wire::merged(json!({"model": endpoint.model}), body);
    let read = |answer: &Value| wire::token_ids(answer).ok_or_else(|| lacking("without token ids"));
    endpoint.post("/tokenize", &body, Usage::default(), read).await
}

async fn by_chat(endpoint: &Endpoint, request: &ScoreRequest) -> Result<Vec<Option<f64>>, Failure> {
    let mut messages = wire::chat_messages(&request.messages);
    messages.push(json!({"role": "assistant", "content": request.answer}));
    let body = json!({
        "model": endpoint.model,
        "messages": messages,
        "add_generation_prompt": false,
        "continue_final_message": true,
        "prompt_logprobs": 0,
        "max_tokens": 1,
        "temperature": 0.0,
        "stream": false,
    });
    let given = endpoint
        .post("chat/completions", &body, bound(endpoint, request, 1), read_prompt_log_probs)
        .await?;
    let range = at_end(&texts(&given), &request.answer);
    located(&given, range)
}

async fn by_prompt_log_probs(
    endpoint: &Endpoint,
    request: &ScoreRequest,
) -> Result<Vec<Option<f64>>, Failure> {
    let prompt = wire::plain_prompt(&request.messages);
    let body = json!({
        "model": endpoint.model,
        "prompt": format!("{prompt}{}", request.answer),
        "prompt_logprobs": 0,
        "max_tokens": 1,
        "temperature": 0.0,
        "stream": false,
    });
    let given = endpoint
        .post("completions", &body, bound(endpoint, request, 1), read_prompt_log_probs)
        .await?;
    let range = at_end_after(&texts(&given), &prompt, &request.answer);
    located(&given, range)
}

async fn by_echo(
    endpoint: &Endpoint,
    max_tokens: u64,
    request: &ScoreRequest,
) -> Result<Vec<Option<f64>>, Failure> {
    let prompt = wire::plain_prompt(&request.messages);
    let body = echo_body(endpoint, &format!("{prompt}{}", request.answer), max_tokens);
    let read = |answer: &Value| {
        wire::echoed(answer).ok_or_else(|| lacking("without log-probabilities of the prompt"))
    };
    let given =
        endpoint.post("completions", &body, bound(endpoint, request, max_tokens), read).await?;
    let generated = usize::try_from(max_tokens).unwrap_or_default();
    let range = after_prompt(&texts(&given), &prompt, &request.answer, generated);
    located(&given, range)
}

fn echo_body(endpoint: &Endpoint, text: &str, max_tokens: u64) -> Value {
    json!({
        "model": endpoint.model,
        "prompt": text,
        "echo": true,
        "logprobs": 1,
        "max_tokens": max_tokens,
        "temperature": 0.0,
        "stream": false,
    })
}

/// A text whose next token any language model guesses at most places.
const COUNTING: &str = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16";

/// Whether echoed log-probabilities stand by their own tokens.
///
/// Some servers give each token the distribution of the token after it (llama-cpp-python 0.3.36
/// does): its likeliest alternatives then name the next token of the text, not this one. Such
/// numbers keep every null (they don't know the coin) and have no power. A server that names no
/// alternatives is believed.
pub(super) async fn echo_is_in_step(endpoint: &Endpoint, max_tokens: u64) -> Result<bool, Failure> {
    let body = echo_body(endpoint, COUNTING, max_tokens);
    let read = |answer: &Value| {
        let given = wire::echoed(answer).ok_or_else(|| lacking("without log-probabilities"))?;
        Ok((given.tokens, wire::favourites(answer)))
    };
    let bound = Usage { input_tokens: COUNTING.len() as u64, output_tokens: max_tokens };
    let (tokens, favourites) = endpoint.post("completions", &body, bound, read).await?;
    let agreeing = |shift: usize| {
        let pairs = tokens.iter().skip(shift).zip(&favourites);
        pairs.filter(|(token, favourite)| favourite.as_ref() == Some(token)).count()
    };
    Ok(agreeing(1) <= agreeing(0))
}

fn read_prompt_log_probs(answer: &Value) -> Result<Given, Unread> {
    wire::prompt_log_probs(answer).ok_or_else(|| lacking("without log-probabilities of the prompt"))
}

fn lacking(what: &str) -> Unread {
    Unread::Lacking(what.to_owned())
}

fn texts(given: &Given) -> Vec<&str> {
    given.tokens.iter().map(String::as_str).collect()
}

fn located(
    given: &Given,
    range: Result<Range<usize>, AlignError>,
) -> Result<Vec<Option<f64>>, Failure> {
    let range = range.map_err(|error| Failure::Request(error.to_string()))?;
    Ok(given.log_probs.get(range).unwrap_or_default().to_vec())
}

/// Upper bound of what scoring costs.
fn bound(endpoint: &Endpoint, request: &ScoreRequest, output_tokens: u64) -> Usage {
    let bytes: usize =
        request.messages.iter().map(|m| m.role.len() + m.content.len()).sum::<usize>()
            + request.answer.len();
    Usage { input_tokens: endpoint.input_bound(bytes, request.messages.len() + 1), output_tokens }
}
