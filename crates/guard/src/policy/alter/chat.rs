//! `/v1/chat/completions` and `/v1/completions`: bodies and chunks have the same shape.
//!
//! Reasoning has no place in OpenAI's schema of this end point; the fields are those that vLLM,
//! llama-server, SGLang, DeepSeek, OpenRouter, Mistral and LiteLLM use.

use super::shorten::Shortener;
use super::span::{Edits, Member, at, elements, integer, is_nothing, members, root, string};
use super::{Edited, Reasoning, span::value_of};
use std::collections::BTreeMap;
use std::ops::Range;

/// Fields of a message or delta that hold reasoning.
const REASONING: [&str; 8] = [
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "reasoning_details",
    "reasoning_opaque",
    "reasoning_signature",
    "thinking",
    "thinking_blocks",
];

/// The most choices whose traces are followed; those of further ones are taken out whole.
const CHOICES_MAX: usize = 128;

/// Edits the body, or the chunks of one stream in turn.
#[derive(Debug)]
pub(super) struct Chat {
    reasoning: Reasoning,
    shorteners: BTreeMap<(u64, String), Shortener>,
}

impl Chat {
    pub(super) fn new(reasoning: Reasoning) -> Self {
        Self { reasoning, shorteners: BTreeMap::new() }
    }

    pub(super) fn edit(&mut self, text: &[u8]) -> Edited {
        let mut edits = Edits::default();
        match self.collect(text, &mut edits) {
            Some(()) => Edited::from_edits(edits, text),
            None => Edited::Same,
        }
    }

    fn collect(&mut self, text: &[u8], edits: &mut Edits) -> Option<()> {
        let top = members(text, root(text)?)?;
        null_logprobs(text, &top, edits);
        for choice in elements(text, value_of(&top, "choices")?)? {
            let Some(choice) = members(text, choice) else { continue };
            null_logprobs(text, &choice, edits);
            let index = value_of(&choice, "index").and_then(|v| integer(text, v)).unwrap_or(0);
            self.fields(text, &choice, index, edits);
            for name in ["message", "delta"] {
                let Some(message) = value_of(&choice, name).and_then(|v| members(text, v)) else {
                    continue;
                };
                self.fields(text, &message, index, edits);
                if let Some(parts) = value_of(&message, "content").and_then(|v| elements(text, v)) {
                    remove_thinking_parts(text, &parts, edits);
                }
                if let Some(extra) =
                    value_of(&message, "provider_specific_fields").and_then(|v| members(text, v))
                {
                    self.fields(text, &extra, index, edits);
                }
            }
        }
        Some(())
    }

    /// Takes out, or shortens, the reasoning fields among `found`.
    fn fields(&mut self, text: &[u8], found: &[Member], index: u64, edits: &mut Edits) {
        let mut parts = Vec::with_capacity(found.len());
        for member in found {
            let is_reasoning =
                REASONING.contains(&member.key.as_str()) && !is_nothing(text, member.value.clone());
            let new = (is_reasoning && self.reasoning == Reasoning::Shorten)
                .then(|| self.shortened(text, member, index))
                .flatten();
            let goes = is_reasoning && new.is_none();
            parts.push((member.start, member.value.end, goes));
            if let Some(new) = new {
                edits.replace(member.value.clone(), new);
            }
        }
        if parts.iter().any(|part| part.2) {
            edits.remove(&parts);
        }
    }

    /// The JSON string that takes the place of a trace; `None` where it isn't plain text.
    fn shortened(&mut self, text: &[u8], member: &Member, index: u64) -> Option<Vec<u8>> {
        let piece = string(text, member.value.clone())?;
        let key = (index, member.key.clone());
        if !self.shorteners.contains_key(&key) && self.shorteners.len() >= CHOICES_MAX {
            return None;
        }
        let short = self.shorteners.entry(key).or_default().push(&piece);
        serde_json::to_vec(&short).ok()
    }
}

/// Log-probabilities become `null`, which is what they are where none were asked for.
fn null_logprobs(text: &[u8], found: &[Member], edits: &mut Edits) {
    for member in found {
        let is_logprobs = matches!(member.key.as_str(), "logprobs" | "prompt_logprobs");
        if is_logprobs && at(text, member.value.clone()) != b"null" {
            edits.replace(member.value.clone(), *b"null");
        }
    }
}

/// Parts of a message that are of a thinking kind go (Mistral's shape).
pub(super) fn remove_thinking_parts(text: &[u8], parts: &[Range<usize>], edits: &mut Edits) {
    let marked: Vec<(usize, usize, bool)> = parts
        .iter()
        .map(|part| {
            let kind = members(text, part.clone())
                .and_then(|found| value_of(&found, "type"))
                .and_then(|value| string(text, value));
            let goes =
                matches!(kind.as_deref(), Some("thinking" | "redacted_thinking" | "reasoning"));
            (part.start, part.end, goes)
        })
        .collect();
    if marked.iter().any(|part| part.2) {
        edits.remove(&marked);
    }
}
