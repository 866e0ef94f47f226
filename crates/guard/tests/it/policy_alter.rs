//! Reasoning and log-probabilities are taken out of answers; everything else stays as it was.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use stillwatch_guard::policy::Actions;
use stillwatch_guard::policy::alter::{Alteration, SHORTENED_MARK};
use stillwatch_guard::request::Api;

fn strip(api: Api) -> Alteration {
    let actions = Actions { strip_reasoning: true, ..Actions::default() };
    Alteration::new(api, &actions).expect("strips")
}

fn shorten(api: Api) -> Alteration {
    let actions = Actions { shorten_reasoning: true, ..Actions::default() };
    Alteration::new(api, &actions).expect("shortens")
}

fn json_out(alteration: Alteration, body: &str) -> String {
    let out = alteration.alter_json(&Bytes::from(body.to_owned()));
    String::from_utf8(out.to_vec()).expect("UTF-8")
}

fn stream_out(alteration: Alteration, stream: &str, step: usize) -> String {
    let mut alterer = alteration.stream();
    let mut out = Vec::new();
    for piece in stream.as_bytes().chunks(step.max(1)) {
        out.extend_from_slice(&alterer.push(piece));
    }
    out.extend_from_slice(&alterer.finish());
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn nothing_asked_for_nothing_made() {
    assert!(Alteration::new(Api::Chat, &Actions::default()).is_none());
    let actions = Actions { strip_reasoning: true, ..Actions::default() };
    assert!(Alteration::new(Api::Embeddings, &actions).is_none());
    assert!(Alteration::new(Api::Models, &actions).is_none());
}

#[test]
fn bodies_lose_reasoning_and_nothing_else() {
    let table = [
        (
            Api::Chat,
            r#"{"id":"x", "choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"secret","content":"The answer\u00e9.", "reasoning":null},"logprobs":{"content":[1]},"finish_reason":"stop"}],"usage":{"completion_tokens":1.50}}"#,
            r#"{"id":"x", "choices":[{"index":0,"message":{"role":"assistant","content":"The answer\u00e9.", "reasoning":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"completion_tokens":1.50}}"#,
        ),
        (
            Api::Chat,
            r#"{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"text":"secret"}]},{"type":"text","text":"yes"}]}}]}"#,
            r#"{"choices":[{"message":{"content":[{"type":"text","text":"yes"}]}}]}"#,
        ),
        (
            Api::Chat,
            r#"{"choices":[{"message":{"content":"a","provider_specific_fields":{"reasoning_content":"s"},"thinking_blocks":[{"thinking":"s"}]}}],"prompt_logprobs":[1]}"#,
            r#"{"choices":[{"message":{"content":"a","provider_specific_fields":{}}}],"prompt_logprobs":null}"#,
        ),
        (
            Api::Completions,
            r#"{"choices":[{"text":"reasoning_content","logprobs":{"tokens":["a"]}}]}"#,
            r#"{"choices":[{"text":"reasoning_content","logprobs":null}]}"#,
        ),
        (
            Api::Messages,
            r#"{"type":"message","content":[{"type":"thinking","thinking":"s","signature":"x"},{"type":"text","text":"yes"},{"type":"redacted_thinking","data":"x"}],"usage":{}}"#,
            r#"{"type":"message","content":[{"type":"text","text":"yes"}],"usage":{}}"#,
        ),
        (
            Api::Responses,
            r#"{"object":"response","output":[{"type":"reasoning","summary":[{"text":"s"}],"encrypted_content":"x"},{"type":"message","content":[{"type":"output_text","text":"yes","logprobs":[{"token":"yes"}]}]}]}"#,
            r#"{"object":"response","output":[{"type":"message","content":[{"type":"output_text","text":"yes","logprobs":[]}]}]}"#,
        ),
    ];
    for (api, body, expected) in table {
        assert_eq!(json_out(strip(api), body), expected, "{api:?}");
    }
}

#[test]
fn what_holds_nothing_or_is_no_json_passes_untouched() {
    let bodies = [
        "",
        "not json",
        "{\"choices\":",
        "[1,2]",
        "{\"choices\":[{\"message\":{\"content\":\"reasoning_content\"},\"logprobs\":null}]}",
        "{\"error\":{\"message\":\"no\"}}",
        "{ \"choices\" : [ { \"text\" : \"\\ud800\" , \"n\" : 123456789012345678901234567890 } ] }",
        "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"t\"}]}",
    ];
    for api in [Api::Chat, Api::Completions, Api::Responses, Api::Messages] {
        for body in bodies {
            assert_eq!(json_out(strip(api), body), body, "{api:?}");
            assert_eq!(stream_out(strip(api), body, 3), body, "{api:?}");
        }
    }
}

#[test]
fn half_a_surrogate_pair_does_not_shield_reasoning() {
    let body = r#"{"choices":[{"message":{"reasoning":"\ud800 secret","content":"\ud800"}}]}"#;
    let expected = r#"{"choices":[{"message":{"content":"\ud800"}}]}"#;
    assert_eq!(json_out(strip(Api::Chat), body), expected);
    assert_eq!(json_out(shorten(Api::Chat), body), expected);
}

#[test]
fn traces_are_shortened_and_say_so() {
    let trace = "First this. Then that. Then much more that nobody sees.";
    let short = format!("First this. Then that.{SHORTENED_MARK}");
    let body = json!({"choices": [{"message": {"reasoning_content": trace, "content": trace}}]});
    let expected =
        json!({"choices": [{"message": {"reasoning_content": short, "content": trace}}]});
    let out: Value =
        serde_json::from_str(&json_out(shorten(Api::Chat), &body.to_string())).expect("still JSON");
    assert_eq!(out, expected);

    let body = json!({"type": "message", "content": [
        {"type": "thinking", "thinking": trace, "signature": "sig"}, {"type": "text", "text": trace}
    ]});
    let out: Value = serde_json::from_str(&json_out(shorten(Api::Messages), &body.to_string()))
        .expect("still JSON");
    assert_eq!(out["content"][0], json!({"type": "thinking", "thinking": short, "signature": ""}));
    assert_eq!(out["content"][1]["text"], trace);

    let body = json!({"output": [{"type": "reasoning", "encrypted_content": "x",
        "summary": [{"type": "summary_text", "text": trace}]}]});
    let out: Value = serde_json::from_str(&json_out(shorten(Api::Responses), &body.to_string()))
        .expect("still JSON");
    assert_eq!(out["output"][0]["summary"][0]["text"], short);
    assert_eq!(out["output"][0]["encrypted_content"], Value::Null);
}

fn chat_stream() -> String {
    let mut stream = String::from(": hello\n\n");
    for (field, text) in [
        ("reasoning_content", "First. "),
        ("reasoning_content", "Second. "),
        ("reasoning_content", "Third."),
        ("content", "The "),
        ("content", "answer"),
    ] {
        let chunk =
            json!({"choices": [{"index": 0, "delta": {field: text}, "logprobs": {"content": []}}]});
        stream = stream + "data: " + &chunk.to_string() + "\r\n\r\n";
    }
    stream.push_str("data: {\"choices\":[],\"usage\":{\"total_tokens\":9}}\n\ndata: [DONE]\n\n");
    stream
}

#[test]
fn chunks_lose_reasoning_and_keep_their_number() {
    let out = stream_out(strip(Api::Chat), &chat_stream(), 1000);
    assert!(!out.contains("reasoning") && !out.contains("Second"), "{out}");
    assert_eq!(out.matches("data: ").count(), chat_stream().matches("data: ").count());
    assert!(out.starts_with(": hello\n\n") && out.ends_with("data: [DONE]\n\n"));
    assert!(out.contains("\"delta\":{\"content\":\"answer\"},\"logprobs\":null"));
    let out = stream_out(shorten(Api::Chat), &chat_stream(), 1000);
    assert!(out.contains("Second.") && !out.contains("Third"), "{out}");
    assert!(out.contains(SHORTENED_MARK));
}

fn anthropic_stream() -> String {
    let events = [
        json!({"type": "message_start", "message": {"content": []}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "secret"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "yes"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ];
    let event = |value: &Value| {
        let kind = value["type"].as_str().unwrap_or_default();
        format!("event: {kind}\ndata: {value}\n\n")
    };
    events.iter().map(event).collect()
}

#[test]
fn anthropic_blocks_leave_no_gap_behind() {
    let out = stream_out(strip(Api::Messages), &anthropic_stream(), 1000);
    assert!(!out.contains("secret") && !out.contains("signature"), "{out}");
    assert_eq!(out.matches("event: ping").count(), 4, "the connection stays alive");
    let indices: String =
        out.split("\"index\":").skip(1).filter_map(|rest| rest.chars().next()).collect();
    assert_eq!(indices, "000", "{out}");
    assert!(out.contains("\"text\":\"yes\""));
}

fn responses_stream() -> String {
    let events = [
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "secret"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning", "summary": [{"text": "secret"}]}}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}}),
        json!({"type": "response.output_text.delta", "output_index": 1, "delta": "yes", "logprobs": [{"token": "yes"}]}),
        json!({"type": "response.completed", "response": {"output": [{"type": "reasoning", "summary": [{"text": "secret"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "yes", "logprobs": [{"token": "yes"}]}]}]}}),
    ];
    let event = |value: &Value| {
        let kind = value["type"].as_str().unwrap_or_default();
        format!("event: {kind}\ndata: {value}\n\n")
    };
    events.iter().map(event).collect()
}

#[test]
fn responses_items_leave_no_gap_behind() {
    let out = stream_out(strip(Api::Responses), &responses_stream(), 1000);
    assert!(!out.contains("secret") && !out.contains("token"), "{out}");
    assert!(out.contains("\"output_index\":0,\"delta\":\"yes\",\"logprobs\":[]"), "{out}");
    assert!(out.contains("{\"output\":[{\"type\":\"message\""), "{out}");
}

#[test]
fn a_stream_cut_off_withholds_what_it_would_have_withheld() {
    let cut = "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"sec";
    assert_eq!(stream_out(strip(Api::Chat), cut, 5), "");
    let whole = "data: {\"choices\":[{\"delta\":{\"content\":\"reasoning\"}}]}";
    assert_eq!(stream_out(strip(Api::Chat), whole, 5), whole);
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"tex";
    assert_eq!(stream_out(strip(Api::Chat), text, 5), text);
}

/// Texts of the answer, joined, as a client would read them.
fn answer(stream: &str) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let values = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    values.filter_map(|v| v["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

fn delta() -> impl Strategy<Value = Value> {
    let text = "[ -~é漢\n]{0,20}";
    prop_oneof![
        text.prop_map(|t| json!({"choices": [{"index": 0, "delta": {"content": t}}]})),
        text.prop_map(|t| json!({"choices": [{"index": 0, "delta": {"reasoning_content": t}}]})),
        text.prop_map(
            |t| json!({"choices": [{"delta": {"role": "assistant", "reasoning": t, "content": "x"},
            "logprobs": {"content": [{"token": "x", "logprob": -0.5}]}}]})
        ),
        Just(json!({"choices": [], "usage": {"total_tokens": 3}})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_gives_the_same_and_the_answer_stays(
        deltas in prop::collection::vec(delta(), 0..12),
        ends in prop::sample::select(vec!["\n\n", "\r\n\r\n", "\r\r", "\n\r\n"]),
        step in 1usize..40,
        is_cut in any::<bool>(),
    ) {
        let events: Vec<String> =
            deltas.iter().map(|delta| format!("data: {delta}{ends}")).collect();
        let mut stream = events.concat();
        if is_cut {
            stream.truncate(stream.floor_char_boundary(stream.len().saturating_sub(7)));
        }
        for alteration in [strip(Api::Chat), shorten(Api::Chat)] {
            let whole = stream_out(alteration, &stream, stream.len());
            prop_assert_eq!(&whole, &stream_out(alteration, &stream, step));
            if !is_cut && ends.starts_with('\n') {
                prop_assert_eq!(answer(&whole), answer(&stream));
            }
        }
        let stripped = stream_out(strip(Api::Chat), &stream, step);
        prop_assert!(!stripped.contains("\"reasoning_content\":\"a"));
    }

    #[test]
    fn streams_without_reasoning_pass_byte_by_byte(
        lines in prop::collection::vec("(data: |event: |: |)[ -~]{0,30}", 0..20),
        ends in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        step in 1usize..9,
    ) {
        let stream = lines.join(ends);
        for api in [Api::Chat, Api::Messages, Api::Responses] {
            prop_assert_eq!(&stream, &stream_out(strip(api), &stream, step));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..9) {
        for api in [Api::Chat, Api::Messages, Api::Responses] {
            let mut alterer = strip(api).stream();
            for piece in bytes.chunks(step) {
                alterer.push(piece);
            }
            alterer.finish();
            strip(api).alter_json(&Bytes::from(bytes.clone()));
        }
    }
}
