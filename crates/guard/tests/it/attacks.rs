//! Clients that mean harm: each is refused in time, nothing of it reaches the upstream, and others
//! are served meanwhile.

use crate::gateway::{Gateway, PATIENCE, chat, client, config, raw, read};
use std::time::{Duration, Instant};
use stillwatch_guard::upstream::UpstreamConfig;
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// The status of the first answer in what came back.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

async fn is_serving(gateway: &Gateway) -> bool {
    let response = client()
        .post(gateway.url("/v1/chat/completions"))
        .json(&chat("still there?", false))
        .send()
        .await;
    response.is_ok_and(|response| response.status() == 200)
}

#[tokio::test]
async fn slow_heads_are_cut_off() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.listen.header_timeout_ms = 300;
    let gateway = Gateway::start(settings).await;
    let begin = Instant::now();
    // One sends nothing, one a byte now and then, one what might become HTTP/2.
    let silent = TcpStream::connect(gateway.public).await.expect("a connection");
    let mut preface = TcpStream::connect(gateway.public).await.expect("a connection");
    preface.write_all(b"PR").await.expect("sent");
    let mut slow = TcpStream::connect(gateway.public).await.expect("a connection");
    let trickle = async {
        slow.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-a: ")
            .await
            .expect("sent");
        while slow.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(begin.elapsed() < PATIENCE, "it is still read");
        }
    };
    trickle.await;
    for mut stream in [silent, preface] {
        let rest = read(&mut stream, PATIENCE).await;
        assert_eq!(rest, "");
    }
    assert!(is_serving(&gateway).await);
    assert_eq!(upstream.counts().begun, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn slow_bodies_are_cut_off() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.listen.body_timeout_ms = 300;
    settings.listen.body_rate_min = 10_000;
    let gateway = Gateway::start(settings).await;
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n";
    // One that stops, one that goes on too slowly.
    let mut stopped = TcpStream::connect(gateway.public).await.expect("a connection");
    stopped.write_all(head).await.expect("sent");
    let mut slow = TcpStream::connect(gateway.public).await.expect("a connection");
    slow.write_all(head).await.expect("sent");
    let begin = Instant::now();
    let slow = async {
        for _ in 0..200 {
            if slow.write_all(b"a").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        read(&mut slow, PATIENCE).await
    };
    let (stopped, _slow) = tokio::join!(read(&mut stopped, PATIENCE), slow);
    assert_eq!(status(&stopped), 408, "{stopped}");
    assert!(stopped.contains("connection: close"), "{stopped}");
    assert!(begin.elapsed() < PATIENCE);
    assert_eq!(upstream.counts().begun, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_gigabyte_is_refused_before_it_is_sent() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.listen.body_bytes_max = 1 << 20;
    let gateway = Gateway::start(settings).await;
    // Declared: refused on its head alone.
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 1073741824\r\n\r\n";
    let answer = gateway.raw(head.as_bytes()).await;
    assert_eq!(status(&answer), 413, "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");
    // In chunks without end: refused at the limit; what could be sent after that is what
    // sockets hold, not a gigabyte.
    let mut stream = TcpStream::connect(gateway.public).await.expect("a connection");
    stream
        .write_all(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await
        .expect("sent");
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend(std::iter::repeat_n(b'a', 0x10000));
    chunk.extend(b"\r\n");
    let mut sent = 0_usize;
    while sent < 1 << 30 && stream.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert!(is_serving(&gateway).await);
    assert_eq!(upstream.counts().begun, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.listen.body_bytes_max = 64 << 10;
    let gateway = Gateway::start(settings).await;
    for _ in 0..10 {
        let response = client()
            .post(gateway.url("/v1/messages"))
            .body(vec![b'a'; 3 << 20])
            .send()
            .await
            .expect("an answer, no reset");
        assert_eq!(response.status(), 413);
        let body: serde_json::Value = response.json().await.expect("JSON");
        assert_eq!(body["error"]["type"], "request_too_large");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.listen.bodies_bytes_max = 100_000;
    let gateway = Gateway::start(settings).await;
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 90000\r\n\r\n";
    let mut first = TcpStream::connect(gateway.public).await.expect("a connection");
    first.write_all(head).await.expect("sent");
    first.write_all(&vec![b' '; 80_000]).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = gateway.raw(&[&head[..], &vec![b' '; 90_000][..]].concat()).await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(is_serving(&gateway).await, "what is given back can be used again");
    gateway.stop().await;
}

#[tokio::test]
async fn endless_heads_are_refused() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let begin = "GET /v1/models HTTP/1.1\r\nhost: a\r\n";
    let long = format!("{begin}x-a: {}\r\n\r\n", "a".repeat(10 << 20));
    let many: String = (0..10_000).fold(begin.to_owned(), |all, i| all + &format!("x-{i}: a\r\n"));
    let target = format!("GET /v1/models?{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(60_000));
    for (what, sent, expected) in [
        ("one long header", long, &[431][..]),
        ("many headers", many + "\r\n", &[431]),
        ("a long target", target, &[404, 414, 431]),
    ] {
        let answer = gateway.raw(sent.as_bytes()).await;
        // The other end may be closed before the whole head was sent, answer included.
        assert!(answer.is_empty() || expected.contains(&status(&answer)), "{what}: {answer}");
    }
    // Just above the limit the answer always arrives.
    let answer =
        gateway.raw(format!("{begin}x-a: {}\r\n\r\n", "a".repeat(64 << 10)).as_bytes()).await;
    assert_eq!(status(&answer), 431, "{answer}");
    assert!(is_serving(&gateway).await);
    assert_eq!(upstream.counts().begun, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn packed_bodies_are_refused_packed() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    // The length of a bomb's wrapping; what is in it is never looked at.
    for coding in ["gzip", "br", "zstd", "gzip, gzip", "identity, gzip", "x-unknown"] {
        let response = client()
            .post(gateway.url("/v1/chat/completions"))
            .header("content-encoding", coding)
            .body(vec![0x1f, 0x8b, 8, 0, 0, 0])
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 415, "{coding}");
        assert_eq!(response.headers()["accept-encoding"], "identity");
    }
    let plain = client()
        .post(gateway.url("/v1/chat/completions"))
        .header("content-encoding", "identity")
        .json(&chat("hello", false))
        .send()
        .await
        .expect("an answer");
    assert_eq!(plain.status(), 200);
    assert_eq!(upstream.counts().begun, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let upstream = MockUpstream::start(Behaviour::new());
    let mut settings = config(&[&upstream]);
    settings.listen.connections_max = 2;
    let gateway = Gateway::start(settings).await;
    let first = TcpStream::connect(gateway.public).await.expect("a connection");
    let second = TcpStream::connect(gateway.public).await.expect("a connection");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ask = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut third = TcpStream::connect(gateway.public).await.expect("it waits in the queue");
    third.write_all(ask).await.expect("sent");
    assert_eq!(read(&mut third, Duration::from_millis(300)).await, "", "not accepted yet");
    drop(first);
    let answer = read(&mut third, PATIENCE).await;
    assert_eq!(status(&answer), 200, "{answer}");
    drop(second);
    gateway.stop().await;
}

/// A client that asks for much and reads nothing holds neither memory nor the upstream for ever.
#[tokio::test]
async fn clients_that_read_nothing_are_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let mut settings = config(&[]);
    settings.upstream = vec![UpstreamConfig::new(format!("http://{addr}"))];
    settings.listen.write_timeout_ms = 300;
    let gateway = Gateway::start(settings).await;
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("sent");
        let part = vec![b'a'; 64 << 10];
        let mut sent = 0_usize;
        while sent < 1 << 30 && stream.write_all(&part).await.is_ok() {
            sent += part.len();
        }
        sent
    });
    let body = chat("hello", false).to_string();
    let mut stream = TcpStream::connect(gateway.public).await.expect("a connection");
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("sent");
    let sent = tokio::time::timeout(PATIENCE, upstream).await.expect("it is stopped");
    assert!(sent.expect("no panic") < 64 << 20, "what sockets hold, no more");
    gateway.stop().await;
}

#[tokio::test]
async fn raw_helper_sees_a_closed_port() {
    // The tests above rest on what `raw` sees: an answer that ends is seen to end.
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let ask = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let begin = Instant::now();
    let answer = raw(gateway.public, ask, PATIENCE).await;
    assert_eq!(status(&answer), 200);
    assert!(begin.elapsed() < PATIENCE);
    gateway.stop().await;
}
