//! Clients that react to what they are answered: for tests that a selection stays blind to coins.
//!
//! ```no_run
//! # use stillwatch_testkit::client::{Adaptive, Habit};
//! # async fn example(base_url: &str) {
//! let turns = Adaptive::new(base_url).habit(Habit::HangUpOnWord("whale".into())).run(200, 8).await;
//! # }
//! ```
//!
//! Each habit is a way in which released text comes back: a client hangs up on long, bad or
//! certain answers, quotes them, asks again, or pastes them into another account's conversation.
//! What a client does is a function of the seed and of what it received, never of the clock.
//! Whether the null then holds is for the tests to say.

mod read;

use crate::traffic::Prompts;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use read::TextReader;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Patience for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers that are kept for pasting elsewhere.
const CLIPBOARD_MAX: usize = 64;

/// What a client does with an answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Habit {
    /// Reads to the end.
    ReadAll,
    /// Hangs up once the text is longer than this, characters.
    HangUpWhenLong(usize),
    /// Hangs up on this share of answers, by their first forty characters: a client with taste.
    HangUpWhenBad(f64),
    /// Hangs up as soon as the text contains this.
    HangUpOnWord(String),
    /// Hangs up when the headers are there.
    HangUpAtOnce,
    /// Reads on only where the text so far contains this by its eightieth character.
    ReadsOnOnlyFor(String),
}

impl Habit {
    /// Whether to hang up on a text so far.
    pub fn hangs_up(&self, text: &str) -> bool {
        match self {
            Self::ReadAll => false,
            Self::HangUpWhenLong(chars) => text.chars().count() > *chars,
            Self::HangUpWhenBad(share) => {
                let start: String = text.chars().take(40).collect();
                start.chars().count() == 40 && taste(&start) < *share
            }
            Self::HangUpOnWord(word) => text.contains(word.as_str()),
            Self::HangUpAtOnce => true,
            Self::ReadsOnOnlyFor(word) => {
                text.chars().count() >= 80 && !text.contains(word.as_str())
            }
        }
    }
}

/// A number from 0 to 1 that depends on the text only.
fn taste(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    ((hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The end point that clients speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/messages`.
    Messages,
    /// `/v1/responses`.
    Responses,
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The account that asked.
    pub account: String,
    /// The conversation that it belongs to.
    pub conversation: u64,
    /// Its place in the conversation, from 0.
    pub place: usize,
    /// The messages that were sent: (role, text).
    pub messages: Vec<(String, String)>,
    /// Status of the answer; 0: no headers came.
    pub status: u16,
    /// The receipt that came with it, empty where none.
    pub receipt: String,
    /// The text received.
    pub text: String,
    /// Whether the client hung up.
    pub hung_up: bool,
    /// Whether the answer broke off by itself.
    pub broken: bool,
    /// Whether an earlier answer is part of what was sent.
    pub quotes: bool,
}

/// Clients with the same habits.
#[derive(Debug, Clone)]
pub struct Adaptive {
    base_url: String,
    habits: Vec<Habit>,
    keys: Vec<(String, String)>,
    speaks: Speaks,
    model: String,
    seed: u64,
    turns: RangeInclusive<usize>,
    streams: f64,
    asks_again: f64,
    pastes: f64,
    http: Client<HttpConnector, Full<Bytes>>,
    clipboard: Arc<Mutex<Vec<String>>>,
}

impl Adaptive {
    /// Ten accounts (`client-0` … with keys of the same names) at a gateway, which stream, talk
    /// for one to three turns, and read to the end until a habit is given.
    pub fn new(base_url: &str) -> Self {
        let keys = (0..10).map(|n| (format!("client-{n}"), format!("client-{n}"))).collect();
        let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            habits: Vec::new(),
            keys,
            speaks: Speaks::Chat,
            model: "mock-1".to_owned(),
            seed: 1,
            turns: 1..=3,
            streams: 1.0,
            asks_again: 0.0,
            pastes: 0.0,
            http,
            clipboard: Arc::default(),
        }
    }

    /// A habit more; each conversation has one of them.
    #[must_use]
    pub fn habit(mut self, habit: Habit) -> Self {
        self.habits.push(habit);
        self
    }

    /// Accounts with their keys.
    #[must_use]
    pub fn keys<I: IntoIterator<Item = (String, String)>>(mut self, keys: I) -> Self {
        self.keys = keys.into_iter().collect();
        self
    }

    /// The end point.
    #[must_use]
    pub fn speaks(mut self, speaks: Speaks) -> Self {
        self.speaks = speaks;
        self
    }

    /// Model asked for.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// Seed of prompts and of choices.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Turns of a conversation; later ones carry the earlier answers along and quote them.
    #[must_use]
    pub fn turns(mut self, turns: RangeInclusive<usize>) -> Self {
        self.turns = turns;
        self
    }

    /// Share of requests that stream.
    #[must_use]
    pub fn streams(mut self, share: f64) -> Self {
        self.streams = share;
        self
    }

    /// Share of bad answers (by taste) that are asked for again, word by word.
    #[must_use]
    pub fn asks_again(mut self, share: f64) -> Self {
        self.asks_again = share;
        self
    }

    /// Share of conversations that open with an answer that some account received before.
    #[must_use]
    pub fn pastes(mut self, share: f64) -> Self {
        self.pastes = share;
        self
    }

    /// Plays this many conversations, so many at once; the turns in order of conversations. What
    /// is pasted depends on what others received by then: with `at_once` 1 all is repeatable.
    pub async fn run(&self, conversations: u64, at_once: usize) -> Vec<Turn> {
        futures_util::stream::iter(0..conversations)
            .map(|n| self.converse(n))
            .buffered(at_once.max(1))
            .collect::<Vec<_>>()
            .await
            .concat()
    }

    /// One conversation.
    async fn converse(&self, conversation: u64) -> Vec<Turn> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ conversation.rotate_left(20));
        let mut prompts = Prompts::new(rng.random());
        let pick = |n: usize, rng: &mut ChaCha8Rng| rng.random_range(0..n.max(1));
        let (account, key) =
            self.keys.get(pick(self.keys.len(), &mut rng)).cloned().unwrap_or_default();
        let habit = self.habits.get(pick(self.habits.len(), &mut rng)).cloned();
        let habit = habit.unwrap_or(Habit::ReadAll);
        let mut messages: Vec<(String, String)> = Vec::new();
        let mut turns: Vec<Turn> = Vec::new();
        let mut quotes = false;
        let mut first = prompts.next().unwrap_or_default();
        if rng.random_bool(self.pastes)
            && let Some(pasted) = self.pasted(&mut rng)
        {
            first = format!("{first}\n\nSomeone was told this, is it right?\n{pasted}");
            quotes = true;
        }
        messages.push(("user".to_owned(), first));
        for place in 0..rng.random_range(self.turns.clone()) {
            let streams = rng.random_bool(self.streams);
            let mut turn = self.ask(&key, &messages, streams, &habit).await;
            let bad = taste(&turn.text) < 0.5;
            if bad && rng.random_bool(self.asks_again) {
                let again = self.ask(&key, &messages, streams, &habit).await;
                turns.push(Turn { account: account.clone(), conversation, place, quotes, ..turn });
                turn = again;
            }
            self.copy(&turn.text);
            let text = turn.text.clone();
            turns.push(Turn { account: account.clone(), conversation, place, quotes, ..turn });
            if text.is_empty() {
                break;
            }
            // An answer as it was received, and a question that depends on it.
            let words: Vec<&str> = text.split(' ').collect();
            let from = pick(words.len().saturating_sub(6), &mut rng);
            let quoted = words.get(from..(from + 6).min(words.len())).unwrap_or_default().join(" ");
            messages.push(("assistant".to_owned(), text.clone()));
            messages
                .push(("user".to_owned(), format!("You said \"{quoted}\". What does that mean?")));
            quotes = true;
        }
        turns
    }

    fn copy(&self, text: &str) {
        let mut clipboard = self.clipboard.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() > 20 {
            clipboard.push(text.to_owned());
        }
        let surplus = clipboard.len().saturating_sub(CLIPBOARD_MAX);
        clipboard.drain(..surplus);
    }

    fn pasted(&self, rng: &mut ChaCha8Rng) -> Option<String> {
        let clipboard = self.clipboard.lock().unwrap_or_else(PoisonError::into_inner);
        let at = rng.random_range(0..clipboard.len().max(1));
        clipboard.get(at).cloned()
    }

    /// One request; reads until the end, or until the habit says to hang up.
    async fn ask(
        &self,
        key: &str,
        messages: &[(String, String)],
        streams: bool,
        habit: &Habit,
    ) -> Turn {
        let mut turn = Turn {
            account: String::new(),
            conversation: 0,
            place: 0,
            messages: messages.to_vec(),
            status: 0,
            receipt: String::new(),
            text: String::new(),
            hung_up: false,
            broken: false,
            quotes: false,
        };
        let all = self.exchange(key, messages, streams, habit, &mut turn);
        if !tokio::time::timeout(PATIENCE, all).await.unwrap_or(false) {
            turn.broken = true;
        }
        turn
    }

    /// Whether it went as HTTP should.
    async fn exchange(
        &self,
        key: &str,
        messages: &[(String, String)],
        streams: bool,
        habit: &Habit,
        turn: &mut Turn,
    ) -> bool {
        let (path, body) = self.body(messages, streams);
        let request = http::Request::post(format!("{}{path}", self.base_url))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header("x-api-key", key)
            .header("anthropic-version", "2023-06-01")
            .body(Full::new(Bytes::from(body.to_string())));
        let Ok(request) = request else { return false };
        let Ok(response) = self.http.request(request).await else { return false };
        turn.status = response.status().as_u16();
        let receipt = response.headers().get("stillwatch-receipt");
        receipt.and_then(|v| v.to_str().ok()).unwrap_or_default().clone_into(&mut turn.receipt);
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let mut reader = TextReader::new(kind.is_some_and(|k| k.starts_with("text/event-stream")));
        let mut body = response.into_body();
        if *habit == Habit::HangUpAtOnce {
            turn.hung_up = true;
            return true;
        }
        loop {
            match body.frame().await {
                Some(Ok(frame)) => {
                    reader.push(&frame.into_data().unwrap_or_default());
                    if streams && habit.hangs_up(reader.text()) {
                        turn.hung_up = true;
                        break;
                    }
                }
                Some(Err(_)) => {
                    turn.broken = true;
                    break;
                }
                None => break,
            }
        }
        turn.text = reader.finish();
        true
    }

    fn body(&self, messages: &[(String, String)], streams: bool) -> (&'static str, Value) {
        let messages: Vec<Value> = messages
            .iter()
            .map(|(role, content)| json!({"role": role, "content": content}))
            .collect();
        match self.speaks {
            Speaks::Chat => (
                "/v1/chat/completions",
                json!({"model": self.model, "messages": messages, "stream": streams}),
            ),
            Speaks::Messages => (
                "/v1/messages",
                json!({"model": self.model, "max_tokens": 1_024, "messages": messages,
                       "stream": streams}),
            ),
            Speaks::Responses => (
                "/v1/responses",
                json!({"model": self.model, "input": messages, "stream": streams}),
            ),
        }
    }
}
