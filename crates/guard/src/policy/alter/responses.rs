//! `/v1/responses`: reasoning is an output item of its own; log-probabilities stand beside parts
//! of the text.
//!
//! An item that is taken out leaves no gap in `output_index`, since clients put events into a list
//! by it; `sequence_number` keeps its gaps.

use super::shorten::Shortener;
use super::span::{Edits, Member, elements, integer, is_nothing, members, root, string, value_of};
use super::{Edited, Reasoning};
use std::collections::BTreeMap;
use std::ops::Range;

/// The most traces of one answer that are followed.
const ITEMS_MAX: usize = 4096;

/// Edits the body, or the events of one stream in turn.
#[derive(Debug)]
pub(super) struct Responses {
    reasoning: Reasoning,
    /// Indices of the items that were taken out, ascending.
    removed: Vec<u64>,
    shorteners: BTreeMap<(u64, u64, bool), Shortener>,
}

impl Responses {
    pub(super) fn new(reasoning: Reasoning) -> Self {
        Self { reasoning, removed: Vec::new(), shorteners: BTreeMap::new() }
    }

    pub(super) fn edit(&mut self, text: &[u8]) -> Edited {
        let Some(top) = root(text).and_then(|span| members(text, span)) else {
            return Edited::Same;
        };
        let mut edits = Edits::default();
        if let Some(output) = value_of(&top, "output") {
            self.output(text, output, &mut edits);
        }
        let response = value_of(&top, "response").and_then(|value| members(text, value));
        if let Some(output) = response.and_then(|found| value_of(&found, "output")) {
            self.output(text, output, &mut edits);
        }
        if self.event(text, &top, &mut edits) {
            return Edited::Dropped;
        }
        Edited::from_edits(edits, text)
    }

    /// One event of a stream; `true`: all of it goes.
    fn event(&mut self, text: &[u8], top: &[Member], edits: &mut Edits) -> bool {
        let kind = value_of(top, "type").and_then(|value| string(text, value));
        let kind = kind.unwrap_or_default();
        let index_span = value_of(top, "output_index");
        let index = index_span.clone().and_then(|value| integer(text, value));
        let item = value_of(top, "item").and_then(|value| members(text, value));
        let is_item = item.as_ref().is_some_and(|item| is_reasoning(text, item));
        let is_trace = kind.starts_with("response.reasoning");
        if is_item || is_trace {
            if self.reasoning == Reasoning::Strip {
                if let Some(index) = index
                    && self.removed.len() < ITEMS_MAX
                    && let Err(place) = self.removed.binary_search(&index)
                {
                    self.removed.insert(place, index);
                }
                return true;
            }
            if let Some(item) = &item {
                shorten_item(text, item, edits);
            }
            if is_trace {
                self.shorten_trace(text, top, &kind, index.unwrap_or(0), edits);
            }
            return false;
        }
        empty_logprobs(text, top, edits);
        for part in [value_of(top, "part"), value_of(top, "item")].into_iter().flatten() {
            empty_nested_logprobs(text, part, edits);
        }
        let (Some(span), Some(index)) = (index_span, index) else { return false };
        match self.removed.binary_search(&index) {
            Ok(_) => return true,
            Err(0) => {}
            Err(n_before) => {
                edits.replace(span, index.saturating_sub(n_before as u64).to_string());
            }
        }
        false
    }

    /// The list of items of a whole response.
    fn output(&self, text: &[u8], output: Range<usize>, edits: &mut Edits) {
        let Some(items) = elements(text, output) else { return };
        let mut parts = Vec::with_capacity(items.len());
        for span in items {
            let item = members(text, span.clone()).unwrap_or_default();
            let reasons = is_reasoning(text, &item);
            parts.push((span.start, span.end, reasons && self.reasoning == Reasoning::Strip));
            if reasons && self.reasoning == Reasoning::Shorten {
                shorten_item(text, &item, edits);
            }
            if !reasons {
                empty_nested_logprobs(text, span, edits);
            }
        }
        if parts.iter().any(|part| part.2) {
            edits.remove(&parts);
        }
    }

    /// A piece, or the end, of a trace in a stream.
    fn shorten_trace(
        &mut self,
        text: &[u8],
        top: &[Member],
        kind: &str,
        index: u64,
        edits: &mut Edits,
    ) {
        let number = |name| value_of(top, name).and_then(|value| integer(text, value));
        let part = number("summary_index").or(number("content_index")).unwrap_or(0);
        if let Some(span) = value_of(top, "delta") {
            let piece = string(text, span.clone()).unwrap_or_default();
            let key = (index, part, kind.contains("summary"));
            let is_new = !self.shorteners.contains_key(&key);
            let short = if is_new && self.shorteners.len() >= ITEMS_MAX {
                String::new()
            } else {
                self.shorteners.entry(key).or_default().push(&piece)
            };
            if short != piece {
                edits.replace(span, serde_json::to_vec(&short).unwrap_or_default());
            }
        }
        shorten_text(text, top, edits);
        if let Some(part) = value_of(top, "part").and_then(|value| members(text, value)) {
            shorten_text(text, &part, edits);
        }
    }
}

fn is_reasoning(text: &[u8], item: &[Member]) -> bool {
    value_of(item, "type").and_then(|value| string(text, value)).as_deref() == Some("reasoning")
}

fn empty_logprobs(text: &[u8], found: &[Member], edits: &mut Edits) {
    if let Some(span) = value_of(found, "logprobs")
        && !is_nothing(text, span.clone())
    {
        edits.replace(span, *b"[]");
    }
}

/// The whole text in the member `text`, shortened.
fn shorten_text(text: &[u8], found: &[Member], edits: &mut Edits) {
    let Some(span) = value_of(found, "text") else { return };
    let whole = string(text, span.clone()).unwrap_or_default();
    let short = Shortener::whole(&whole);
    if short != whole {
        edits.replace(span, serde_json::to_vec(&short).unwrap_or_default());
    }
}

/// A reasoning item: the texts of summary and content shortened, what is encrypted emptied.
fn shorten_item(text: &[u8], item: &[Member], edits: &mut Edits) {
    for name in ["summary", "content"] {
        let parts = value_of(item, name).and_then(|value| elements(text, value));
        for part in parts.unwrap_or_default() {
            if let Some(part) = members(text, part) {
                shorten_text(text, &part, edits);
            }
        }
    }
    if let Some(span) = value_of(item, "encrypted_content")
        && !is_nothing(text, span.clone())
    {
        edits.replace(span, *b"null");
    }
}

/// Empties log-probabilities of a part, or of the parts of an item.
fn empty_nested_logprobs(text: &[u8], span: Range<usize>, edits: &mut Edits) {
    let Some(found) = members(text, span) else { return };
    empty_logprobs(text, &found, edits);
    let parts = value_of(&found, "content").and_then(|value| elements(text, value));
    for part in parts.unwrap_or_default() {
        if let Some(part) = members(text, part) {
            empty_logprobs(text, &part, edits);
        }
    }
}
