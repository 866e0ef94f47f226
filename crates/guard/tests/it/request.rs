//! Requests: what is read of each shape, what is refused and how that is said.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use stillwatch_guard::limits::Cost;
use stillwatch_guard::request::{Api, RequestView, Sampling};

fn parse(api: Api, body: &Value) -> RequestView {
    RequestView::parse(api, body.to_string().as_bytes()).expect("a request")
}

fn said(view: &RequestView) -> Vec<(&str, &str)> {
    view.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect()
}

/// A shape, a body, its messages, and whether there is more than text.
type Shape = (Api, Value, &'static [(&'static str, &'static str)], bool);

#[test]
fn each_shape_gives_its_conversation() {
    let cases: [Shape; 16] = [
        (
            Api::Chat,
            json!({"model": "m", "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "name": "kim", "content": [
                    {"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
                {"role": "assistant", "content": "three", "refusal": null, "tool_calls": null}]}),
            &[("system", "Be brief."), ("user", "one\ntwo"), ("assistant", "three")],
            false,
        ),
        (
            Api::Chat,
            json!({"messages": [{"content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:"}}], "role": "user"}]}),
            &[("user", "look")],
            true,
        ),
        (
            Api::Chat,
            json!({"messages": [
                {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}]}),
            &[("assistant", "")],
            true,
        ),
        (
            Api::Chat,
            json!({"messages": [{"role": "tool", "content": "4"}]}),
            &[("tool", "4")],
            true,
        ),
        (Api::Completions, json!({"prompt": "Once"}), &[("user", "Once")], false),
        (Api::Completions, json!({"prompt": ["a", "b"]}), &[("user", "a"), ("user", "b")], false),
        (Api::Completions, json!({"prompt": [1, 2, 3]}), &[], true),
        (Api::Completions, json!({"prompt": [[1, 2], [3]]}), &[], true),
        (
            Api::Responses,
            json!({"input": "Hi", "instructions": "Be kind."}),
            &[("system", "Be kind."), ("user", "Hi")],
            false,
        ),
        (
            Api::Responses,
            json!({"input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "message", "role": "assistant", "id": "m1", "status": "completed",
                 "content": [{"type": "output_text", "text": "Ho", "annotations": []}]}]}),
            &[("user", "Hi"), ("assistant", "Ho")],
            false,
        ),
        (
            Api::Responses,
            json!({"input": [{"type": "function_call_output", "call_id": "c", "output": "4"}]}),
            &[],
            true,
        ),
        (Api::Responses, json!({"prompt": {"id": "p"}}), &[], true),
        (Api::Embeddings, json!({"input": ["a", "b"]}), &[("user", "a"), ("user", "b")], false),
        (
            Api::Messages,
            json!({"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}],
                "system": [{"type": "text", "text": "Be", "cache_control": {"type": "ephemeral"}},
                           {"type": "text", "text": "kind."}]}),
            &[("system", "Be\nkind."), ("user", "Hi")],
            false,
        ),
        (
            Api::Messages,
            json!({"messages": [{"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "4"}]}], "system": "S"}),
            &[("system", "S"), ("user", "")],
            true,
        ),
        (Api::Chat, json!({"messages": []}), &[], false),
    ];
    for (api, body, expected, other) in cases {
        let view = parse(api, &body);
        assert_eq!(said(&view), expected, "{body}");
        assert_eq!(view.has_other_parts, other, "{body}");
    }
}

#[test]
fn parameters_are_kept_and_the_conversation_is_not() {
    let body = json!({"model": "m", "stream": true, "temperature": 0.5, "x_unknown": {"a": [1]},
        "messages": [{"role": "user", "content": "Hi"}]});
    let view = parse(Api::Chat, &body);
    assert_eq!((view.model.as_str(), view.stream), ("m", true));
    let kept = json!({"stream": true, "temperature": 0.5, "x_unknown": {"a": [1]}});
    assert_eq!(Value::Object(view.params), kept);
    assert!(RequestView::parse(Api::Models, b"").is_ok());
}

#[test]
fn what_is_wrong_is_named() {
    let cases: [(Api, &str, &str); 14] = [
        (Api::Chat, "", "the body: EOF"),
        (Api::Chat, "[]", "the body: invalid type: sequence, expected an object"),
        (Api::Chat, "{}", "messages: it is missing"),
        (Api::Chat, r#"{"messages":[]} x"#, "the body: trailing characters"),
        (Api::Chat, r#"{"messages":[],"messages":[]}"#, "messages: it is given twice"),
        (Api::Chat, r#"{"n":1,"n":2,"messages":[]}"#, "n: it is given twice"),
        (Api::Chat, r#"{"model":5}"#, "model: invalid type: integer `5`, expected a string"),
        (Api::Chat, r#"{"model":"a","model":"b"}"#, "model: it is given twice"),
        (Api::Chat, r#"{"messages":[{"content":"x"}]}"#, "messages[0].role: it is missing"),
        (
            Api::Chat,
            r#"{"messages":[{"role":"user","content":7}]}"#,
            "messages[0].content: invalid type: integer `7`, expected text or a list of parts",
        ),
        (
            Api::Chat,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},9]}]}"#,
            "messages[0].content[1]: invalid type: integer `9`, expected a part",
        ),
        (Api::Completions, r#"{"prompt":{}}"#, "prompt: invalid type: map, expected text, a list"),
        (Api::Embeddings, r#"{"input":[[1,"a"]]}"#, "input[0][1]: invalid type: string \"a\""),
        (Api::Chat, r#"{"messages":[],"a":{"b":[1e999]}}"#, "a.b[0]: number out of range"),
    ];
    for (api, body, expected) in cases {
        let error = RequestView::parse(api, body.as_bytes()).expect_err(body).to_string();
        assert!(error.starts_with(expected), "{body}: {error}");
    }
}

#[test]
fn parameters_are_bounded() {
    let many = format!(r#"{{"messages":[],"x":[{}0]}}"#, "0,".repeat(200_000));
    let error = RequestView::parse(Api::Chat, many.as_bytes()).expect_err("too many");
    assert!(error.to_string().contains("more than 100000 values"), "{error}");
    // Tokens are counted, not kept.
    let tokens = format!(r#"{{"input":[{}0]}}"#, "0,".repeat(200_000));
    let view = RequestView::parse(Api::Embeddings, tokens.as_bytes()).expect("a request");
    assert_eq!((view.prompt_token_ids, view.n_prompts), (200_001, 1));
    let deep = format!(r#"{{"messages":[],"x":{}"#, "[".repeat(100_000));
    assert!(RequestView::parse(Api::Chat, deep.as_bytes()).is_err());
}

#[test]
fn deterministic_requests_are_known_by_their_fields() {
    let cases = [
        (json!({}), false, false),
        (json!({}), true, true),
        (json!({"temperature": 0}), false, true),
        (json!({"temperature": 0.0}), false, true),
        (json!({"temperature": 1}), true, false),
        (json!({"temperature": 1, "seed": 0}), false, true),
        (json!({"temperature": 1, "seed": null}), false, false),
        (json!({"top_k": 1}), false, true),
        (json!({"top_k": 40}), false, false),
        (json!({"top_p": 0}), false, true),
        (json!({"do_sample": false}), false, true),
        (json!({"use_beam_search": true}), false, true),
    ];
    for (mut body, greedy_by_default, expected) in cases {
        body["messages"] = json!([]);
        let sampling = parse(Api::Chat, &body).sampling(greedy_by_default);
        assert_eq!(sampling == Sampling::Deterministic, expected, "{body}");
    }
}

#[test]
fn one_text_is_told_from_everything_else() {
    let hello = json!([{"role": "user", "content": "Hi"}]);
    let cases = [
        (Api::Chat, json!({}), true),
        (Api::Chat, json!({"n": 1, "tools": [], "modalities": ["text"]}), true),
        (Api::Chat, json!({"n": 2}), false),
        (Api::Chat, json!({"tools": [{"type": "function"}]}), false),
        (Api::Chat, json!({"functions": [{"name": "f"}]}), false),
        (Api::Chat, json!({"modalities": ["text", "audio"]}), false),
        (Api::Chat, json!({"prediction": {"type": "content", "content": "x"}}), false),
        (Api::Messages, json!({"tools": [{"name": "f"}]}), false),
        (Api::Messages, json!({"thinking": {"type": "enabled"}}), true),
    ];
    for (api, mut body, expected) in cases {
        body["messages"] = hello.clone();
        assert_eq!(parse(api, &body).asks_for_one_text(), expected, "{body}");
    }
    let completions = |body| parse(Api::Completions, &body).asks_for_one_text();
    assert!(completions(json!({"prompt": "a"})));
    assert!(completions(json!({"prompt": ["a"]})));
    assert!(!completions(json!({"prompt": ["a", "b"]})));
    assert!(!completions(json!({"prompt": "a", "best_of": 3})));
    assert!(!completions(json!({"prompt": "a", "echo": true})));
    assert!(!parse(Api::Embeddings, &json!({"input": "a"})).asks_for_one_text());
    let stored = json!({"input": "a", "previous_response_id": "r"});
    assert!(parse(Api::Responses, &stored).continues_stored());
    assert!(!parse(Api::Responses, &json!({"input": "a"})).continues_stored());
}

#[test]
fn estimates_cover_every_answer() {
    let body =
        json!({"messages": [{"role": "user", "content": "12345678"}], "max_tokens": 10, "n": 3});
    let expected = Cost { prompt_tokens: 2, completion_tokens: 30 };
    assert_eq!(parse(Api::Chat, &body).estimate(500), expected);
    let embeddings = parse(Api::Embeddings, &json!({"input": [1, 2, 3]})).estimate(500);
    assert_eq!(embeddings, Cost { prompt_tokens: 3, completion_tokens: 0 });
}

#[test]
fn the_fuzz_corpus_is_replayed() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/requests");
    let mut n_files = 0;
    for entry in fs_err::read_dir(dir).expect("the corpus lies beside the workspace") {
        let bytes = fs_err::read(entry.expect("a file").path()).expect("a readable file");
        n_files += 1;
        for at in 0..=bytes.len() {
            stillwatch_guard::fuzzing::request(bytes.get(..at).unwrap_or_default());
            let mut other = bytes.clone();
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            stillwatch_guard::fuzzing::request(&other);
        }
    }
    assert!(n_files > 0);
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for api in [Api::Chat, Api::Completions, Api::Responses, Api::Embeddings, Api::Messages] {
            drop(RequestView::parse(api, &bytes));
        }
    }

    #[test]
    fn texts_come_through_whatever_they_hold(texts in proptest::collection::vec(".*", 1..5)) {
        let messages: Vec<Value> =
            texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
        let view = parse(Api::Chat, &json!({ "messages": messages }));
        let read: Vec<&str> = view.messages.iter().map(|m| m.content.as_str()).collect();
        prop_assert_eq!(read, texts);
    }
}
