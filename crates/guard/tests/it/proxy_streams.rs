//! Answers pass byte for byte, at once, however they are cut on the way.

use crate::gateway::{Gateway, PATIENCE, client, config};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use stillwatch_guard::upstream::UpstreamConfig;
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Every end point with a request for it.
fn requests(stream: bool) -> Vec<(&'static str, Value)> {
    let messages = json!([{"role": "user", "content": "Häßliche \u{1f600} bytes"}]);
    vec![
        ("/v1/chat/completions", json!({"model": "m", "messages": messages, "stream": stream})),
        ("/v1/completions", json!({"model": "m", "prompt": "hello", "stream": stream})),
        ("/v1/responses", json!({"model": "m", "input": "hello", "stream": stream})),
        (
            "/v1/messages",
            json!({"model": "m", "messages": messages, "max_tokens": 50, "stream": stream}),
        ),
        ("/v1/embeddings", json!({"model": "m", "input": ["hello", "you"]})),
    ]
}

/// An upstream that answers each connection's one request with these pieces, each sent apart.
async fn scripted(pieces: Arc<Mutex<Vec<Bytes>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            let pieces = pieces.lock().expect("no panic").clone();
            tokio::spawn(async move {
                read_request(&mut stream).await;
                for piece in pieces {
                    stream.write_all(&piece).await.expect("sent");
                    tokio::task::yield_now().await;
                }
                stream.shutdown().await.expect("the end");
            });
        }
    });
    addr
}

async fn read_request(stream: &mut TcpStream) {
    let mut all = Vec::new();
    loop {
        let mut part = [0; 4096];
        let n = stream.read(&mut part).await.expect("a request");
        all.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.to_lowercase().split("content-length: ").nth(1).map_or(0, |rest| {
                rest.split("\r\n").next().unwrap_or("0").parse::<usize>().expect("a length")
            });
            if all.len() >= end + 4 + length {
                return;
            }
        }
        assert!(n > 0, "the request broke off");
    }
}

/// Cuts bytes in pieces of 1 to `longest` bytes, by a seed.
fn cut(bytes: &[u8], longest: usize, seed: u64) -> Vec<Bytes> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let n = (1 + usize::try_from(state >> 33).expect("few") % longest).min(rest.len());
        pieces.push(Bytes::copy_from_slice(&rest[..n]));
        rest = &rest[n..];
    }
    pieces
}

/// Bytes in HTTP's chunks of 1 to `longest` bytes.
fn chunked(bytes: &[u8], longest: usize, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in cut(bytes, longest, seed) {
        out.extend(format!("{:x}\r\n", piece.len()).bytes());
        out.extend_from_slice(&piece);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\n\r\n");
    out
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// What upstreams send, of every shape, is taken from the mock without the guard in between;
/// then sent through the guard cut anywhere, in chunks and in segments.
#[tokio::test]
async fn bytes_are_the_same_at_both_ends() {
    let mock = MockUpstream::start(Behaviour::new().tokens(12..=12).reasoning());
    let pieces = Arc::new(Mutex::new(Vec::new()));
    let mut settings = config(&[]);
    settings.upstream =
        vec![UpstreamConfig::new(format!("http://{}", scripted(Arc::clone(&pieces)).await))];
    let gateway = Gateway::start(settings).await;
    let client = client();
    for stream in [false, true] {
        for (path, request) in requests(stream) {
            let direct = client.post(mock.url() + path).json(&request).send().await.expect("it");
            let kind = direct.headers()["content-type"].to_str().expect("text").to_owned();
            let sent = direct.bytes().await.expect("a body");
            assert!(sent.len() > 50, "{path}: {sent:?}");
            for seed in 0..6_u64 {
                let (in_chunk, in_segment) =
                    [(1, 1), (7, 3), (40, 40), (400, 13), (9000, 1000), (3, 9000)]
                        [usize::try_from(seed).expect("few")];
                let framed = chunked(&sent, in_chunk, seed);
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
                );
                let all = [head.as_bytes(), &framed].concat();
                *pieces.lock().expect("no panic") = cut(&all, in_segment, seed);
                let response =
                    client.post(gateway.url(path)).json(&request).send().await.expect("an answer");
                assert_eq!(response.headers()["content-type"], kind.as_str());
                let received = response.bytes().await.expect("a body");
                assert_eq!(hash(&received), hash(&sent), "{path} {stream} {seed}");
            }
        }
    }
    gateway.stop().await;
}

/// The same without chunks: by length, and by the end of the connection.
#[tokio::test]
async fn bytes_are_the_same_in_other_framings() {
    let pieces = Arc::new(Mutex::new(Vec::new()));
    let mut settings = config(&[]);
    settings.upstream =
        vec![UpstreamConfig::new(format!("http://{}", scripted(Arc::clone(&pieces)).await))];
    let gateway = Gateway::start(settings).await;
    let body: Vec<u8> =
        (0..100_000_u32).map(|i| u8::try_from(i * 7 % 251).expect("a byte")).collect();
    let request = json!({"model": "m", "messages": []});
    for (framing, body) in [
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()), &body[..]),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(), &body[..]),
        ("HTTP/1.0 200 OK\r\n\r\n".to_owned(), &body[..]),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), &[]),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
            &[],
        ),
    ] {
        *pieces.lock().expect("no panic") = cut(&[framing.as_bytes(), body].concat(), 5_000, 3);
        let response = client()
            .post(gateway.url("/v1/chat/completions"))
            .json(&request)
            .send()
            .await
            .expect("an answer");
        assert!(response.status().is_success(), "{framing}");
        let received = response.bytes().await.expect("a body");
        assert_eq!(hash(&received), hash(body), "{framing}");
    }
    gateway.stop().await;
}

/// An event goes on when it comes: nothing waits for the next.
#[tokio::test]
async fn events_are_not_held_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut settings = config(&[]);
    let addr = listener.local_addr().expect("an address");
    settings.upstream = vec![UpstreamConfig::new(format!("http://{addr}"))];
    let gateway = Gateway::start(settings).await;
    let (seen, next) = oneshot::channel::<()>();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.expect("sent");
        stream.write_all(b"9\r\ndata: 1\n\n\r\n").await.expect("sent");
        next.await.expect("the client has it");
        stream.write_all(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n").await.expect("sent");
        stream
    });
    let response = client()
        .post(gateway.url("/v1/chat/completions"))
        .json(&json!({"model": "m", "messages": [], "stream": true}))
        .send()
        .await
        .expect("the head comes before the body has ended");
    let mut stream = response.bytes_stream();
    let first = tokio::time::timeout(PATIENCE, stream.next()).await.expect("in time");
    assert_eq!(first.expect("an event").expect("no cut"), "data: 1\n\n");
    seen.send(()).expect("it waits");
    let second = tokio::time::timeout(PATIENCE, stream.next()).await.expect("in time");
    assert_eq!(second.expect("an event").expect("no cut"), "data: 2\n\n");
    assert!(stream.next().await.is_none());
    drop(upstream.await.expect("no panic"));
    gateway.stop().await;
}
