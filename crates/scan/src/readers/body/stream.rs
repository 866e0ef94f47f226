//! Streams that were logged as they came: server-sent events as text, or the list of pieces.

use super::{content, usage, whole};
use crate::readers::json::Json;
use crate::readers::times::time_ms;
use crate::row::LogRow;
use std::borrow::Cow;

/// Whether a text is a stream of events.
pub(super) fn is_one(text: &str) -> bool {
    let text = text.trim_start();
    ["data:", "event:", ":"].iter().any(|begin| text.starts_with(begin)) && text.contains("data:")
}

/// Puts a stream of events together. Events that can't be read are passed over: logs cut them.
pub(super) fn text(row: &mut LogRow<'_>, text: &str) {
    row.stream = true;
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    let events = data.filter_map(|data| {
        let mut event = Json::Text(Cow::Borrowed(data));
        event.expand_self();
        event.is_map().then_some(event)
    });
    let mut answer = Answer::default();
    for event in events {
        answer.take(row, &event);
    }
    answer.finish(row);
}

/// Puts the pieces of a stream together, or takes a list of messages for what it is.
pub(super) fn pieces<'b>(row: &mut LogRow<'b>, pieces: &'b [Json<'b>]) {
    let is_piece = |piece: &Json<'_>| {
        let choice = piece.get("choices").list().first();
        choice.is_some_and(|choice| choice.has("delta")) || is_event(piece)
    };
    if pieces.iter().any(is_piece) {
        row.stream = true;
        let mut answer = Answer::default();
        for piece in pieces {
            answer.take(row, piece);
        }
        answer.finish(row);
    } else if let Some(last) = pieces.iter().rev().find(|p| p.has("choices") || p.has("role")) {
        whole(row, last);
    } else {
        row.response = super::joined(pieces.iter().map(super::part));
    }
}

fn is_event(event: &Json<'_>) -> bool {
    let kind = event.get("type").str().unwrap_or_default();
    kind.starts_with("message_")
        || kind.starts_with("content_block")
        || kind.starts_with("response.")
}

/// An answer that is put together.
#[derive(Default)]
struct Answer {
    text: String,
    finish_reason: String,
}

impl Answer {
    fn take(&mut self, row: &mut LogRow<'_>, event: &Json<'_>) {
        row.failed |= event.get("error").is_filled();
        match event.get("type").str() {
            Some("message_start") => Self::head(row, event.get("message")),
            Some("content_block_delta") => {
                self.text.push_str(event.at(&["delta", "text"]).str().unwrap_or_default());
            }
            Some("message_delta") => {
                self.ended(event.at(&["delta", "stop_reason"]));
                tokens(row, event.get("usage"));
            }
            Some("response.output_text.delta") => {
                self.text.push_str(event.get("delta").str().unwrap_or_default());
            }
            Some("response.created") => Self::head(row, event.get("response")),
            Some("response.completed" | "response.incomplete" | "response.failed") => {
                let response = event.get("response");
                Self::head(row, response);
                self.ended(response.get("status"));
                row.failed |= response.get("status").str() == Some("failed");
            }
            Some("error") => row.failed = true,
            _ => self.chunk(row, event),
        }
    }

    /// A chunk of a chat or a completion. Of several choices the first one counts.
    fn chunk(&mut self, row: &mut LogRow<'_>, event: &Json<'_>) {
        Self::head(row, event);
        for choice in event.get("choices").list() {
            if choice.get("index").count().unwrap_or_default() == 0 {
                let delta = content(choice.at(&["delta", "content"]));
                self.text.push_str(&delta);
                self.text.push_str(choice.get("text").str().unwrap_or_default());
                self.ended(choice.get("finish_reason"));
            }
        }
    }

    fn head(row: &mut LogRow<'_>, head: &Json<'_>) {
        if row.id.is_empty() {
            row.id = head.get("id").text().into_owned().into();
        }
        if row.model.is_empty() {
            row.model = head.get("model").text().into_owned().into();
        }
        row.time_ms = row.time_ms.or_else(|| time_ms(head.first(&["created", "created_at"])));
        tokens(row, head.get("usage"));
    }

    fn ended(&mut self, reason: &Json<'_>) {
        if let Some(reason) = reason.name() {
            self.finish_reason = reason.into_owned();
        }
    }

    fn finish(self, row: &mut LogRow<'_>) {
        row.response = self.text.into();
        row.failed |= matches!(self.finish_reason.as_str(), "content_filter" | "refusal");
        row.finish_reason = self.finish_reason.into();
    }
}

/// Counts of tokens from a value that doesn't outlive the row.
fn tokens(row: &mut LogRow<'_>, counts: &Json<'_>) {
    let mut counted = LogRow::default();
    usage(&mut counted, counts);
    // Anthropic's last event repeats the output alone.
    if counted.prompt_tokens > 0 {
        row.prompt_tokens = counted.prompt_tokens;
    }
    if counted.completion_tokens > 0 {
        row.completion_tokens = counted.completion_tokens;
    }
}
