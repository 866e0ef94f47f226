//! OpenTelemetry: spans and events of the conventions for generative models.
//!
//! Sources: open-telemetry/semantic-conventions `docs/gen-ai/gen-ai-spans.md` (commit 01d94504)
//! and `gen-ai-events.md` (commit 00c5325a), status Development. Names up to 1.36, the layout of
//! OTLP/JSON, `user.id` and `client.address` are from general knowledge of the conventions. A line
//! is a batch (`resourceSpans`, `resourceLogs`), one span, or a flat record of attributes. Of
//! operations, chats and completions are exchanges; embeddings, tools and agents are passed over.
//! Events of single messages are joined where one batch holds them.

use super::Out;
use crate::readers::body;
use crate::readers::json::Json;
use crate::readers::times::time_ms;
use crate::row::LogRow;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Attributes that may hold JSON as text.
const JSON_ATTRIBUTES: [&str; 7] = [
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.tool.definitions",
    "gen_ai.response.finish_reasons",
];
const DETAILS: &str = "gen_ai.client.inference.operation.details";
const OPERATIONS: [&str; 3] = ["chat", "text_completion", "generate_content"];

pub(super) fn looks(record: &Json<'_>) -> Option<&'static str> {
    if record.has("resourceSpans") || record.has("resourceLogs") || record.has("scopeSpans") {
        return Some("resourceSpans or resourceLogs are there: a batch");
    }
    let is_ours = |key: &str| key.starts_with("gen_ai.");
    let inside = record.get("attributes");
    let flat = record.entries().iter().chain(inside.entries()).any(|(key, _)| is_ours(key))
        || inside.list().iter().any(|one| one.get("key").str().is_some_and(is_ours));
    flat.then_some("it has gen_ai attributes")
}

pub(super) fn read(record: &Json<'_>, out: Out<'_>) {
    let nothing = Json::Null;
    if looks(record).is_none() {
        return;
    }
    for resource in record.get("resourceSpans").list() {
        let shared = resource.at(&["resource", "attributes"]);
        spans(resource, shared, out);
    }
    for resource in record.get("resourceLogs").list() {
        let shared = resource.at(&["resource", "attributes"]);
        logs(resource, shared, out);
    }
    if record.has("scopeSpans") {
        spans(record, record.at(&["resource", "attributes"]), out);
    }
    if !(record.has("resourceSpans") || record.has("resourceLogs") || record.has("scopeSpans")) {
        let here = record.get("attributes");
        let attributes = if here.is_filled() { here } else { record };
        span(record, attributes, &nothing, out);
    }
}

fn spans(resource: &Json<'_>, shared: &Json<'_>, out: Out<'_>) {
    let scopes = resource.first(&["scopeSpans", "instrumentationLibrarySpans"]).list();
    for one in scopes.iter().flat_map(|scope| scope.get("spans").list()) {
        span(one, one.get("attributes"), shared, out);
    }
}

/// A span, with the events on it.
fn span(span: &Json<'_>, attributes: &Json<'_>, shared: &Json<'_>, out: Out<'_>) {
    let mut attributes = flat(attributes, shared);
    for event in span.get("events").list() {
        let inside = flat(event.get("attributes"), &Json::Null);
        let name = event.get("name").str().unwrap_or_default();
        if let Json::Map(entries) = inside.json {
            if name == DETAILS || name.starts_with("gen_ai.content.") {
                attributes.extend(entries);
            } else if is_message_event(name) {
                message(&mut attributes, name, &Json::Map(entries));
            }
        }
    }
    row(span, &attributes, out);
}

fn logs(resource: &Json<'_>, shared: &Json<'_>, out: Out<'_>) {
    let mut talks: BTreeMap<(&str, &str), (&Json<'_>, Attributes)> = BTreeMap::new();
    let scopes = resource.get("scopeLogs").list();
    for record in scopes.iter().flat_map(|scope| scope.get("logRecords").list()) {
        let attributes = flat(record.get("attributes"), shared);
        let named = attributes.json.get("event.name").str().map(str::to_owned);
        let name = record.get("eventName").str().map(str::to_owned).or(named).unwrap_or_default();
        let body = any_value(record.get("body"));
        if name == DETAILS {
            let mut attributes = attributes;
            if let Json::Map(entries) = body {
                attributes.extend(entries);
            }
            row(record, &attributes, out);
        } else if is_message_event(&name) {
            let id = |key: &str| record.get(key).str().unwrap_or_default();
            let key = (id("traceId"), id("spanId"));
            let talk = talks.entry(key).or_insert((record, attributes));
            message(&mut talk.1, &name, &body);
        }
    }
    for (record, attributes) in talks.into_values() {
        row(record, &attributes, out);
    }
}

fn is_message_event(name: &str) -> bool {
    name == "gen_ai.choice" || (name.starts_with("gen_ai.") && name.ends_with(".message"))
}

/// Takes an event of one message into the talk, in the shape of today's attributes.
fn message(attributes: &mut Attributes, name: &str, event: &Json<'_>) {
    let is_answer = name == "gen_ai.choice";
    let role = name.strip_prefix("gen_ai.").and_then(|name| name.strip_suffix(".message"));
    let inner = if is_answer { event.get("message") } else { event };
    let text = match inner {
        Json::Text(text) => Json::Text(text.clone()),
        other => other.first(&["content", "gen_ai.event.content"]).clone(),
    };
    let entry = |key: &'static str, value: Json<'_>| (Cow::Borrowed(key), value.into_owned());
    let mut one = vec![
        entry("role", Json::Text(role.unwrap_or("assistant").to_owned().into())),
        entry("content", text),
    ];
    let reason = event.get("finish_reason");
    if !reason.is_null() {
        one.push(entry("finish_reason", reason.clone()));
    }
    let key = if is_answer { "gen_ai.output.messages" } else { "gen_ai.input.messages" };
    attributes.append(key, Json::Map(one));
}

/// Attributes by name, with texts of their own.
struct Attributes {
    json: Json<'static>,
}

impl Attributes {
    /// Names given again count as they are given last.
    fn extend(&mut self, more: Vec<(Cow<'_, str>, Json<'_>)>) {
        let Json::Map(entries) = &mut self.json else { return };
        for (key, value) in more {
            entries.retain(|(old, _)| *old != key);
            entries.push((Cow::Owned(key.into_owned()), value.into_owned()));
        }
    }

    fn append(&mut self, key: &'static str, item: Json<'static>) {
        let Json::Map(entries) = &mut self.json else { return };
        match entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, Json::List(items))) => items.push(item),
            Some((_, other)) => *other = Json::List(vec![item]),
            None => entries.push((key.into(), Json::List(vec![item]))),
        }
    }
}

/// Attributes of either layout, a list of keys and values or a map, over those of the resource.
fn flat(attributes: &Json<'_>, shared: &Json<'_>) -> Attributes {
    let mut all = Attributes { json: Json::Map(Vec::new()) };
    for layer in [shared, attributes] {
        let listed = layer.list().iter().filter_map(|one| {
            let key = one.get("key").str()?.to_owned();
            Some((Cow::Owned(key), any_value(one.get("value"))))
        });
        let mapped = layer.entries().iter().map(|(key, value)| (key.clone(), value.clone()));
        let entries: Vec<_> = listed.chain(mapped).collect();
        all.extend(entries);
    }
    all.json.expand(&JSON_ATTRIBUTES);
    all
}

/// A value of OTLP/JSON without its wrapper; a plain one as it is.
fn any_value<'b>(value: &'b Json<'b>) -> Json<'b> {
    let Json::Map(entries) = value else { return value.clone() };
    let [(kind, inner)] = entries.as_slice() else { return value.clone() };
    match kind.as_ref() {
        "stringValue" | "intValue" | "doubleValue" | "boolValue" | "bytesValue" => inner.clone(),
        "arrayValue" => Json::List(inner.get("values").list().iter().map(any_value).collect()),
        "kvlistValue" => {
            let entries = inner.get("values").list().iter();
            let entry = |one: &'b Json<'b>| (one.get("key").text(), any_value(one.get("value")));
            Json::Map(entries.map(entry).collect())
        }
        _ => value.clone(),
    }
}

/// A span or an event as an exchange, where it is one.
fn row(record: &Json<'_>, attributes: &Attributes, out: Out<'_>) {
    let attributes = &attributes.json;
    let is_ours = attributes.entries().iter().any(|(key, _)| key.starts_with("gen_ai."));
    let operation = attributes.get("gen_ai.operation.name").str();
    if !is_ours || operation.is_some_and(|operation| !OPERATIONS.contains(&operation)) {
        return;
    }
    let get = |names: &[&str]| attributes.first(names);
    let times = ["startTimeUnixNano", "start_time_unix_nano", "timeUnixNano", "start_time"];
    let later = ["observedTimeUnixNano", "timestamp", "time"];
    let mut row = LogRow {
        id: get(&["gen_ai.response.id"]).text(),
        account: get(&["user.id", "enduser.id", "gen_ai.user.id", "gen_ai.request.user"]).name(),
        time_ms: time_ms(record.first(&times)).or_else(|| time_ms(record.first(&later))),
        model: get(&["gen_ai.request.model", "gen_ai.response.model"]).text(),
        max_tokens: get(&["gen_ai.request.max_tokens"]).count(),
        temperature: get(&["gen_ai.request.temperature"]).f32(),
        top_p: get(&["gen_ai.request.top_p"]).f32(),
        ip: get(&["client.address", "http.client_ip", "client.socket.address"]).text(),
        user_agent: get(&["user_agent.original", "http.user_agent"]).text(),
        tools: get(&["gen_ai.tool.definitions"]).is_filled(),
        stream: get(&["gen_ai.request.stream", "llm.is_streaming"]).bool().unwrap_or_default(),
        ..LogRow::default()
    };
    if row.id.is_empty() {
        row.id = record.first(&["spanId", "span_id"]).text();
    }
    let status = record.at(&["status", "code"]);
    row.failed = matches!(status.str(), Some("STATUS_CODE_ERROR" | "ERROR"))
        || status.count() == Some(2)
        || get(&["error.type"]).is_filled();
    body::messages(&mut row, get(&["gen_ai.input.messages", "gen_ai.prompt"]));
    let system = get(&["gen_ai.system_instructions"]);
    if system.is_filled() {
        row.system = body::content(system);
    }
    let answers = get(&["gen_ai.output.messages", "gen_ai.completion"]);
    match answers {
        Json::List(messages) => {
            let first = messages.first().unwrap_or(&Json::Null);
            row.response = body::said(first);
            row.finish_reason = first.get("finish_reason").text();
        }
        other => body::response(&mut row, other),
    }
    if row.finish_reason.is_empty() {
        let reasons = get(&["gen_ai.response.finish_reasons"]);
        row.finish_reason = reasons.list().first().unwrap_or(reasons).text();
    }
    let prompt = get(&["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]).count();
    row.prompt_tokens = prompt.unwrap_or_default();
    let answer = get(&["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"]).count();
    row.completion_tokens = answer.unwrap_or_default();
    out(&row);
}
