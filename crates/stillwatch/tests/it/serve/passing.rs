//! What passes through is what was sent; and how the process ends.

use super::running::{Guard, chat, curl, curl_command, got, post};
use crate::harness::Sandbox;
use std::{process::Stdio, time::Duration};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

/// (path, body) of one request of every shape; the tools, images and unknown fields are part of
/// what must arrive.
const REQUESTS: [(&str, &str); 9] = [
    ("/v1/chat/completions", r#"{"model":"mock-1","messages":[{"role":"user","content":"a"}]}"#),
    (
        "/v1/chat/completions",
        r#"{"model":"mock-1","stream":true,"messages":[{"role":"user","content":"a"}],
            "stream_options":{"include_usage":true}}"#,
    ),
    (
        "/v1/chat/completions",
        r#"{"model":"mock-1","stream":true,"tools":[{"type":"function","function":{"name":"f",
            "parameters":{}}}],"x_unknown":{"deep":[1,2.50]},"messages":[{"role":"user","content":
            [{"type":"text","text":"\u00e4"},{"type":"image_url","image_url":{"url":"data:,"}}]}]}"#,
    ),
    ("/v1/completions", r#"{"model":"mock-1","prompt":"once","stream":true}"#),
    ("/v1/responses", r#"{"model":"mock-1","input":"b"}"#),
    ("/v1/responses", r#"{"model":"mock-1","input":"b","stream":true}"#),
    ("/v1/embeddings", r#"{"model":"mock-1","input":"b"}"#),
    (
        "/v1/messages",
        r#"{"model":"mock-1","max_tokens":9,"messages":[{"role":"user","content":"c"}]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"mock-1","max_tokens":9,"stream":true,"system":"s","messages":[{"role":"user",
            "content":[{"type":"text","text":"c"}]}]}"#,
    ),
];

#[test]
fn answers_of_every_shape_are_byte_identical_through_curl() {
    let sandbox = Sandbox::new();
    // Two upstreams that do the same: one is asked directly, the other through the guard.
    let behaviour = || Behaviour::new().seed(3).tool_calls();
    let (direct, behind) = (MockUpstream::start(behaviour()), MockUpstream::start(behaviour()));
    let guard = Guard::start(&sandbox, &behind.url(), &["--exposure-rate", "0"]);
    for (path, body) in REQUESTS {
        let expected = post(&format!("{}{path}", direct.url()), body);
        let passed = post(&format!("{}{path}", guard.url), body);
        assert_eq!(passed.status, 200, "{path} {body}: {}", passed.text());
        assert_eq!(passed.text(), expected.text(), "{path} {body}");
        let kind = expected.header("content-type");
        assert_eq!(passed.header("content-type"), kind, "{path} {body}");
        assert!(passed.header("stillwatch-request-id").is_some(), "{}", passed.head);
    }
    let models = curl(&[&format!("{}/v1/models", guard.url)]);
    assert_eq!(models.text(), curl(&[&format!("{}/v1/models", direct.url())]).text());
    let (sent, arrived) = (direct.requests(), behind.requests());
    assert_eq!(sent.len(), arrived.len(), "nothing is asked twice");
    for (sent, arrived) in sent.iter().zip(&arrived) {
        assert_eq!(sent.body, arrived.body, "{}", sent.path);
        assert_eq!(sent.header("authorization"), arrived.header("authorization"));
    }
    let ran = guard.stop();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_terminated_guard_finishes_what_is_in_flight() {
    let sandbox = Sandbox::new();
    let slow = MockUpstream::start(Behaviour::new().tokens(40..=40).tokens_per_second(20.0));
    let guard = Guard::start(&sandbox, &slow.url(), &["--exposure-rate", "0"]);
    let url = format!("{}/v1/chat/completions", guard.url);
    let body = chat("a long one", 1, true);
    let args = ["-H", "content-type: application/json", "-d", &body, &url];
    let request = curl_command(&args).stdout(Stdio::piped()).spawn().expect("curl is there");
    while slow.counts().begun == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    guard.signal("-TERM");
    let output = request.wait_with_output().expect("curl ends");
    let answer = got(&output.stdout);
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    let ran = guard.wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("requests in flight are finished"), "{}", ran.stderr);
    assert_eq!(slow.counts().completed, 1);
}

#[test]
fn a_second_signal_ends_at_once() {
    let sandbox = Sandbox::new();
    let slow = MockUpstream::start(Behaviour::new().latency_ms(60_000));
    let guard = Guard::start(&sandbox, &slow.url(), &["--exposure-rate", "0"]);
    let url = format!("{}/v1/chat/completions", guard.url);
    let body = chat("hang", 1, false);
    let args = ["-H", "content-type: application/json", "-d", &body, &url];
    let mut request = curl_command(&args).stdout(Stdio::null()).spawn().expect("curl is there");
    while slow.counts().begun == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    guard.signal("-INT");
    std::thread::sleep(Duration::from_millis(200));
    guard.signal("-TERM");
    assert_eq!(guard.wait().code, 3);
    request.wait().expect("curl ends");
}

#[test]
fn errors_come_in_the_shape_of_the_api() {
    let sandbox = Sandbox::new();
    let upstream = MockUpstream::start(Behaviour::new());
    let guard = Guard::start(&sandbox, &upstream.url(), &[]);
    let openai = post(&format!("{}/v1/chat/completions", guard.url), "{\"model\":7}");
    assert_eq!(openai.status, 400, "{}", openai.text());
    let error = &openai.json()["error"];
    assert!(error["message"].as_str().is_some_and(|m| m.contains("model")), "{error}");
    let anthropic = post(&format!("{}/v1/messages", guard.url), "no JSON");
    assert_eq!((anthropic.status, &anthropic.json()["type"]), (400, &"error".into()));
    let nowhere = post(&format!("{}/v1/nowhere", guard.url), "{}");
    assert_eq!(nowhere.status, 404);
    assert_eq!(upstream.counts().begun, 0, "nothing of it went upstream");
}
