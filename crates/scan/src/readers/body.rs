//! Requests and answers as providers spell them. Products wrap these bodies; what is inside is
//! told apart by its shape: OpenAI's chat, completions and responses, Anthropic's messages, and
//! streams of any of them.
//!
//! Sources: openai/openai-python `types/chat/chat_completion.py` (commit 04448952),
//! anthropics/anthropic-sdk-python `types/message.py` and `types/usage.py` (commit 0c20cf40). The
//! Responses interface and Anthropic's list of events are from general knowledge of both.

mod stream;

use super::json::Json;
use super::times::time_ms;
use crate::row::LogRow;
use std::borrow::Cow;

/// Sampling parameters that are kept, to ask again.
const PARAMS: [&str; 22] = [
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "stop",
    "stop_sequences",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "stream",
    "tools",
    "functions",
    "tool_choice",
    "response_format",
    "reasoning_effort",
    "thinking",
    "logit_bias",
];

/// A request. What the row has already is kept.
pub(super) fn request<'b>(row: &mut LogRow<'b>, body: &'b Json<'b>) {
    if body.str().is_some() {
        row.user = body.text();
        row.n_messages = 1;
        return;
    }
    if row.model.is_empty() {
        row.model = body.get("model").text();
    }
    if row.account.is_none() {
        let named = body.first(&["safety_identifier", "user"]).name();
        row.account = named.or_else(|| body.at(&["metadata", "user_id"]).name());
    }
    let talk = body.first(&["messages", "input", "prompt", "contents"]);
    messages(row, talk);
    let system = body.first(&["system", "instructions"]);
    if system.is_filled() {
        set_system(row, system);
    }
    params(row, body);
}

/// A list of messages, a text, or an object that holds either.
pub(super) fn messages<'b>(row: &mut LogRow<'b>, talk: &'b Json<'b>) {
    match talk {
        Json::Text(text) if !text.is_empty() => {
            row.user = Cow::Borrowed(text);
            row.n_messages = 1;
            let message = Json::Map(vec![
                ("role".into(), Json::Text("user".into())),
                ("content".into(), Json::Text(Cow::Borrowed(text))),
            ]);
            row.messages_json = Json::List(vec![message]).to_json().into();
        }
        // Several prompts of a completion: the last one stands for all.
        Json::List(items) if items.iter().all(|item| item.str().is_some()) => {
            row.n_messages = u32::try_from(items.len()).unwrap_or(u32::MAX);
            row.user = items.last().map(Json::text).unwrap_or_default();
        }
        Json::List(items) => {
            row.n_messages = u32::try_from(items.len()).unwrap_or(u32::MAX);
            let role = |item: &Json<'_>, roles: &[&str]| {
                item.get("role").str().is_some_and(|role| roles.contains(&role))
            };
            let mut systems = items.iter().filter(|item| role(item, &["system", "developer"]));
            if let Some(first) = systems.next() {
                row.system = said(first);
            }
            // Results of tools come under the user's name with some providers; they hold no text.
            let users = items.iter().rev().filter(|item| role(item, &["user"]));
            if let Some(text) = users.map(said).find(|text| !text.is_empty()) {
                row.user = text;
            }
            row.messages_json = talk.to_json().into();
        }
        Json::Map(_) => {
            messages(row, talk.get("messages"));
            let system = talk.get("system");
            if system.is_filled() {
                set_system(row, system);
            }
        }
        _ => {}
    }
}

/// A system prompt that stands beside the messages.
fn set_system<'b>(row: &mut LogRow<'b>, system: &'b Json<'b>) {
    row.system = content(system);
    if let Some(rest) = row.messages_json.strip_prefix('[') {
        let message = Json::Map(vec![
            ("role".into(), Json::Text("system".into())),
            ("content".into(), Json::Text(Cow::Borrowed(&row.system))),
        ]);
        let comma = if rest == "]" { "" } else { "," };
        row.messages_json = format!("[{}{comma}{rest}", message.to_json()).into();
    }
}

/// Sampling parameters, wherever they lie.
pub(super) fn params<'b>(row: &mut LogRow<'b>, body: &'b Json<'b>) {
    let limit = body.first(&["max_completion_tokens", "max_tokens", "max_output_tokens"]).count();
    row.max_tokens = row.max_tokens.or(limit);
    row.temperature = row.temperature.or(body.get("temperature").f32());
    row.top_p = row.top_p.or(body.get("top_p").f32());
    row.stream |= body.get("stream").bool().unwrap_or_default();
    let logprobs = body.get("logprobs");
    row.logprobs |= logprobs.bool().unwrap_or_default() || logprobs.count().is_some();
    row.tools |= body.first(&["tools", "functions"]).is_filled();
    let kept = body
        .entries()
        .iter()
        .filter(|(key, value)| PARAMS.contains(&key.as_ref()) && !value.is_null());
    let kept: Vec<_> = kept.cloned().collect();
    if !kept.is_empty() {
        row.params_json = Json::Map(kept).to_json().into();
    }
}

/// An answer: a body, the text of a stream, or the list of its pieces. What the row has already
/// is kept.
pub(super) fn response<'b>(row: &mut LogRow<'b>, body: &'b Json<'b>) {
    match body {
        Json::Text(text) if stream::is_one(text) => stream::text(row, text),
        Json::Text(text) => row.response = Cow::Borrowed(text),
        Json::List(pieces) => stream::pieces(row, pieces),
        Json::Map(_) => whole(row, body),
        _ => {}
    }
}

fn whole<'b>(row: &mut LogRow<'b>, body: &'b Json<'b>) {
    if row.id.is_empty() {
        row.id = body.get("id").text();
    }
    if row.model.is_empty() {
        row.model = body.get("model").text();
    }
    row.time_ms = row.time_ms.or_else(|| time_ms(body.first(&["created", "created_at"])));
    usage(row, body.get("usage"));
    row.failed |= body.get("error").is_filled() || body.get("type").str() == Some("error");
    if let Some(choice) = body.get("choices").list().first() {
        let message = choice.get("message");
        row.response = match choice.get("text") {
            Json::Null => content(message.get("content")),
            text => text.text(),
        };
        row.finish_reason = choice.get("finish_reason").text();
        row.failed |= message.get("refusal").is_filled();
        row.failed |= row.finish_reason == "content_filter";
    } else if body.get("output").is_filled() && body.get("content").is_null() {
        let items = body.get("output").list();
        let is_message = |item: &&Json<'_>| {
            item.get("role").str() == Some("assistant") || item.get("type").str() == Some("message")
        };
        let texts = items.iter().filter(is_message).map(|item| content(item.get("content")));
        row.response = joined(texts);
        row.finish_reason = match body.at(&["incomplete_details", "reason"]).text() {
            reason if reason.is_empty() => body.get("status").text(),
            reason => reason,
        };
        row.failed |= body.get("status").str() == Some("failed");
    } else {
        // An Anthropic message, or a bare message of a chat.
        row.response = content(body.first(&["content", "output_text", "completion"]));
        row.finish_reason = body.first(&["stop_reason", "finish_reason"]).text();
        row.failed |= row.finish_reason == "refusal";
    }
}

/// Counts of tokens, whoever counts. Anthropic counts what its cache held beside the input,
/// OpenAI within it.
pub(super) fn usage<'b>(row: &mut LogRow<'b>, usage: &'b Json<'b>) {
    if let Some(n) = usage.get("prompt_tokens").count() {
        row.prompt_tokens = n;
    } else if let Some(n) = usage.get("input_tokens").count() {
        let cached = ["cache_creation_input_tokens", "cache_read_input_tokens"];
        let cached = cached.map(|key| usage.get(key).count().unwrap_or_default());
        row.prompt_tokens = cached.into_iter().fold(n, u32::saturating_add);
    }
    if let Some(n) = usage.first(&["completion_tokens", "output_tokens"]).count() {
        row.completion_tokens = n;
    }
}

/// What a message says.
pub(super) fn said<'b>(message: &'b Json<'b>) -> Cow<'b, str> {
    content(message.first(&["content", "parts", "text"]))
}

/// The text of a message's content: a text, or a list of parts of which some are text.
pub(super) fn content<'b>(content: &'b Json<'b>) -> Cow<'b, str> {
    match content {
        Json::Text(text) => Cow::Borrowed(text),
        Json::List(parts) => joined(parts.iter().map(part)),
        Json::Map(_) => part(content),
        _ => Cow::Borrowed(""),
    }
}

fn part<'b>(part: &'b Json<'b>) -> Cow<'b, str> {
    let kind = part.get("type").str().unwrap_or("text");
    match part {
        Json::Text(text) => Cow::Borrowed(text),
        // Thoughts, calls of tools and their results are no text of the talk.
        Json::Map(_) if matches!(kind, "text" | "input_text" | "output_text" | "raw_text") => {
            part.first(&["text", "content", "value"]).str().map_or(Cow::Borrowed(""), Cow::Borrowed)
        }
        _ => Cow::Borrowed(""),
    }
}

/// Texts behind each other; borrowed where there is one.
fn joined<'b>(texts: impl Iterator<Item = Cow<'b, str>>) -> Cow<'b, str> {
    texts.fold(Cow::Borrowed(""), |all, text| match (all.is_empty(), text.is_empty()) {
        (true, _) => text,
        (false, true) => all,
        (false, false) => Cow::Owned(all.into_owned() + &text),
    })
}
