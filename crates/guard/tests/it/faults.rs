//! Upstreams that fail, and the guard's own end: what clients see, and that no request is lost or
//! doubled, counted at both ends.

use crate::gateway::{Gateway, PATIENCE, chat, client, config, read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stillwatch_guard::upstream::UpstreamConfig;
use stillwatch_testkit::upstream::{Behaviour, Fault, MockUpstream};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// Asks once; status and body.
async fn ask(gateway: &Gateway, prompt: &str, stream: bool) -> (u16, String) {
    let response = client()
        .post(gateway.url("/v1/chat/completions"))
        .json(&chat(prompt, stream))
        .send()
        .await
        .expect("an answer");
    let status = response.status().as_u16();
    (status, response.text().await.unwrap_or_else(|_| "cut off".to_owned()))
}

fn impatient(upstreams: &[&MockUpstream]) -> stillwatch_guard::GuardConfig {
    let mut settings = config(upstreams);
    for upstream in &mut settings.upstream {
        upstream.connect_timeout_ms = 300;
        upstream.first_byte_timeout_ms = 300;
        upstream.idle_timeout_ms = 300;
        upstream.breaker_failures = 0;
    }
    settings
}

#[tokio::test]
async fn failures_are_said_plainly() {
    for (fault, status, says) in [
        (Fault::status(500), 500, "error"),
        (Fault::status(503), 503, "error"),
        (Fault::too_many(7), 429, "error"),
        (Fault::status(400), 400, "error"),
        (Fault::Drop, 502, "upstream_broken"),
        (Fault::HangBeforeHeaders, 504, "upstream_timeout"),
        (Fault::garbage(), 502, "upstream_broken"),
        (Fault::two_content_lengths(), 502, "upstream_broken"),
        (Fault::HugeHeader { bytes: 1 << 20 }, 502, "upstream_broken"),
        (Fault::content_length_too_long(), 200, "cut off"),
        (Fault::content_length_too_short(), 200, "null"),
        (Fault::HangMidStream { after_events: 1 }, 200, "cut off"),
        (Fault::GarbageJson, 200, ""),
        (Fault::CloseAfter, 200, "choices"),
        (Fault::SlowDrip { bytes: 40, gap_ms: 1 }, 200, "choices"),
    ] {
        let upstream = MockUpstream::start(Behaviour::new().then(fault.clone()));
        let gateway = Gateway::start(impatient(&[&upstream])).await;
        let (found, body) = ask(&gateway, "hello", false).await;
        assert_eq!(found, status, "{fault:?}: {body}");
        assert!(body.contains(says), "{fault:?}: {body}");
        assert_eq!(upstream.counts().begun, 1, "{fault:?}: sent once, whatever came back");
        // Whatever it was, the next request is answered.
        assert_eq!(ask(&gateway, "and now?", false).await.0, 200, "after {fault:?}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn retry_after_passes() {
    let upstream = MockUpstream::start(Behaviour::new().then(Fault::too_many(7)));
    let gateway = Gateway::before(&[&upstream]).await;
    let response = client()
        .post(gateway.url("/v1/chat/completions"))
        .json(&chat("hello", false))
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    gateway.stop().await;
}

#[tokio::test]
async fn redirects_are_answers_like_any_other() {
    let other = MockUpstream::start(Behaviour::new());
    let to = format!("{}/v1/chat/completions", other.url());
    let upstream = MockUpstream::start(Behaviour::new().always(Fault::redirect(&to)));
    let gateway = Gateway::before(&[&upstream]).await;
    drop(client());
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    let response = client
        .expect("a client")
        .post(gateway.url("/v1/chat/completions"))
        .json(&chat("hello", false))
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 302);
    assert_eq!(other.counts().connections, 0);
    gateway.stop().await;
}

/// A stream that is cut must look cut: no last chunk, no `[DONE]`.
#[tokio::test]
async fn a_cut_is_seen_as_a_cut() {
    for fault in [
        Fault::CutMidEvent { after_events: 2 },
        Fault::CutMidStream { after_events: 2 },
        Fault::HangMidStream { after_events: 2 },
    ] {
        let upstream = MockUpstream::start(Behaviour::new().tokens(20..=20).always(fault.clone()));
        let gateway = Gateway::start(impatient(&[&upstream])).await;
        let body = chat("hello", true).to_string();
        let mut stream = TcpStream::connect(gateway.public).await.expect("a connection");
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n";
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answer = read(&mut stream, PATIENCE).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{fault:?}: {answer}");
        assert!(
            answer.matches("data: ").count() >= 2,
            "{fault:?}: what came is passed on: {answer}"
        );
        assert!(!answer.contains("[DONE]"), "{fault:?}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{fault:?}: {answer}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_upstream() {
    // In the midst of a stream, and while nothing has come yet.
    for (behaviour, stream) in [
        (Behaviour::new().tokens(5_000..=5_000).tokens_per_second(50.0), true),
        (Behaviour::new().always(Fault::HangBeforeHeaders), true),
        (Behaviour::new().always(Fault::HangBeforeHeaders), false),
    ] {
        let upstream = MockUpstream::start(behaviour);
        let gateway = Gateway::before(&[&upstream]).await;
        let body = serde_json::json!({
            "model": "mock-1", "messages": [{"role": "user", "content": "hello"}],
            "stream": stream, "max_tokens": 5_000,
        });
        let body = body.to_string();
        let mut socket = TcpStream::connect(gateway.public).await.expect("a connection");
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n";
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).await.expect("sent");
        upstream.wait_for(|counts| counts.begun == 1).await;
        let listen = read(&mut socket, PATIENCE);
        drop(tokio::time::timeout(Duration::from_millis(200), listen).await);
        drop(socket);
        let counts = upstream.wait_for(|counts| counts.cancelled == 1).await;
        assert_eq!((counts.begun, counts.cancelled), (1, 1), "{counts:?}");
        gateway.stop().await;
    }
}

/// A connection that the upstream closed while it was unused costs no request.
#[tokio::test]
async fn connections_that_died_in_the_pool_are_passed_over() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let addr = upstream.addr;
    let asks = (0..8).map(|_| ask(&gateway, "hello", false));
    for (status, _) in futures_util::future::join_all(asks).await {
        assert_eq!(status, 200);
    }
    drop(upstream);
    let upstream = MockUpstream::start_at(Behaviour::new(), addr);
    for _ in 0..8 {
        assert_eq!(ask(&gateway, "hello", false).await.0, 200);
    }
    assert_eq!(upstream.counts().begun, 8);
    gateway.stop().await;
}

#[tokio::test]
async fn a_dead_upstream_costs_no_request() {
    let alive = MockUpstream::start(Behaviour::new());
    let dead = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&alive, &dead]);
    settings.upstream.push(UpstreamConfig::new("http://127.0.0.1:1"));
    drop(dead);
    let gateway = Gateway::start(settings).await;
    for i in 0..60 {
        let (status, body) = ask(&gateway, &format!("prompt {i}"), i % 2 == 0).await;
        assert_eq!(status, 200, "{body}");
    }
    let counts = alive.wait_for(|counts| counts.completed == 60).await;
    assert_eq!((counts.begun, counts.completed), (60, 60));
    let degraded = gateway.guard.metrics.health.degraded();
    assert_eq!(degraded.iter().filter(|(part, _)| part.starts_with("upstream ")).count(), 2);
    let in_order: Vec<bool> =
        gateway.guard.upstreams.health().into_iter().map(|(_, ok)| ok).collect();
    assert_eq!(in_order, [true, false, false]);
    gateway.stop().await;
}

#[tokio::test]
async fn upstreams_take_turns_by_weight() {
    let (one, three) =
        (MockUpstream::start(Behaviour::new()), MockUpstream::start(Behaviour::new()));
    let mut settings = config(&[&one, &three]);
    settings.upstream[1].weight = 3;
    let gateway = Gateway::start(settings).await;
    for _ in 0..80 {
        assert_eq!(ask(&gateway, "hello", false).await.0, 200);
    }
    let (one, three) = (one.counts().begun, three.counts().begun);
    assert_eq!(one + three, 80);
    assert!((18..=22).contains(&one), "{one} of 80 at a quarter");
    gateway.stop().await;
}

/// What was sent and not answered is never sent again, though another upstream stands by.
#[tokio::test]
async fn what_was_sent_is_not_sent_twice() {
    let breaks = MockUpstream::start(Behaviour::new().always(Fault::Drop));
    let stands_by = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&breaks, &stands_by]);
    settings.upstream[0].breaker_failures = 0;
    let gateway = Gateway::start(settings).await;
    let mut failed = 0;
    for _ in 0..20 {
        match ask(&gateway, "hello", false).await.0 {
            200 => {}
            502 => failed += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(breaks.counts().begun, failed);
    assert_eq!(breaks.counts().begun + stands_by.counts().begun, 20);
    gateway.stop().await;
}

#[tokio::test]
async fn the_breaker_opens_and_closes() {
    let upstream = MockUpstream::start(Behaviour::new());
    let addr = upstream.addr;
    let mut settings = config(&[&upstream]);
    settings.upstream[0].breaker_failures = 3;
    settings.upstream[0].breaker_open_ms = 400;
    let gateway = Gateway::start(settings).await;
    assert_eq!(ask(&gateway, "hello", false).await.0, 200);
    drop(upstream);
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "hello", false).await.0, 502);
    }
    let (status, body) = ask(&gateway, "hello", false).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("upstream_unavailable"), "{body}");
    // It is back, and is found to be after a while.
    let upstream = MockUpstream::start_at(Behaviour::new(), addr);
    let begin = Instant::now();
    while ask(&gateway, "hello", false).await.0 != 200 {
        assert!(begin.elapsed() < PATIENCE, "it is never tried again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..5 {
        assert_eq!(ask(&gateway, "hello", false).await.0, 200);
    }
    assert_eq!(upstream.counts().begun, 6);
    assert!(gateway.guard.metrics.health.degraded().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn an_upstream_that_accepts_and_says_nothing_is_given_up() {
    // TLS towards a socket that never shakes hands: the patience for connecting covers it.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", silent.local_addr().expect("an address"));
    let mut settings = config(&[]);
    let mut upstream = UpstreamConfig::new(url);
    upstream.connect_timeout_ms = 200;
    settings.upstream = vec![upstream];
    let gateway = Gateway::start(settings).await;
    let (status, body) = ask(&gateway, "hello", false).await;
    assert_eq!(status, 502, "{body}");
    assert!(body.contains("upstream_unreachable"), "{body}");
    gateway.stop().await;
}

#[tokio::test]
async fn requests_in_flight_end_and_new_ones_are_refused() {
    let upstream = MockUpstream::start(Behaviour::new().tokens(30..=30).tokens_per_second(60.0));
    let mut gateway = Gateway::before(&[&upstream]).await;
    let idle = TcpStream::connect(gateway.public).await.expect("a connection");
    let in_flight = client()
        .post(gateway.url("/v1/chat/completions"))
        .json(&chat("hello", true))
        .send()
        .await
        .expect("a head");
    gateway.signal();
    let text = in_flight.text().await.expect("the rest of it");
    assert!(text.contains("[DONE]"), "{text}");
    assert!(TcpStream::connect(gateway.public).await.is_err(), "new connections are refused");
    let mut idle = idle;
    assert_eq!(read(&mut idle, PATIENCE).await, "", "unused connections are closed");
    gateway.stop().await;
    let counts = upstream.counts();
    assert_eq!((counts.begun, counts.completed), (1, 1));
}

#[tokio::test]
async fn the_end_doesnt_wait_for_ever() {
    let upstream =
        MockUpstream::start(Behaviour::new().always(Fault::HangMidStream { after_events: 1 }));
    let mut settings = config(&[&upstream]);
    settings.listen.drain_timeout_ms = 200;
    let gateway = Gateway::start(settings).await;
    let in_flight = client()
        .post(gateway.url("/v1/chat/completions"))
        .json(&chat("hello", true))
        .send()
        .await
        .expect("a head");
    gateway.stop().await;
    assert!(in_flight.text().await.is_err(), "it is cut off");
    let counts = upstream.wait_for(|counts| counts.cancelled == 1).await;
    assert_eq!(counts.cancelled, 1);
}

/// A clock that stops the guard in the midst of a request.
#[derive(Debug, Default)]
struct Broken(std::sync::atomic::AtomicBool);

impl stillwatch_guard::Clock for Broken {
    fn now_ms(&self) -> i64 {
        assert!(!self.0.swap(false, Ordering::SeqCst), "this clock was told to break");
        stillwatch_guard::SystemClock.now_ms()
    }
}

#[tokio::test]
async fn a_panic_is_one_requests_error() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.live.enabled = false;
    let clock = Arc::new(Broken::default());
    let of_guard: Arc<dyn stillwatch_guard::Clock> = Arc::<Broken>::clone(&clock);
    let gateway =
        Gateway::start_at(settings, &stillwatch_guard::Secrets::default(), of_guard).await;
    for _ in 0..3 {
        clock.0.store(true, Ordering::SeqCst);
        let (status, body) = ask(&gateway, "hello", false).await;
        // Something in the background may have asked for the time before the request did.
        assert!(status == 200 || status == 500 && body.contains("internal"), "{status} {body}");
        assert_eq!(ask(&gateway, "hello", false).await.0, 200);
    }
    gateway.stop().await;
}

/// Many at once, over HTTP/1.1 and 2: each gets the answer to its own question, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_mixed_up() {
    const CLIENTS: u64 = 24;
    const EACH: u64 = 30;
    let upstream = MockUpstream::start(
        Behaviour::new()
            .always(Fault::Echo)
            .recorded_max(usize::try_from(2 * CLIENTS * EACH).expect("few")),
    );
    let gateway = Arc::new(Gateway::before(&[&upstream]).await);
    let answered = Arc::new(AtomicU64::new(0));
    drop(client());
    let http2 =
        reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
    let tasks: Vec<_> = (0..2 * CLIENTS)
        .map(|i| {
            let (gateway, answered) = (Arc::clone(&gateway), Arc::clone(&answered));
            let client = if i % 2 == 0 { client() } else { http2.clone() };
            tokio::spawn(async move {
                for j in 0..EACH {
                    let mine = format!("{i}-{j}");
                    let response = client
                        .post(gateway.url("/v1/chat/completions"))
                        .header("x-mine", &mine)
                        .json(&chat(&mine, j % 3 == 0))
                        .send()
                        .await
                        .expect("an answer");
                    assert_eq!(response.status(), 200);
                    let text = response.text().await.expect("a body");
                    assert!(text.contains(&format!("\"{mine}\"")), "{mine}: {text}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let all = 2 * CLIENTS * EACH;
    assert_eq!(answered.load(Ordering::SeqCst), all);
    let counts = upstream.wait_for(|counts| counts.completed == all).await;
    assert_eq!((counts.begun, counts.completed, counts.cancelled), (all, all, 0));
    // The last answer is dropped a moment after the client has it.
    let begin = Instant::now();
    while gateway.guard.metrics.in_flight.get() != 0 {
        assert!(begin.elapsed() < PATIENCE, "{:?}", gateway.guard.metrics.in_flight);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut seen: Vec<String> =
        upstream.requests().iter().map(|request| request.header("x-mine").to_owned()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len() as u64, all);
}
