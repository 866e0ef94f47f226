//! What the mock says: text by seed, prompt and count, and the request's wishes about it.

use super::behaviour::Behaviour;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Prompts whose askings are counted one by one; beyond it all count as the first.
const PROMPTS_MAX: usize = 1 << 18;

/// Tokens of an answer whatever the request asks for.
const TOKENS_MAX: u64 = 100_000;

const WORDS: &str = include_str!("words.txt");

/// How often each prompt was asked.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<BTreeMap<u64, u64>>);

impl Asked {
    fn next(&self, prompt: u64) -> u64 {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= PROMPTS_MAX && !map.contains_key(&prompt) {
            return 0;
        }
        let count = map.entry(prompt).or_default();
        *count += 1;
        *count - 1
    }
}

/// One choice of an answer.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// The tokens; joined they are the text.
    pub(super) tokens: Vec<String>,
    /// Whether the limit ended it.
    pub(super) cut: bool,
    /// The hidden reasoning.
    pub(super) reasoning: Option<Vec<String>>,
    /// The tool that is called in place of text, and its arguments.
    pub(super) tool: Option<(String, String)>,
}

impl Choice {
    pub(super) fn text(&self) -> String {
        self.tokens.concat()
    }

    pub(super) fn reasoning_text(&self) -> Option<String> {
        self.reasoning.as_ref().map(|r| r.concat())
    }
}

/// A whole answer, before it has a shape.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Hexadecimal, unique for the request.
    pub(super) id: String,
    pub(super) model: String,
    pub(super) choices: Vec<Choice>,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) logprobs: bool,
}

/// 64-bit FNV-1a: stable, and good enough to tell prompts apart.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl Sample {
    /// Samples an answer to a request's body.
    pub(super) fn new(behaviour: &Behaviour, asked: &Asked, number: u64, body: &Value) -> Self {
        let prompt: String = ["system", "instructions", "messages", "input", "prompt"]
            .iter()
            .filter_map(|field| body.get(field).map(Value::to_string))
            .collect();
        let prompt_hash = hash(prompt.as_bytes());
        let greedy = body.get("temperature").and_then(Value::as_f64) == Some(0.0);
        let count = if greedy || behaviour.one_answer {
            0
        } else {
            let asked = asked.next(prompt_hash);
            body.get("seed").and_then(Value::as_u64).unwrap_or(asked)
        };
        let limit = ["max_completion_tokens", "max_tokens", "max_output_tokens"]
            .iter()
            .find_map(|field| body.get(field).and_then(Value::as_u64))
            .unwrap_or(TOKENS_MAX)
            .min(TOKENS_MAX);
        let n_choices = body.get("n").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
        let choices: Vec<_> = (0..n_choices)
            .map(|index| {
                let seed = behaviour.seed ^ prompt_hash.rotate_left(17) ^ (count << 8) ^ index;
                choice(behaviour, body, seed, usize::try_from(limit).unwrap_or(usize::MAX))
            })
            .collect();
        let completion_tokens = choices
            .iter()
            .map(|c| (c.tokens.len() + c.reasoning.as_ref().map_or(0, Vec::len)) as u64)
            .sum();
        Self {
            id: format!("{:08x}{number:08x}", behaviour.seed),
            model: body.get("model").and_then(Value::as_str).unwrap_or("mock-1").to_owned(),
            choices,
            prompt_tokens: prompt.split_whitespace().count() as u64,
            completion_tokens,
            stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
            include_usage: body.pointer("/stream_options/include_usage")
                == Some(&Value::Bool(true)),
            logprobs: matches!(body.get("logprobs"), Some(Value::Bool(true) | Value::Number(_))),
        }
    }
}

fn choice(behaviour: &Behaviour, body: &Value, seed: u64, limit: usize) -> Choice {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let wanted = rng.random_range(behaviour.tokens.clone());
    let tokens = words(&mut rng, wanted.min(limit));
    let reasoning = behaviour.reasoning.then(|| words(&mut rng, 12));
    let tool = behaviour.tool_calls.then(|| first_tool(body)).flatten().map(|name| {
        let argument = words(&mut rng, 3).concat();
        (name, serde_json::json!({ "query": argument.trim() }).to_string())
    });
    Choice { tokens, cut: wanted > limit, reasoning, tool }
}

fn first_tool(body: &Value) -> Option<String> {
    let tool = body.get("tools")?.get(0)?;
    let name = tool.pointer("/function/name").or_else(|| tool.get("name"))?;
    name.as_str().map(str::to_owned)
}

fn words(rng: &mut ChaCha8Rng, n: usize) -> Vec<String> {
    let all: Vec<&str> = WORDS.split_ascii_whitespace().collect();
    let mut left = 0_u32;
    (0..n)
        .map(|i| {
            let word = all.get(rng.random_range(0..all.len().max(1))).copied().unwrap_or("word");
            let first = left == 0;
            left = if first { rng.random_range(4..14) } else { left - 1 };
            let stop = if left == 0 || i + 1 == n { "." } else { "" };
            let space = if i == 0 { "" } else { " " };
            if first {
                let mut letters = word.chars();
                let head: String =
                    letters.next().into_iter().flat_map(char::to_uppercase).collect();
                format!("{space}{head}{}{stop}", letters.as_str())
            } else {
                format!("{space}{word}{stop}")
            }
        })
        .collect()
}
