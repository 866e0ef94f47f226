//! A request's way through: what passes unchanged, what is added, who gets which key.

use crate::gateway::{Gateway, PATIENCE, chat, client, config, read};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use stillwatch_evidence::Secret;
use stillwatch_guard::Secrets;
use stillwatch_guard::request::Api;
use stillwatch_guard::upstream::{Outgoing, UpstreamConfig, Upstreams};
use stillwatch_testkit::upstream::{Behaviour, Fault, MockUpstream};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test]
async fn chat_passes_in_both_shapes() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let client = client();
    let mut names = BTreeSet::new();
    for stream in [false, true] {
        let response = client
            .post(gateway.url("/v1/chat/completions"))
            .bearer_auth("sk-client")
            .json(&chat("hello", stream))
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200);
        names
            .insert(response.headers()["stillwatch-request-id"].to_str().expect("text").to_owned());
        let kind = response.headers().get("content-type").expect("a type").clone();
        assert_eq!(kind.to_str().expect("text").starts_with("text/event-stream"), stream);
        let text = response.text().await.expect("a body");
        assert_eq!(text.contains("[DONE]"), stream, "{text}");
    }
    assert_eq!(names.len(), 2, "each request has a name of its own");
    let counts = upstream.wait_for(|counts| counts.completed == 2).await;
    assert_eq!((counts.begun, counts.completed), (2, 2));
    assert_eq!(counts.connections, 1, "the connection is used again");
    let seen = upstream.requests();
    assert!(seen.iter().all(|request| request.header("authorization") == "Bearer sk-client"));
    gateway.stop().await;
}

/// Blanks, order, escapes, digits of numbers, fields that nobody knows: all is the client's.
#[tokio::test]
async fn the_clients_own_bytes_go_upstream() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let cases = [
        (
            "/v1/chat/completions",
            "{ \"x_unknown\" : {\"a\":[1.50, 1e3, null]},\n\t\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"\\u0068\\u00e4\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBO\"}}],\"role\":\"user\"}],\"model\":\"m\",\"temperature\":0.70000000000000001,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}]  }",
        ),
        (
            "/v1/completions",
            "{\"model\":\"m\",\"prompt\":\"a\\/b\",\"logit_bias\":{\"50256\":-100}}",
        ),
        (
            "/v1/responses",
            "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"hi\"}],\"store\":false}\n",
        ),
        ("/v1/embeddings", "{\"input\":\"hi\",\"model\":\"m\",\"dimensions\":8}"),
        (
            "/v1/messages?beta=true",
            "{\"model\":\"m\",\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}],\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        ),
    ];
    for (path, body) in cases {
        let response = client()
            .post(gateway.url(path))
            .header("content-type", "application/json; charset=utf-8")
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "tools-2024-04-04")
            .header("openai-organization", "org-1")
            .header("x-stainless-lang", "python")
            .header("accept-encoding", "gzip, br")
            .header("connection", "keep-alive, x-of-this-hop")
            .header("x-of-this-hop", "1")
            .header("te", "trailers")
            .header("stillwatch-receipt", "forged")
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
    }
    let seen = upstream.requests();
    assert_eq!(seen.len(), cases.len());
    for (request, (path, body)) in seen.iter().zip(cases) {
        assert_eq!(request.path, path);
        assert_eq!(request.body, body.as_bytes());
        assert_eq!(request.header("host"), upstream.addr.to_string());
        for (name, value) in [
            ("content-type", "application/json; charset=utf-8"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "tools-2024-04-04"),
            ("openai-organization", "org-1"),
            ("x-stainless-lang", "python"),
            ("content-length", &body.len().to_string()),
        ] {
            assert_eq!(request.header(name), value, "{path} {name}");
        }
        for name in ["accept-encoding", "connection", "x-of-this-hop", "te", "stillwatch-receipt"] {
            assert!(!request.headers.contains_key(name), "{path} {name}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_upstreams_headers_pass_but_for_those_of_the_hop() {
    let headers = [
        ("x-ratelimit-remaining-requests", "59"),
        ("openai-processing-ms", "12"),
        ("request-id", "req_1"),
        ("connection", "keep-alive, x-of-this-hop"),
        ("keep-alive", "timeout=5"),
        ("x-of-this-hop", "1"),
        ("proxy-authenticate", "Basic"),
        ("stillwatch-policy", "forged"),
        ("content-type", "application/json"),
    ];
    let answer = Fault::Answer {
        status: 200,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: "{}".into(),
    };
    let upstream = MockUpstream::start(Behaviour::new().always(answer));
    let gateway = Gateway::before(&[&upstream]).await;
    let response = client()
        .post(gateway.url("/v1/chat/completions"))
        .json(&chat("hello", false))
        .send()
        .await
        .expect("an answer");
    let found = response.headers();
    for name in
        ["x-ratelimit-remaining-requests", "openai-processing-ms", "request-id", "content-type"]
    {
        assert!(found.contains_key(name), "{name}");
    }
    for name in ["keep-alive", "x-of-this-hop", "proxy-authenticate", "stillwatch-policy"] {
        assert!(!found.contains_key(name), "{name}");
    }
    gateway.stop().await;
}

/// Errors have the shape that the official clients of each API expect.
#[tokio::test]
async fn errors_have_the_shape_of_their_api() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let client = client();
    for (method, path, body, status, code) in [
        ("POST", "/v1/chat/completions", "{", 400, "invalid_request"),
        ("POST", "/v1/chat/completions", "[]", 400, "invalid_request"),
        ("POST", "/v1/embeddings", "{\"model\":1}", 400, "invalid_request"),
        ("GET", "/v1/chat/completions", "", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/m", "", 405, "method_not_allowed"),
        ("POST", "/v1/audio/speech", "{}", 404, "unknown_path"),
        ("GET", "/", "", 404, "unknown_path"),
    ] {
        let method = method.parse().expect("a method");
        let request = client.request(method, gateway.url(path)).body(body);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers().contains_key("allow"), status == 405);
        assert!(response.headers().contains_key("stillwatch-request-id"));
        let error: Value = response.json().await.expect("JSON");
        assert_eq!(error["error"]["code"], code, "{path}: {error}");
        assert_eq!(error["error"]["param"], Value::Null);
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.len() > 10));
        assert!(error["error"]["type"].is_string());
    }
    let response =
        client.post(gateway.url("/v1/messages")).body("{").send().await.expect("an answer");
    let error: Value = response.json().await.expect("JSON");
    assert_eq!(error["type"], "error");
    assert_eq!(error["error"]["type"], "invalid_request_error");
    assert_eq!(upstream.counts().begun, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn health_says_ok() {
    let gateway = Gateway::start(config(&[])).await;
    let response = client().get(gateway.url("/healthz")).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let admin = format!("http://{}/healthz", gateway.admin);
    assert_eq!(client().get(admin).send().await.expect("an answer").status(), 200);
    gateway.stop().await;
}

#[tokio::test]
async fn lists_of_models_are_one() {
    let first = MockUpstream::start(Behaviour::new().models(["a", "both"]));
    let second = MockUpstream::start(Behaviour::new().models(["b", "both", "hidden"]));
    let mut settings = config(&[&first, &second]);
    settings.upstream[1].models = vec!["b".to_owned(), "both".to_owned()];
    settings.upstream.push(UpstreamConfig::new("http://127.0.0.1:1"));
    let gateway = Gateway::start(settings).await;
    let list: Value = client()
        .get(gateway.url("/v1/models"))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(list["object"], "list");
    let names: Vec<&str> =
        list["data"].as_array().expect("a list").iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(names, ["a", "both", "b"], "those that are reached, each once");
    // A model goes to an upstream that has it.
    for _ in 0..6 {
        let mut request = chat("hello", false);
        request["model"] = json!("b");
        let response = client()
            .post(gateway.url("/v1/chat/completions"))
            .json(&request)
            .send()
            .await
            .expect("an answer");
        assert!(response.status() == 200, "{}", response.status());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_model_that_nobody_has_is_not_found() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.upstream[0].models = vec!["mine".to_owned()];
    let gateway = Gateway::start(settings).await;
    let response = client()
        .post(gateway.url("/v1/chat/completions"))
        .json(&chat("hello", false))
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 404);
    let error: Value = response.json().await.expect("JSON");
    assert_eq!(error["error"]["code"], "model_not_found");
    assert_eq!(upstream.counts().begun, 0);
    gateway.stop().await;
}

/// A virtual key never leaves; the upstream's own stands where the client put its key.
#[tokio::test]
async fn keys_are_replaced_where_they_stood() {
    let upstream = MockUpstream::start(Behaviour::new().always(Fault::Echo));
    let secrets = |name: &str| {
        let mut secrets = Secrets::default();
        secrets.0.insert(name.to_owned(), Secret::new("sk-upstream").expect("a key"));
        secrets
    };
    let mut with_key = UpstreamConfig::new(upstream.url());
    with_key.key_env = Some("KEY".to_owned());
    let with_key = Upstreams::new(&[with_key], &secrets("KEY")).expect("upstreams");
    let without = Upstreams::new(&[UpstreamConfig::new(upstream.url())], &Secrets::default());
    let without = without.expect("upstreams");
    let bearer = ("authorization", "Bearer sk-virtual");
    let plain = ("x-api-key", "sk-virtual");
    for (upstreams, api, sent, replace_key, expected) in [
        (&with_key, Api::Chat, vec![bearer], true, ("Bearer sk-upstream", "")),
        (&with_key, Api::Messages, vec![plain], true, ("", "sk-upstream")),
        (&with_key, Api::Messages, vec![bearer], true, ("Bearer sk-upstream", "")),
        (&with_key, Api::Messages, vec![], true, ("", "sk-upstream")),
        (&with_key, Api::Chat, vec![bearer, plain], true, ("", "sk-upstream")),
        (&with_key, Api::Chat, vec![bearer], false, ("Bearer sk-virtual", "")),
        (&without, Api::Chat, vec![bearer, plain], true, ("", "")),
        (&without, Api::Messages, vec![plain], false, ("", "sk-virtual")),
    ] {
        let headers = sent
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect::<http::HeaderMap>();
        let outgoing = Outgoing {
            api,
            method: http::Method::POST,
            path: http::uri::PathAndQuery::from_static("/v1/chat/completions"),
            headers,
            body: "{}".into(),
            model: String::new(),
            replace_key,
            may_retry: true,
        };
        let before = upstream.requests().len();
        let index = upstreams.choose("").expect("an upstream");
        upstreams.send(index, &outgoing).await.expect("an answer");
        let seen = upstream.requests().pop().expect("a request");
        assert_eq!(upstream.requests().len(), before + 1);
        let found = (seen.header("authorization"), seen.header("x-api-key"));
        assert_eq!(found, expected, "{api:?} {sent:?} {replace_key}");
    }
}

#[tokio::test]
async fn a_missing_key_is_a_wrong_setting() {
    let mut upstream = UpstreamConfig::new("http://127.0.0.1:1");
    upstream.key_env = Some("NO_SUCH_KEY".to_owned());
    let error = Upstreams::new(&[upstream], &Secrets::default()).expect_err("no key");
    assert!(error.to_string().contains("upstream[0].key_env: NO_SUCH_KEY isn't set"), "{error}");
}

#[tokio::test]
async fn continue_is_said_only_to_who_may() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.listen.body_bytes_max = 1_000;
    let gateway = Gateway::start(settings).await;
    let head = |n: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\
             connection: close\r\ncontent-length: {n}\r\n\r\n"
        )
    };
    let refused = gateway.raw(head(2_000).as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    let body = chat("hello", false).to_string();
    let mut stream = TcpStream::connect(gateway.public).await.expect("a connection");
    stream.write_all(head(body.len()).as_bytes()).await.expect("sent");
    let first = read(&mut stream, std::time::Duration::from_millis(300)).await;
    assert_eq!(first, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.expect("sent");
    let answer = read(&mut stream, PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!upstream.requests().iter().any(|request| request.headers.contains_key("expect")));
    gateway.stop().await;
}

#[tokio::test]
async fn old_clients_are_answered_too() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let body = chat("hello", true).to_string();
    let head = "POST /v1/chat/completions HTTP/1.0\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let answer = gateway.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("transfer-encoding"), "{answer}");
    assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
    gateway.stop().await;
}
