//! One account of the replay: how it asks, and the exchange that comes of it.

use super::build::Entry;
use super::grammar::{Language, Subject};
use super::place::Network;
use jiff::Timestamp;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};
use stillwatch_evidence::{Client, Exchange, Message, Response, Usage};

/// What a script gets to write a request with.
pub(super) struct Say<'a> {
    pub(super) language: &'a Language,
    pub(super) rng: &'a mut ChaCha8Rng,
    /// Which item of the account's or the group's queue this is.
    pub(super) item: u32,
    /// When, milliseconds since the epoch.
    pub(super) time_ms: i64,
}

/// A request before it is an exchange.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) system: String,
    pub(super) history: Vec<Message>,
    pub(super) user: String,
    pub(super) subject: Subject,
    /// Sentences of the answer.
    pub(super) sentences: usize,
}

impl Draft {
    pub(super) fn new(user: String, subject: Subject, sentences: usize) -> Self {
        Self { system: String::new(), history: Vec::new(), user, subject, sentences }
    }
}

/// How an account writes. It is told its answers, for it may quote them.
pub(super) trait Script: Send {
    /// The next request.
    fn compose(&mut self, say: &mut Say<'_>) -> Draft;

    /// What was answered.
    fn hear(&mut self, _draft: &Draft, _answer: &str) {}
}

/// Sampling parameters as sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Params {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) max_tokens: Option<u64>,
    pub(super) stream: bool,
    pub(super) logprobs: bool,
    pub(super) tools: bool,
}

impl Params {
    /// As chat applications send.
    pub(super) fn chat() -> Self {
        Self { stream: true, ..Self::default() }
    }

    /// As a program's author may have set them.
    pub(super) fn program(rng: &mut ChaCha8Rng) -> Self {
        let temperature = [None, Some(0.0), Some(0.2), Some(0.7), Some(1.0)];
        let max_tokens = [None, None, Some(256), Some(500), Some(1_000), Some(2_048)];
        Self {
            temperature: temperature.get(rng.random_range(0..5)).copied().flatten(),
            max_tokens: max_tokens.get(rng.random_range(0..6)).copied().flatten(),
            top_p: rng.random_bool(0.15).then_some(0.95),
            stream: rng.random_bool(0.3),
            logprobs: rng.random_bool(0.02),
            tools: rng.random_bool(0.08),
        }
    }

    fn map(&self) -> Map<String, Value> {
        let mut map = Map::new();
        if let Some(temperature) = self.temperature {
            map.insert("temperature".to_owned(), temperature.into());
        }
        if let Some(top_p) = self.top_p {
            map.insert("top_p".to_owned(), top_p.into());
        }
        if let Some(max_tokens) = self.max_tokens {
            map.insert("max_tokens".to_owned(), max_tokens.into());
        }
        for (name, value) in [("stream", self.stream), ("logprobs", self.logprobs)] {
            if value {
                map.insert(name.to_owned(), true.into());
            }
        }
        if self.tools {
            let tool = serde_json::json!([{"type": "function", "function": {"name": "search"}}]);
            map.insert("tools".to_owned(), tool);
        }
        map
    }
}

/// One account.
pub(super) struct Account {
    pub(super) id: String,
    pub(super) plan: &'static str,
    pub(super) model: &'static str,
    pub(super) agent: String,
    pub(super) network: Network,
    pub(super) params: Params,
    pub(super) script: Box<dyn Script>,
    pub(super) rng: ChaCha8Rng,
}

impl Account {
    /// The exchange of one moment.
    pub(super) fn ask(&mut self, language: &Language, number: u64, entry: Entry) -> Exchange {
        let Entry { time_ms, item, failed, .. } = entry;
        let mut say = Say { language, rng: &mut self.rng, item, time_ms };
        let draft = self.script.compose(&mut say);
        let answer = if failed {
            String::new()
        } else {
            let answer = language.answer(&mut self.rng, draft.subject, draft.sentences);
            self.script.hear(&draft, &answer);
            answer
        };
        let mut messages = Vec::with_capacity(draft.history.len() + 2);
        if !draft.system.is_empty() {
            messages.push(Message { role: "system".to_owned(), content: draft.system });
        }
        messages.extend(draft.history);
        messages.push(Message { role: "user".to_owned(), content: draft.user });
        let tokens = |text: &str| (text.len() as u64).div_ceil(4);
        let usage = Usage {
            prompt_tokens: messages.iter().map(|m| tokens(&m.content) + 4).sum(),
            completion_tokens: tokens(&answer),
        };
        let cut = self.params.max_tokens.is_some_and(|max| usage.completion_tokens > max);
        Exchange {
            id: format!("ex-{number}"),
            time: Timestamp::from_millisecond(time_ms).ok(),
            account: Some(self.id.clone()),
            plan: Some(self.plan.to_owned()),
            client: Client {
                ip: Some(self.network.address(&mut self.rng)),
                user_agent: Some(self.agent.clone()),
            },
            model: self.model.to_owned(),
            params: self.params.map(),
            messages,
            response: Response {
                text: answer,
                finish_reason: (!failed).then(|| if cut { "length" } else { "stop" }.to_owned()),
            },
            usage: Some(usage),
        }
    }
}
