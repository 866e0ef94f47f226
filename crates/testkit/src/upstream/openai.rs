//! Shapes of chat, completions, embeddings and models.

use super::sample::{Choice, Sample, hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A fixed moment, so that answers are functions of seed and request.
pub(super) const CREATED: u64 = 1_700_000_000;

/// One server-sent event without a name.
fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

const DONE: &str = "data: [DONE]\n\n";

fn usage(sample: &Sample) -> Value {
    json!({
        "prompt_tokens": sample.prompt_tokens,
        "completion_tokens": sample.completion_tokens,
        "total_tokens": sample.prompt_tokens + sample.completion_tokens,
    })
}

fn logprob(token: &str) -> Value {
    let logprob = -f64::from(hash(token.as_bytes()).to_be_bytes()[0]) / 64.0;
    json!({"token": token, "logprob": logprob, "bytes": token.as_bytes(), "top_logprobs": []})
}

fn finish_reason(choice: &Choice) -> &'static str {
    match (&choice.tool, choice.cut) {
        (Some(_), _) => "tool_calls",
        (None, true) => "length",
        (None, false) => "stop",
    }
}

/// `chat.completion`.
pub(super) fn chat(sample: &Sample) -> Value {
    let choices: Vec<Value> = sample
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let mut message =
                json!({"role": "assistant", "content": choice.text(), "refusal": null});
            if let Some(reasoning) = choice.reasoning_text() {
                message["reasoning_content"] = reasoning.into();
            }
            if let Some((name, arguments)) = &choice.tool {
                message["content"] = Value::Null;
                message["tool_calls"] = json!([{
                    "id": format!("call_{}", sample.id), "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }]);
            }
            let logprobs = sample.logprobs.then(
                || json!({"content": choice.tokens.iter().map(|t| logprob(t)).collect::<Vec<_>>()}),
            );
            json!({"index": index, "message": message, "logprobs": logprobs,
                   "finish_reason": finish_reason(choice)})
        })
        .collect();
    json!({"id": format!("chatcmpl-{}", sample.id), "object": "chat.completion",
           "created": CREATED, "model": sample.model, "choices": choices, "usage": usage(sample),
           "system_fingerprint": "fp_mock"})
}

/// `chat.completion.chunk`s.
pub(super) fn chat_events(sample: &Sample) -> Vec<String> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({"id": format!("chatcmpl-{}", sample.id),
            "object": "chat.completion.chunk", "created": CREATED, "model": sample.model,
            "system_fingerprint": "fp_mock", "choices": choices});
        if sample.include_usage {
            chunk["usage"] = usage.unwrap_or_default();
        }
        event(&chunk)
    };
    let one = |index: usize, delta: Value, logprobs: Option<Value>, finish: Option<&str>| {
        let choice =
            json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish});
        chunk(json!([choice]), None)
    };
    let mut events = Vec::new();
    for (index, choice) in sample.choices.iter().enumerate() {
        events.push(one(index, json!({"role": "assistant", "content": ""}), None, None));
        for piece in choice.reasoning.iter().flatten() {
            events.push(one(index, json!({"reasoning_content": piece}), None, None));
        }
        if let Some((name, arguments)) = &choice.tool {
            let call = json!([{"index": 0, "id": format!("call_{}", sample.id),
                "type": "function", "function": {"name": name, "arguments": ""}}]);
            events.push(one(index, json!({"tool_calls": call}), None, None));
            for piece in halves(arguments) {
                let call = json!([{"index": 0, "function": {"arguments": piece}}]);
                events.push(one(index, json!({"tool_calls": call}), None, None));
            }
        } else {
            for token in &choice.tokens {
                let logprobs = sample.logprobs.then(|| json!({"content": [logprob(token)]}));
                events.push(one(index, json!({"content": token}), logprobs, None));
            }
        }
        events.push(one(index, json!({}), None, Some(finish_reason(choice))));
    }
    if sample.include_usage {
        events.push(chunk(json!([]), Some(usage(sample))));
    }
    events.push(DONE.to_owned());
    events
}

/// The two halves of a text.
pub(super) fn halves(text: &str) -> [String; 2] {
    let middle = text.chars().count() / 2;
    [text.chars().take(middle).collect(), text.chars().skip(middle).collect()]
}

/// `text_completion`.
pub(super) fn completion(sample: &Sample) -> Value {
    let choices: Vec<Value> = sample
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let logprobs = sample.logprobs.then(|| {
                json!({"tokens": choice.tokens,
                       "token_logprobs": choice.tokens.iter()
                           .map(|t| logprob(t)["logprob"].clone()).collect::<Vec<_>>()})
            });
            json!({"index": index, "text": choice.text(), "logprobs": logprobs,
                   "finish_reason": if choice.cut { "length" } else { "stop" }})
        })
        .collect();
    json!({"id": format!("cmpl-{}", sample.id), "object": "text_completion", "created": CREATED,
           "model": sample.model, "choices": choices, "usage": usage(sample)})
}

/// Events of a streamed completion.
pub(super) fn completion_events(sample: &Sample) -> Vec<String> {
    let chunk = |choices: Value| {
        json!({"id": format!("cmpl-{}", sample.id), "object": "text_completion",
               "created": CREATED, "model": sample.model, "choices": choices})
    };
    let mut events = Vec::new();
    for (index, choice) in sample.choices.iter().enumerate() {
        for token in &choice.tokens {
            let one =
                json!([{"index": index, "text": token, "logprobs": null, "finish_reason": null}]);
            events.push(event(&chunk(one)));
        }
        let finish = if choice.cut { "length" } else { "stop" };
        let one = json!([{"index": index, "text": "", "logprobs": null, "finish_reason": finish}]);
        events.push(event(&chunk(one)));
    }
    if sample.include_usage {
        let mut last = chunk(json!([]));
        last["usage"] = usage(sample);
        events.push(event(&last));
    }
    events.push(DONE.to_owned());
    events
}

/// Embeddings: unit-free numbers by the text's hash, as floats or base64 as asked.
pub(super) fn embeddings(body: &Value) -> Value {
    let one = [body["input"].clone()];
    let inputs = match &body["input"] {
        Value::Array(inputs) if inputs.iter().any(Value::is_string) => inputs.as_slice(),
        _ => one.as_slice(),
    };
    let dimensions = body["dimensions"].as_u64().unwrap_or(8).clamp(1, 4_096);
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let text = input.to_string();
            let floats: Vec<f32> = (0..dimensions)
                .map(|d| {
                    let h = hash(format!("{d}:{text}").as_bytes());
                    f32::from(h.to_be_bytes()[0]) / 255.0 - 0.5
                })
                .collect();
            let embedding = if body["encoding_format"] == "base64" {
                let bytes: Vec<u8> = floats.iter().flat_map(|f| f.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(floats)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens = body["input"].to_string().split_whitespace().count();
    json!({"object": "list", "data": data, "model": body["model"],
           "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
}

/// The list of models.
pub(super) fn models(names: &[String]) -> Value {
    let data: Vec<Value> = names.iter().map(|name| model(name)).collect();
    json!({"object": "list", "data": data})
}

/// One model.
pub(super) fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "mock"})
}

/// An error.
pub(super) fn error(status: u16) -> Value {
    let kind = match status {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({"error": {"message": format!("the mock upstream answers {status}, as told"),
                     "type": kind, "param": null, "code": status.to_string()}})
}
