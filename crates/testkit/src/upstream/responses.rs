//! Shape of the Responses API: items, and the named events of its streams.

use super::openai::{CREATED, halves};
use super::sample::{Choice, Sample};
use serde_json::{Value, json};

fn ids(sample: &Sample) -> [String; 3] {
    ["rs", "msg", "fc"].map(|prefix| format!("{prefix}_{}", sample.id))
}

/// Output items of the only choice, in order.
fn items(sample: &Sample, choice: &Choice) -> Vec<Value> {
    let [reasoning_id, message_id, call_id] = ids(sample);
    let mut items = Vec::new();
    if let Some(text) = choice.reasoning_text() {
        items.push(json!({"id": reasoning_id, "type": "reasoning",
                          "summary": [{"type": "summary_text", "text": text}]}));
    }
    if let Some((name, arguments)) = &choice.tool {
        items.push(json!({"id": call_id, "type": "function_call", "status": "completed",
            "call_id": format!("call_{}", sample.id), "name": name, "arguments": arguments}));
    } else {
        items.push(json!({"id": message_id, "type": "message", "status": "completed",
            "role": "assistant", "content": [
                {"type": "output_text", "text": choice.text(), "annotations": [], "logprobs": []}]}));
    }
    items
}

fn response(sample: &Sample, status: &str, output: &[Value]) -> Value {
    let done = status != "in_progress";
    let usage = done.then(|| {
        json!({"input_tokens": sample.prompt_tokens,
               "input_tokens_details": {"cached_tokens": 0},
               "output_tokens": sample.completion_tokens,
               "output_tokens_details": {"reasoning_tokens": 0},
               "total_tokens": sample.prompt_tokens + sample.completion_tokens})
    });
    let cut = status == "incomplete";
    let details = cut.then(|| json!({"reason": "max_output_tokens"}));
    json!({"id": format!("resp_{}", sample.id), "object": "response", "created_at": CREATED,
           "status": status, "error": null, "incomplete_details": details, "instructions": null,
           "metadata": {}, "model": sample.model, "output": output, "parallel_tool_calls": true,
           "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "usage": usage})
}

fn status(choice: &Choice) -> &'static str {
    if choice.cut && choice.tool.is_none() { "incomplete" } else { "completed" }
}

/// `response`.
pub(super) fn whole(sample: &Sample) -> Value {
    match sample.choices.first() {
        Some(choice) => response(sample, status(choice), &items(sample, choice)),
        None => response(sample, "completed", &[]),
    }
}

/// Numbers and names the events.
#[derive(Default)]
struct Events(Vec<String>);

impl Events {
    fn push(&mut self, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = self.0.len().into();
        self.0.push(format!("event: {kind}\ndata: {data}\n\n"));
    }
}

/// The events of a streamed response.
pub(super) fn events(sample: &Sample) -> Vec<String> {
    let mut events = Events::default();
    let Some(choice) = sample.choices.first() else { return events.0 };
    let begun = response(sample, "in_progress", &[]);
    events.push("response.created", json!({"response": begun}));
    events.push("response.in_progress", json!({"response": begun}));
    let items = items(sample, choice);
    for (index, item) in items.iter().enumerate() {
        let mut open = item.clone();
        match item["type"].as_str() {
            Some("reasoning") => open["summary"] = json!([]),
            Some("function_call") => {
                open["arguments"] = "".into();
                open["status"] = "in_progress".into();
            }
            _ => {
                open["content"] = json!([]);
                open["status"] = "in_progress".into();
            }
        }
        events.push("response.output_item.added", json!({"output_index": index, "item": open}));
        let place = json!({"item_id": item["id"], "output_index": index});
        match item["type"].as_str() {
            Some("reasoning") => reasoning(&mut events, &place, choice),
            Some("function_call") => call(&mut events, &place, choice),
            _ => text(&mut events, &place, choice),
        }
        events.push("response.output_item.done", json!({"output_index": index, "item": item}));
    }
    let status = status(choice);
    let last = response(sample, status, &items);
    events.push(&format!("response.{status}"), json!({"response": last}));
    events.0
}

fn with(place: &Value, fields: &[(&str, Value)]) -> Value {
    let mut data = place.clone();
    for (name, value) in fields {
        data[*name] = value.clone();
    }
    data
}

fn reasoning(events: &mut Events, place: &Value, choice: &Choice) {
    let place = with(place, &[("summary_index", 0.into())]);
    let part = |text: &str| json!({"type": "summary_text", "text": text});
    events.push("response.reasoning_summary_part.added", with(&place, &[("part", part(""))]));
    for piece in choice.reasoning.iter().flatten() {
        let data = with(&place, &[("delta", piece.as_str().into())]);
        events.push("response.reasoning_summary_text.delta", data);
    }
    let text = choice.reasoning_text().unwrap_or_default();
    let data = with(&place, &[("text", text.as_str().into())]);
    events.push("response.reasoning_summary_text.done", data);
    events.push("response.reasoning_summary_part.done", with(&place, &[("part", part(&text))]));
}

fn call(events: &mut Events, place: &Value, choice: &Choice) {
    let Some((_, arguments)) = &choice.tool else { return };
    for piece in halves(arguments) {
        let data = with(place, &[("delta", piece.into())]);
        events.push("response.function_call_arguments.delta", data);
    }
    let data = with(place, &[("arguments", arguments.as_str().into())]);
    events.push("response.function_call_arguments.done", data);
}

fn text(events: &mut Events, place: &Value, choice: &Choice) {
    let place = with(place, &[("content_index", 0.into())]);
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    events.push("response.content_part.added", with(&place, &[("part", part(""))]));
    for token in &choice.tokens {
        let data = with(&place, &[("delta", token.as_str().into()), ("logprobs", json!([]))]);
        events.push("response.output_text.delta", data);
    }
    let text = choice.text();
    let data = with(&place, &[("text", text.as_str().into()), ("logprobs", json!([]))]);
    events.push("response.output_text.done", data);
    events.push("response.content_part.done", with(&place, &[("part", part(&text))]));
}
