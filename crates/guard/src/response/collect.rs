//! What the pieces of an answer amount to, shape by shape.

use super::shapes::{Anthropic, Choice, OpenAi, OutputItem, Part, ResponseBody, ResponseEvent};
use super::shapes::{Said, Usage};
use super::{Answer, TEXT_BYTES_MAX};
use crate::{limits::Cost, request::Api};

/// Ends a stream of the older OpenAI shapes.
const DONE: &[u8] = b"[DONE]";

/// Collects.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the answer")]
pub(super) struct Collector {
    api: Api,
    answer: Answer,
    /// The protocol's end was seen.
    ended: bool,
    /// A piece wasn't understood, or told of an error.
    misread: bool,
    is_text_cut: bool,
    is_reasoning_cut: bool,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Collector {
    pub(super) fn new(api: Api) -> Self {
        Self {
            api,
            answer: Answer::default(),
            ended: false,
            misread: false,
            is_text_cut: false,
            is_reasoning_cut: false,
            prompt_tokens: None,
            completion_tokens: None,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.answer.text
    }

    pub(super) fn misread(&mut self) {
        self.misread = true;
    }

    pub(super) fn finish(self) -> Answer {
        let mut answer = self.answer;
        if self.prompt_tokens.is_some() || self.completion_tokens.is_some() {
            answer.cost = Some(Cost {
                prompt_tokens: self.prompt_tokens.unwrap_or(0),
                completion_tokens: self.completion_tokens.unwrap_or(0),
            });
        }
        answer.complete = self.ended && !self.misread;
        answer.is_cut = self.is_text_cut || self.is_reasoning_cut;
        answer
    }

    /// A whole JSON body.
    pub(super) fn body(&mut self, body: &[u8]) {
        match self.api {
            Api::Chat | Api::Completions | Api::Embeddings => {
                self.read(body, |collector, body: OpenAi<'_>| {
                    collector.ended = body.choices.is_some() || !body.data.is_nothing();
                    collector.open_ai(&body);
                });
            }
            Api::Messages => self.read(body, |collector, body: Anthropic<'_>| {
                collector.ended = body.content.is_some();
                collector.anthropic_body(&body);
            }),
            Api::Responses => self.read(body, |collector, body: ResponseBody<'_>| {
                collector.response_items(&body);
                collector.response_end(&body);
            }),
            Api::Models => {}
        }
    }

    /// The data of one event.
    pub(super) fn event(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        match self.api {
            Api::Chat | Api::Completions | Api::Embeddings => {
                if data.trim_ascii() == DONE {
                    self.ended = true;
                } else {
                    self.read(data, |collector, chunk: OpenAi<'_>| collector.open_ai(&chunk));
                }
            }
            Api::Messages => self.read(data, |collector, event: Anthropic<'_>| {
                collector.anthropic_event(&event);
            }),
            Api::Responses => {
                if data.trim_ascii() != DONE {
                    self.read(data, |collector, event: ResponseEvent<'_>| {
                        collector.response_event(&event);
                    });
                }
            }
            Api::Models => {}
        }
    }

    fn read<'a, T: serde::Deserialize<'a>>(&mut self, json: &'a [u8], take: impl Fn(&mut Self, T)) {
        match serde_json::from_slice(json) {
            Ok(read) => take(self, read),
            Err(_) => self.misread = true,
        }
    }

    fn add_text(&mut self, text: &str) {
        add(&mut self.answer.text, text, &mut self.is_text_cut);
    }

    fn add_reasoning(&mut self, text: &str) {
        add(&mut self.answer.reasoning, text, &mut self.is_reasoning_cut);
    }

    fn add_usage(&mut self, usage: &Usage) {
        let input = usage.input_tokens.map(|tokens| {
            let cached = usage.cache_creation_input_tokens.unwrap_or(0);
            let read = usage.cache_read_input_tokens.unwrap_or(0);
            tokens.saturating_add(cached).saturating_add(read)
        });
        self.prompt_tokens = usage.prompt_tokens.or(input).or(self.prompt_tokens);
        self.completion_tokens =
            usage.completion_tokens.or(usage.output_tokens).or(self.completion_tokens);
    }

    fn end_with(&mut self, reason: &Said<'_>) {
        if let Some(reason) = reason.text() {
            self.ended = true;
            self.answer.refused |= matches!(reason, "content_filter" | "refusal" | "safety");
            self.answer.has_other_parts |=
                matches!(reason, "tool_calls" | "function_call" | "tool_use" | "pause_turn");
            self.answer.finish_reason = Some(reason.to_owned());
        }
    }

    fn open_ai(&mut self, piece: &OpenAi<'_>) {
        self.misread |= !piece.error.is_nothing();
        if let Some(usage) = &piece.usage {
            self.add_usage(usage);
        }
        for choice in piece.choices.iter().flatten() {
            if choice.index.unwrap_or(0) == 0 {
                self.choice(choice);
            } else {
                self.answer.has_other_parts = true;
            }
        }
    }

    fn choice(&mut self, choice: &Choice<'_>) {
        self.part_text(&choice.text);
        for turn in choice.delta.iter().chain(&choice.message) {
            self.part_text(&turn.content);
            for reasoning in [&turn.reasoning_content, &turn.reasoning] {
                if let Some(text) = reasoning.text() {
                    self.add_reasoning(text);
                }
            }
            if let Some(text) = turn.refusal.text().filter(|text| !text.is_empty()) {
                self.answer.refused = true;
                self.add_text(text);
            }
            let others = [&turn.tool_calls, &turn.function_call, &turn.audio];
            self.answer.has_other_parts |= others.iter().any(|other| !other.is_nothing());
        }
        self.end_with(&choice.finish_reason);
    }

    /// Text, or something else in its place.
    fn part_text(&mut self, said: &Said<'_>) {
        match said {
            Said::Text(text) => self.add_text(text),
            Said::Other => self.answer.has_other_parts = true,
            Said::Nothing => {}
        }
    }

    fn anthropic_body(&mut self, body: &Anthropic<'_>) {
        self.misread |= body.kind.text() == Some("error");
        for part in body.content.iter().flatten() {
            self.part(part);
        }
        self.end_with(&body.stop_reason);
        if let Some(usage) = &body.usage {
            self.add_usage(usage);
        }
    }

    fn part(&mut self, part: &Part<'_>) {
        match part.kind.text() {
            Some("text" | "text_delta" | "output_text") => self.part_text(&part.text),
            Some("thinking" | "thinking_delta") => {
                if let Some(text) = part.thinking.text() {
                    self.add_reasoning(text);
                }
            }
            Some("refusal") => {
                self.answer.refused = true;
                self.part_text(&part.refusal);
            }
            // Signatures and citations belong to parts that are read anyway.
            Some("redacted_thinking" | "signature_delta" | "citations_delta") => {}
            _ => self.answer.has_other_parts = true,
        }
    }

    fn anthropic_event(&mut self, event: &Anthropic<'_>) {
        match event.kind.text() {
            Some("message_start") => {
                if let Some(usage) = event.message.as_ref().and_then(|m| m.usage.as_ref()) {
                    self.add_usage(usage);
                }
            }
            Some("content_block_start") => {
                if let Some(part) = &event.content_block {
                    self.part(part);
                }
            }
            Some("content_block_delta") => {
                if let Some(part) = &event.delta {
                    self.part(part);
                }
            }
            Some("message_delta") => {
                if let Some(delta) = &event.delta {
                    // It ends the answer, the next event ends the stream.
                    self.end_with(&delta.stop_reason);
                }
                if let Some(usage) = &event.usage {
                    self.add_usage(usage);
                }
            }
            Some("message_stop") => self.ended = true,
            Some("error") | None => self.misread = true,
            Some(_) => {}
        }
    }

    fn response_items(&mut self, body: &ResponseBody<'_>) {
        for item in body.output.iter().flatten() {
            match item.kind.text() {
                Some("message") => {
                    for part in item.content.iter().flatten() {
                        self.part(part);
                    }
                }
                Some("reasoning") => {
                    for part in item.summary.iter().flatten().chain(item.content.iter().flatten()) {
                        if let Some(text) = part.text.text() {
                            self.add_reasoning(text);
                        }
                    }
                }
                _ => self.answer.has_other_parts = true,
            }
        }
    }

    fn response_end(&mut self, body: &ResponseBody<'_>) {
        self.misread |= !body.error.is_nothing();
        if let Some(usage) = &body.usage {
            self.add_usage(usage);
        }
        match body.status.text() {
            Some("completed") => {
                self.ended = true;
                self.answer.finish_reason = Some("stop".to_owned());
            }
            Some("incomplete") => {
                let reason = body.incomplete_details.as_ref().map(|details| &details.reason);
                self.answer.finish_reason = Some("incomplete".to_owned());
                self.ended = true;
                if let Some(reason) = reason {
                    self.end_with(reason);
                }
            }
            _ => self.misread = true,
        }
    }

    fn response_event(&mut self, event: &ResponseEvent<'_>) {
        match event.kind.text() {
            Some("response.output_text.delta") => self.part_text(&event.delta),
            Some("response.refusal.delta") => {
                self.answer.refused = true;
                self.part_text(&event.delta);
            }
            Some("response.reasoning_text.delta" | "response.reasoning_summary_text.delta") => {
                if let Some(text) = event.delta.text() {
                    self.add_reasoning(text);
                }
            }
            Some("response.output_item.added") => {
                let kind = event.item.as_ref().and_then(|item: &OutputItem<'_>| item.kind.text());
                self.answer.has_other_parts |= !matches!(kind, Some("message" | "reasoning"));
            }
            Some("response.completed" | "response.incomplete" | "response.failed") => {
                match &event.response {
                    Some(body) => self.response_end(body),
                    None => self.misread = true,
                }
            }
            Some("error") | None => self.misread = true,
            Some(_) => {}
        }
    }
}

/// Appends within the bound, never half a character.
fn add(text: &mut String, more: &str, is_cut: &mut bool) {
    if *is_cut {
        return;
    }
    let left = TEXT_BYTES_MAX.saturating_sub(text.len());
    text.push_str(more.get(..more.floor_char_boundary(left)).unwrap_or_default());
    *is_cut = more.len() > left;
}
