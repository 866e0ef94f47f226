//! Shape of Anthropic's Messages API.

use super::openai::halves;
use super::sample::{Choice, Sample};
use serde_json::{Value, json};

fn stop_reason(choice: &Choice) -> &'static str {
    match (&choice.tool, choice.cut) {
        (Some(_), _) => "tool_use",
        (None, true) => "max_tokens",
        (None, false) => "end_turn",
    }
}

fn blocks(sample: &Sample, choice: &Choice) -> Vec<Value> {
    let mut blocks = Vec::new();
    if let Some(thinking) = choice.reasoning_text() {
        blocks.push(json!({"type": "thinking", "thinking": thinking, "signature": "bW9jaw=="}));
    }
    if let Some((name, arguments)) = &choice.tool {
        let input: Value = serde_json::from_str(arguments).unwrap_or_default();
        blocks.push(json!({"type": "tool_use", "id": format!("toolu_{}", sample.id),
                           "name": name, "input": input}));
    } else {
        blocks.push(json!({"type": "text", "text": choice.text()}));
    }
    blocks
}

fn message(sample: &Sample, content: &[Value], stop_reason: Option<&str>, output: u64) -> Value {
    json!({"id": format!("msg_{}", sample.id), "type": "message", "role": "assistant",
           "model": sample.model, "content": content, "stop_reason": stop_reason,
           "stop_sequence": null,
           "usage": {"input_tokens": sample.prompt_tokens, "cache_creation_input_tokens": 0,
                     "cache_read_input_tokens": 0, "output_tokens": output}})
}

/// `message`.
pub(super) fn whole(sample: &Sample) -> Value {
    let Some(choice) = sample.choices.first() else {
        return message(sample, &[], Some("end_turn"), 0);
    };
    let content = blocks(sample, choice);
    message(sample, &content, Some(stop_reason(choice)), sample.completion_tokens)
}

fn event(kind: &str, mut data: Value) -> String {
    data["type"] = kind.into();
    format!("event: {kind}\ndata: {data}\n\n")
}

/// The events of a streamed message.
pub(super) fn events(sample: &Sample) -> Vec<String> {
    let Some(choice) = sample.choices.first() else { return Vec::new() };
    let begun = message(sample, &[], None, 1);
    let mut events = vec![event("message_start", json!({"message": begun}))];
    for (index, block) in blocks(sample, choice).iter().enumerate() {
        let kind = block["type"].as_str().unwrap_or_default();
        let mut open = block.clone();
        match kind {
            "thinking" => {
                open["thinking"] = "".into();
                open["signature"] = "".into();
            }
            "tool_use" => open["input"] = json!({}),
            _ => open["text"] = "".into(),
        }
        events.push(event("content_block_start", json!({"index": index, "content_block": open})));
        if index == 0 {
            events.push(event("ping", json!({})));
        }
        let deltas: Vec<Value> = match kind {
            "thinking" => {
                let pieces = choice.reasoning.iter().flatten();
                let mut deltas: Vec<Value> =
                    pieces.map(|p| json!({"type": "thinking_delta", "thinking": p})).collect();
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
                deltas
            }
            "tool_use" => halves(&block["input"].to_string())
                .into_iter()
                .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                .collect(),
            _ => choice.tokens.iter().map(|t| json!({"type": "text_delta", "text": t})).collect(),
        };
        for delta in deltas {
            events.push(event("content_block_delta", json!({"index": index, "delta": delta})));
        }
        events.push(event("content_block_stop", json!({"index": index})));
    }
    let delta = json!({"delta": {"stop_reason": stop_reason(choice), "stop_sequence": null},
                       "usage": {"output_tokens": sample.completion_tokens}});
    events.push(event("message_delta", delta));
    events.push(event("message_stop", json!({})));
    events
}

/// An error.
pub(super) fn error(status: u16) -> Value {
    let kind = match status {
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error",
           "error": {"type": kind, "message": format!("the mock upstream answers {status}, as told")}})
}
