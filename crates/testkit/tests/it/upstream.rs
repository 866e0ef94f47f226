//! The mock upstream: shapes, variety, faults, counts at its end of the wire.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::time::Duration;
use stillwatch_testkit::upstream::{Behaviour, Fault, MockUpstream};

type Http = Client<HttpConnector, Full<Bytes>>;

fn http() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

fn request(upstream: &MockUpstream, path: &str, body: &Value) -> http::Request<Full<Bytes>> {
    http::Request::post(format!("{}{path}", upstream.url()))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .expect("a request")
}

/// Status and text of an answer; the text up to where it broke off, and whether it did.
async fn ask(upstream: &MockUpstream, path: &str, body: &Value) -> (u16, String, bool) {
    let response = http().request(request(upstream, path, body)).await.expect("headers");
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut text = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(10), body.frame()).await {
            Ok(Some(Ok(frame))) => text.extend(frame.into_data().unwrap_or_default()),
            Ok(None) => return (status, String::from_utf8_lossy(&text).into_owned(), false),
            Ok(Some(Err(_))) | Err(_) => {
                return (status, String::from_utf8_lossy(&text).into_owned(), true);
            }
        }
    }
}

fn chat(prompt: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": prompt}]})
}

fn content(text: &str) -> String {
    let value: Value = serde_json::from_str(text).expect("JSON");
    value["choices"][0]["message"]["content"].as_str().expect("content").to_owned()
}

/// The text that a stream's deltas add up to, at these places of its events.
fn joined(stream: &str, pointers: &[&str]) -> String {
    stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str::<Value>(data).expect("an event is JSON"))
        .filter_map(|event| {
            pointers
                .iter()
                .find_map(|p| event.pointer(p).and_then(Value::as_str))
                .map(str::to_owned)
        })
        .collect()
}

#[tokio::test]
async fn two_samples_of_a_prompt_differ_unless_greedy_or_seeded() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut samples = Vec::new();
    for extra in [
        json!({}),
        json!({}),
        json!({"temperature": 0}),
        json!({"temperature": 0}),
        json!({"seed": 5}),
        json!({"seed": 5}),
    ] {
        let mut body = chat("tell me");
        body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
        samples.push(content(&ask(&upstream, "/v1/chat/completions", &body).await.1));
    }
    assert_ne!(samples[0], samples[1]);
    assert_eq!(samples[2], samples[3]);
    assert_eq!(samples[4], samples[5]);
    let again = MockUpstream::start(Behaviour::new());
    let first = content(&ask(&again, "/v1/chat/completions", &chat("tell me")).await.1);
    assert_eq!(first, samples[0], "the same seed tells the same");
    assert_eq!(upstream.requests().len(), 6);
    assert_eq!(upstream.requests()[3].json()["temperature"], 0);
}

#[tokio::test]
async fn streams_hold_the_text_of_the_whole_answer() {
    let message =
        json!({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "a"}]});
    let input = json!({"model": "m", "input": "a"});
    let prompt = json!({"model": "m", "prompt": "a"});
    let cases: [(&str, &Value, &str, &[&str], &str); 4] = [
        (
            "/v1/chat/completions",
            &message,
            "/choices/0/message/content",
            &["/choices/0/delta/content"],
            "data: [DONE]",
        ),
        ("/v1/completions", &prompt, "/choices/0/text", &["/choices/0/text"], "data: [DONE]"),
        (
            "/v1/responses",
            &input,
            "/output/1/content/0/text",
            &["/delta"],
            "event: response.completed",
        ),
        ("/v1/messages", &message, "/content/1/text", &["/delta/text"], "event: message_stop"),
    ];
    for (path, body, place, deltas, last) in cases {
        let upstream = MockUpstream::start(Behaviour::new().reasoning().one_answer());
        let (status, whole, _) = ask(&upstream, path, body).await;
        assert_eq!(status, 200, "{path}: {whole}");
        let whole: Value = serde_json::from_str(&whole).expect("JSON");
        let text = whole.pointer(place).and_then(Value::as_str).expect(path).to_owned();
        let mut streamed = body.clone();
        streamed["stream"] = true.into();
        streamed["stream_options"] = json!({"include_usage": true});
        let (_, stream, broken) = ask(&upstream, path, &streamed).await;
        assert!(!broken && stream.contains(last) && stream.ends_with("\n\n"), "{path}: {stream}");
        assert!(stream.contains("tokens"), "{path}: usage is told");
        let stream = stream.replace("response.reasoning_summary_text.delta\",\"", "\",\"not_");
        let all = joined(&stream, deltas);
        assert!(all.ends_with(&text), "{path}: {all} / {text}");
        assert_eq!(upstream.wait_for(|c| c.completed == 2).await.completed, 2);
    }
}

#[tokio::test]
async fn tools_choices_embeddings_and_models_have_their_shapes() {
    let upstream = MockUpstream::start(Behaviour::new().tool_calls());
    let mut body = chat("x");
    body["n"] = 3.into();
    body["logprobs"] = true.into();
    let (_, text, _) = ask(&upstream, "/v1/chat/completions", &body).await;
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["choices"].as_array().map(Vec::len), Some(3));
    assert!(value["choices"][2]["logprobs"]["content"][0]["logprob"].is_number());
    body["tools"] = json!([{"type": "function", "function": {"name": "look_up"}}]);
    body["stream"] = true.into();
    let (_, text, _) = ask(&upstream, "/v1/chat/completions", &body).await;
    assert!(text.contains("\"name\":\"look_up\"") && text.contains("\"tool_calls\""), "{text}");
    let inputs = json!({"model": "e", "input": ["a", "b"], "dimensions": 3});
    let (_, text, _) = ask(&upstream, "/v1/embeddings", &inputs).await;
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["data"][1]["embedding"].as_array().map(Vec::len), Some(3));
    let response = http()
        .get(format!("{}/v1/models/mock-1", upstream.url()).parse().expect("a URI"))
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
    let (status, ..) = ask(&upstream, "/v1/nothing", &json!({})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn scripted_faults_come_in_order_and_end() {
    let script = Behaviour::new().then(Fault::too_many(7)).then_ok().then(Fault::status(503));
    let upstream = MockUpstream::start(script);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(ask(&upstream, "/v1/chat/completions", &chat("a")).await.0);
    }
    assert_eq!(seen, [429, 200, 503, 200]);
}

#[tokio::test]
async fn a_stream_is_cut_where_the_script_says() {
    let mut body = chat("a");
    body["stream"] = true.into();
    for (fault, breaks, whole_events) in [
        (Fault::CutMidEvent { after_events: 3 }, true, false),
        (Fault::CutMidStream { after_events: 3 }, true, true),
        (Fault::EndEarly { after_events: 3 }, false, true),
    ] {
        let upstream = MockUpstream::start(Behaviour::new().always(fault.clone()));
        let (status, text, broken) = ask(&upstream, "/v1/chat/completions", &body).await;
        assert_eq!((status, broken), (200, breaks), "{fault:?}");
        assert_eq!(text.ends_with("\n\n"), whole_events, "{fault:?}: {text}");
        assert_eq!(text.matches("\n\n").count(), 3, "{fault:?}: {text}");
    }
    let upstream =
        MockUpstream::start(Behaviour::new().always(Fault::CutMidEvent { after_events: 0 }));
    let (_, text, broken) = ask(&upstream, "/v1/chat/completions", &chat("a")).await;
    assert!(broken && text.starts_with('{') && !text.ends_with('}'));
    assert_eq!(upstream.wait_for(|c| c.faulty == 1).await.faulty, 1);
}

#[tokio::test]
async fn what_is_no_http_is_an_error_at_the_client() {
    for fault in [Fault::garbage(), Fault::Drop, Fault::two_content_lengths()] {
        let upstream = MockUpstream::start(Behaviour::new().always(fault.clone()));
        let answer = http().request(request(&upstream, "/v1/chat/completions", &chat("a"))).await;
        assert!(answer.is_err(), "{fault:?}");
        assert_eq!(upstream.counts().faulty, upstream.counts().begun);
    }
    let upstream = MockUpstream::start(Behaviour::new().always(Fault::content_length_too_long()));
    assert!(ask(&upstream, "/v1/chat/completions", &chat("a")).await.2);
    let upstream = MockUpstream::start(Behaviour::new().always(Fault::GarbageJson));
    let (status, text, _) = ask(&upstream, "/v1/chat/completions", &chat("a")).await;
    assert!(status == 200 && serde_json::from_str::<Value>(&text).is_err());
}

#[tokio::test]
async fn a_client_that_goes_is_counted() {
    for (fault, stream) in [
        (Fault::HangBeforeHeaders, false),
        (Fault::HangMidStream { after_events: 2 }, true),
        (Fault::HangMidStream { after_events: 0 }, false),
    ] {
        let upstream = MockUpstream::start(Behaviour::new().always(fault.clone()));
        let mut body = chat("a");
        body["stream"] = stream.into();
        let going = async {
            let response = http().request(request(&upstream, "/v1/chat/completions", &body)).await;
            response.expect("headers").into_body().collect().await
        };
        let waited = tokio::time::timeout(Duration::from_millis(200), going).await;
        assert!(waited.is_err(), "{fault:?} hangs");
        let counts = upstream.wait_for(|c| c.cancelled == 1).await;
        assert_eq!((counts.begun, counts.cancelled, counts.under_way()), (1, 1, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn http2_without_tls_is_spoken_too() {
    let upstream = MockUpstream::start(Behaviour::new().always(Fault::Echo));
    let client: Http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let response = client.request(request(&upstream, "/v1/x?y=1", &json!({}))).await.expect("h2");
    let text = response.into_body().collect().await.expect("body").to_bytes();
    let value: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(
        (value["version"].as_str(), value["path"].as_str()),
        (Some("HTTP/2.0"), Some("/v1/x?y=1"))
    );
}
