//! Counters, logs, spans and kept exchanges.

use crate::gateway::{self, Gateway};
use crate::site::{self, Site};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stillwatch_evidence::Secret;
use stillwatch_guard::observe::{Ended, LogFormat, LogRequests, ObserveConfig, logs};
use stillwatch_guard::request::Api;
use stillwatch_guard::{Guard, Secrets};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tracing_subscriber::fmt::MakeWriter;

const PROMPT: &str = "the tide goes out twice a day";

/// Receives OTLP requests: header lines and body of each.
async fn collector() -> (String, tokio::sync::mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                loop {
                    while request_end(&bytes).is_none_or(|(_, end)| bytes.len() < end) {
                        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let (head, end) = request_end(&bytes).expect("a whole request");
                    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
                    let body = bytes[head..end].to_vec();
                    bytes.drain(..end);
                    if sender.send((text, body)).await.is_err() {
                        return;
                    }
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    if socket.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (format!("http://{address}"), receiver)
}

/// Where the body starts, and where it ends.
fn request_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text.split("content-length: ").nth(1)?.lines().next()?.trim().parse::<usize>();
    Some((head, head + length.ok()?))
}

fn spans(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    let shown = |value: &Any| match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(n) => n.to_string(),
        Any::BoolValue(b) => b.to_string(),
        Any::ArrayValue(items) => format!("{:?}", items.values.len()),
        other => format!("{other:?}"),
    };
    found.value.as_ref()?.value.as_ref().map(shown)
}

async fn ask(gateway: &Gateway, key: &str) -> u16 {
    let body = serde_json::json!({
        "model": "mock", "messages": [{ "role": "user", "content": PROMPT }], "max_tokens": 8,
    });
    let request = site::client().post(gateway.url("/v1/chat/completions")).bearer_auth(key);
    let answer = request.header("content-type", "application/json").body(body.to_string());
    let answer = answer.send().await.expect("an answer");
    let status = answer.status().as_u16();
    answer.bytes().await.expect("a whole answer");
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_receives_a_span_of_a_request_without_its_text() {
    let (endpoint, mut received) = collector().await;
    let upstream = MockUpstream::start(Behaviour::default());
    let mut config = gateway::config(&[&upstream]);
    config.observe.otlp_endpoint = Some(endpoint);
    config.observe.otlp_headers_env = Some("OTLP_HEADERS".to_owned());
    let mut secrets = Secrets::default();
    let headers = Secret::new("x-tenant=lighthouse, authorization=Basic abc").expect("some");
    secrets.0.insert("OTLP_HEADERS".to_owned(), headers);
    let gateway = Gateway::start_with(config, &secrets).await;
    assert_eq!(ask(&gateway, "sk-client-key").await, 200);
    let (head, body) = tokio::time::timeout(gateway::PATIENCE, received.recv())
        .await
        .expect("a span is sent soon")
        .expect("the collector lives");
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    for line in ["content-type: application/x-protobuf", "x-tenant: lighthouse", "basic abc"] {
        assert!(head.contains(line), "{head}");
    }
    let spans = spans(&body);
    let span = spans.first().expect("a span");
    assert_eq!(span.name, "chat mock");
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "mock"),
        ("gen_ai.request.stream", "false"),
        ("gen_ai.response.finish_reasons", "1"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(attribute(span, key).as_deref(), Some(value), "{key}");
    }
    for key in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "stillwatch.account"] {
        assert!(attribute(span, key).is_some(), "{key}");
    }
    assert!(attribute(span, "error.type").is_none());
    assert!(span.start_time_unix_nano < span.end_time_unix_nano && span.trace_id.len() == 16);
    let text = String::from_utf8_lossy(&body);
    for secret in [PROMPT, "sk-client-key", "key-"] {
        assert!(!text.contains(secret), "{secret} is in the span");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_are_sampled_and_a_dead_collector_costs_nothing_but_spans() {
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}/custom/path", dead.local_addr().expect("an address"));
    let upstream = MockUpstream::start(Behaviour::default());
    let mut config = gateway::config(&[&upstream]);
    config.observe.otlp_endpoint = Some(endpoint);
    let gateway = Gateway::start_with(config, &Secrets::default()).await;
    let ended = |n: u64| Ended {
        request_id: "req-1",
        api: Some(Api::Messages),
        model: "m",
        status: if n == 0 { 502 } else { 200 },
        ..Ended::default()
    };
    // Nobody takes them: the queue fills, and what doesn't fit is counted.
    for n in 0..6_000 {
        gateway.guard.observer.ended(&ended(n));
    }
    let dropped = gateway.guard.metrics.queue_dropped.get("spans").get();
    assert!((1..6_000).contains(&dropped), "{dropped}");
    drop(dead);
    let (endpoint, mut received) = collector().await;
    let mut config = gateway::config(&[&upstream]);
    config.observe.otlp_endpoint = Some(endpoint);
    config.observe.otlp_sample_ratio = 0.25;
    let sampled = Gateway::start_with(config, &Secrets::default()).await;
    for n in 0..2_000 {
        sampled.guard.observer.ended(&ended(n));
    }
    let mut n_received = 0;
    while n_received < 380 {
        let next = tokio::time::timeout(gateway::PATIENCE, received.recv()).await;
        let (_, body) = next.expect("spans come").expect("the collector lives");
        n_received += spans(&body).len();
    }
    // 2,000 draws at 0.25: 500, with a standard deviation of 19.
    assert!((380..620).contains(&n_received), "{n_received}");
    sampled.stop().await;
    // The collector that is gone must not hold up the end for long.
    gateway.stop().await;
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic before").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn logged(config: &ObserveConfig, guard: &Guard, ended: &Ended<'_>) -> String {
    let kept = Kept::default();
    let subscriber = logs::subscriber(config, kept.clone()).expect("a good level");
    tracing::subscriber::with_default(subscriber, || guard.observer.ended(ended));
    let bytes = kept.0.lock().expect("no panic before").clone();
    String::from_utf8(bytes).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_line_is_one_line_and_names_no_key() {
    let upstream = MockUpstream::start(Behaviour::default());
    let mut config = gateway::config(&[&upstream]);
    config.observe.log_requests = LogRequests::All;
    config.observe.log_format = LogFormat::Json;
    let observe = config.observe.clone();
    let gateway = Gateway::start_with(config, &Secrets::default()).await;
    let guard = &gateway.guard;
    let ip = std::net::IpAddr::from([10, 0, 0, 9]);
    let who = guard.keys.authenticate(Some("sk-client-key"), ip, 0).expect("let in");
    let ended = Ended {
        request_id: "req-7",
        api: Some(Api::Chat),
        who: Some(&who),
        model: "evil\"\n{\"level\":\"ERROR\"}\u{1b}[31m",
        status: 200,
        duration: Duration::from_millis(20),
        finish_reason: Some("stop"),
        ..Ended::default()
    };
    let line = logged(&observe, guard, &ended);
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(value["request_id"], "req-7");
    assert_eq!(value["status"], 200);
    let account = value["account"].as_str().expect("a pseudonym");
    assert!(account.starts_with("acct-") && account == guard.observer.shown_account(&who.account));
    for secret in ["sk-client-key", "10.0.0.9", &who.account] {
        assert!(!line.contains(secret), "{secret}: {line}");
    }
    let human = ObserveConfig { log_format: LogFormat::Human, ..observe.clone() };
    let line = logged(&human, guard, &ended);
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(!line.contains('\u{1b}'), "{line}");
    let quiet = ObserveConfig { log_level: "error".to_owned(), ..observe.clone() };
    assert_eq!(logged(&quiet, guard, &ended), "");
    assert!(
        logs::subscriber(&ObserveConfig { log_level: "loud".to_owned(), ..observe }, io::sink)
            .is_err()
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_are_kept_only_where_asked_for_and_forgotten_by_account() {
    let upstream = MockUpstream::start(Behaviour::default());
    let plain = Gateway::before(&[&upstream]).await;
    assert_eq!(ask(&plain, "sk-a").await, 200);
    assert!(!plain.guard.config.data.join("exchanges").exists());
    plain.stop().await;

    let mut config = gateway::config(&[&upstream]);
    config.observe.store_prompts = true;
    let gateway = Gateway::start_with(config, &Secrets::default()).await;
    for key in ["sk-a", "sk-b", "sk-a"] {
        assert_eq!(ask(&gateway, key).await, 200);
    }
    let guard = &gateway.guard;
    let read = || {
        let dir = fs_err::read_dir(guard.config.data.join("exchanges")).expect("the folder");
        let files = dir.map(|entry| fs_err::read_to_string(entry.expect("a file").path()));
        files.map(|text| text.expect("text")).collect::<String>()
    };
    // The end of an answer is noted after its last byte has gone out.
    let mut kept = String::new();
    for _ in 0..200 {
        guard.observer.flush_exchanges().await.expect("it runs");
        kept = read();
        if kept.lines().count() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(kept.matches(PROMPT).count(), 3, "{kept}");
    assert!(!kept.contains("sk-a"), "no key is kept");
    let ip = std::net::IpAddr::from([127, 0, 0, 1]);
    let who = guard.keys.authenticate(Some("sk-a"), ip, 0).expect("let in");
    assert_eq!(guard.observer.forget_account(&who.account).await.expect("it runs"), 2);
    assert_eq!(read().lines().count(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_count_what_passed_and_name_no_account() {
    let upstream = MockUpstream::start(Behaviour::default());
    let gateway = Gateway::before(&[&upstream]).await;
    let key = gateway.guard.keys.first_admin_key().expect("the first start makes one");
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "sk-client-key").await, 200);
    }
    let visitor = Site::logged_in(&gateway, key.expose()).await;
    let wanted = "stillwatch_requests_total{api=\"chat\",status=\"2xx\"} 3";
    let mut text = String::new();
    for _ in 0..200 {
        text = visitor.page("/metrics").await;
        if text.contains(wanted) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(text.contains(wanted), "{text}");
    for name in [
        "stillwatch_request_duration_seconds_bucket{le=\"+Inf\",api=\"chat\"} 3",
        "stillwatch_exposure_tokens_total 0",
        "stillwatch_ledger_fsync_seconds_count 0",
    ] {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(!text.contains("key-") && !text.contains(PROMPT), "{text}");
    gateway.stop().await;
}
