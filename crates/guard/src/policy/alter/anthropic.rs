//! `/v1/messages`: thinking is a content block of its own, with an index that clients count by.
//!
//! A block that is taken out leaves no gap: the indices behind it move down, because the official
//! clients put deltas into a list by index. In a stream a `ping` stands in for each event that
//! goes, so that the connection doesn't look dead while the model thinks.

use super::chat::remove_thinking_parts;
use super::shorten::Shortener;
use super::span::{Edits, Member, elements, integer, members, root, string, value_of};
use super::{Edited, Reasoning};
use std::collections::BTreeMap;

/// The most thinking blocks of one answer that are followed.
const BLOCKS_MAX: usize = 4096;

/// Edits the body, or the events of one stream in turn.
#[derive(Debug)]
pub(super) struct Messages {
    reasoning: Reasoning,
    /// Indices of the blocks that were taken out, ascending.
    removed: Vec<u64>,
    shorteners: BTreeMap<u64, Shortener>,
}

impl Messages {
    pub(super) fn new(reasoning: Reasoning) -> Self {
        Self { reasoning, removed: Vec::new(), shorteners: BTreeMap::new() }
    }

    pub(super) fn edit(&mut self, text: &[u8]) -> Edited {
        let Some(top) = root(text).and_then(|span| members(text, span)) else {
            return Edited::Same;
        };
        let kind = value_of(&top, "type").and_then(|value| string(text, value));
        match kind.as_deref() {
            Some("message") => self.body(text, &top),
            Some("content_block_start") => self.start(text, &top),
            Some("content_block_delta") => self.delta(text, &top),
            Some("content_block_stop") => self.rest(text, &top),
            _ => Edited::Same,
        }
    }

    fn body(&self, text: &[u8], top: &[Member]) -> Edited {
        let mut edits = Edits::default();
        let parts = value_of(top, "content").and_then(|value| elements(text, value));
        let parts = parts.unwrap_or_default();
        match self.reasoning {
            Reasoning::Strip => remove_thinking_parts(text, &parts, &mut edits),
            Reasoning::Shorten => {
                for part in &parts {
                    let Some(block) = members(text, part.clone()) else { continue };
                    shorten_block(text, &block, &mut edits);
                }
            }
        }
        Edited::from_edits(edits, text)
    }

    fn start(&mut self, text: &[u8], top: &[Member]) -> Edited {
        let block = value_of(top, "content_block").and_then(|value| members(text, value));
        let block = block.unwrap_or_default();
        let kind = value_of(&block, "type").and_then(|value| string(text, value));
        let is_thinking = matches!(kind.as_deref(), Some("thinking" | "redacted_thinking"));
        let index = value_of(top, "index").and_then(|value| integer(text, value));
        let (true, Some(index)) = (is_thinking, index) else {
            return self.rest(text, top);
        };
        match self.reasoning {
            Reasoning::Strip => {
                if self.removed.len() < BLOCKS_MAX
                    && let Err(place) = self.removed.binary_search(&index)
                {
                    self.removed.insert(place, index);
                }
                Edited::Dropped
            }
            Reasoning::Shorten => {
                let mut edits = Edits::default();
                shorten_block(text, &block, &mut edits);
                Edited::from_edits(edits, text)
            }
        }
    }

    fn delta(&mut self, text: &[u8], top: &[Member]) -> Edited {
        let delta = value_of(top, "delta").and_then(|value| members(text, value));
        let delta = delta.unwrap_or_default();
        let kind = value_of(&delta, "type").and_then(|value| string(text, value));
        match (kind.as_deref(), self.reasoning) {
            (Some("thinking_delta"), Reasoning::Shorten) => {
                let index = value_of(top, "index").and_then(|v| integer(text, v)).unwrap_or(0);
                let Some(span) = value_of(&delta, "thinking") else { return Edited::Dropped };
                let Some(piece) = string(text, span.clone()) else { return Edited::Dropped };
                if self.shorteners.len() >= BLOCKS_MAX && !self.shorteners.contains_key(&index) {
                    return Edited::Dropped;
                }
                let short = self.shorteners.entry(index).or_default().push(&piece);
                if short == piece {
                    return Edited::Same;
                }
                let mut edits = Edits::default();
                edits.replace(span, serde_json::to_vec(&short).unwrap_or_default());
                Edited::from_edits(edits, text)
            }
            (Some("thinking_delta" | "signature_delta"), _) => Edited::Dropped,
            _ => self.rest(text, top),
        }
    }

    /// An event of a block: gone with a block that is gone, else with the index moved down.
    fn rest(&self, text: &[u8], top: &[Member]) -> Edited {
        let Some(span) = value_of(top, "index") else { return Edited::Same };
        let Some(index) = integer(text, span.clone()) else { return Edited::Same };
        match self.removed.binary_search(&index) {
            Ok(_) => Edited::Dropped,
            Err(0) => Edited::Same,
            Err(n_before) => {
                let mut edits = Edits::default();
                let now = index.saturating_sub(n_before as u64);
                edits.replace(span, now.to_string());
                Edited::from_edits(edits, text)
            }
        }
    }
}

/// A whole thinking block: its text shortened, its signature, which would no longer hold, emptied;
/// of a redacted block the data is emptied.
fn shorten_block(text: &[u8], block: &[Member], edits: &mut Edits) {
    let kind = value_of(block, "type").and_then(|value| string(text, value));
    if !matches!(kind.as_deref(), Some("thinking" | "redacted_thinking")) {
        return;
    }
    if let Some(span) = value_of(block, "thinking") {
        let whole = string(text, span.clone()).unwrap_or_default();
        let short = Shortener::whole(&whole);
        if short != whole || whole.is_empty() {
            edits.replace(span, serde_json::to_vec(&short).unwrap_or_default());
        }
    }
    for name in ["signature", "data"] {
        if let Some(span) = value_of(block, name) {
            edits.replace(span, *b"\"\"");
        }
    }
}
