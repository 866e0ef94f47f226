//! Requests that two servers could read as two different ones, and targets that are no path: what
//! reaches the upstream is one request with a framing and an address of the guard's own.

use crate::attacks::status;
use crate::gateway::{Gateway, chat};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

/// A request: what it tries, its bytes, the status, how many requests reach the upstream. `POST`
/// stands for the line and the host, `BODY` for a body of `LENGTH` bytes (`SIZE` in hexadecimal), `CHUNKS` for the same in
/// chunks, `HIDDEN` for a second request.
type Case = (&'static str, &'static str, u16, u64);

const HIDDEN: &str = "GET /v1/models HTTP/1.1\r\nhost: b\r\nx-smuggled: yes\r\n\r\n";

const CASES: [Case; 28] = [
    ("as it should be", "POST\r\ncontent-length: LENGTH\r\n\r\nBODY", 200, 1),
    ("chunked as it should be", "POST\r\ntransfer-encoding: chunked\r\n\r\nCHUNKS", 200, 1),
    (
        "both lengths: chunks count, and the connection ends",
        "POST\r\ncontent-length: 999\r\ntransfer-encoding: chunked\r\n\r\nCHUNKSHIDDEN",
        200,
        1,
    ),
    (
        "both lengths the other way round",
        "POST\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\nCHUNKSHIDDEN",
        200,
        1,
    ),
    ("two lengths", "POST\r\ncontent-length: LENGTH\r\ncontent-length: 0\r\n\r\nBODY", 400, 0),
    ("two lengths in one", "POST\r\ncontent-length: LENGTH, LENGTH\r\n\r\nBODY", 400, 0),
    (
        "the same length twice",
        "POST\r\ncontent-length: LENGTH\r\ncontent-length: LENGTH\r\n\r\nBODY",
        200,
        1,
    ),
    ("a signed length", "POST\r\ncontent-length: +LENGTH\r\n\r\nBODY", 400, 0),
    ("a negative length", "POST\r\ncontent-length: -1\r\n\r\nBODY", 400, 0),
    ("a hexadecimal length", "POST\r\ncontent-length: 0x10\r\n\r\nBODY", 400, 0),
    ("a length beyond all", "POST\r\ncontent-length: 99999999999999999999\r\n\r\nBODY", 400, 0),
    ("chunked not last", "POST\r\ntransfer-encoding: chunked, identity\r\n\r\nCHUNKS", 400, 0),
    ("another coding", "POST\r\ntransfer-encoding: xchunked\r\n\r\nCHUNKS", 400, 0),
    (
        "chunked in HTTP/1.0",
        "POST /v1/completions HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\nCHUNKS",
        400,
        0,
    ),
    ("a blank before the colon", "POST\r\ntransfer-encoding : chunked\r\n\r\nCHUNKS", 400, 0),
    ("a folded header", "POST\r\nx-a: b\r\n c\r\ncontent-length: LENGTH\r\n\r\nBODY", 400, 0),
    ("a folded length", "POST\r\ncontent-length:\r\n LENGTH\r\n\r\nBODY", 400, 0),
    (
        "a bare return in a value",
        "POST\r\nx-a: b\rx-b: c\r\ncontent-length: LENGTH\r\n\r\nBODY",
        400,
        0,
    ),
    ("a null in a value", "POST\r\nx-a: b\0c\r\ncontent-length: LENGTH\r\n\r\nBODY", 400, 0),
    (
        "bare line ends: read as line ends",
        "POST /v1/chat/completions HTTP/1.1\nhost: a\ncontent-length: LENGTH\n\nBODY",
        200,
        1,
    ),
    ("a chunk's size with a sign", "POST\r\ntransfer-encoding: chunked\r\n\r\n+CHUNKS", 400, 0),
    (
        "a chunk's size beyond all",
        "POST\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nBODY",
        400,
        0,
    ),
    (
        "a chunk longer than said",
        "POST\r\ntransfer-encoding: chunked\r\n\r\n4\r\nBODY\r\n0\r\n\r\n",
        400,
        0,
    ),
    (
        "a bare line end in chunks",
        "POST\r\ntransfer-encoding: chunked\r\n\r\nSIZE\nBODY\r\n0\r\n\r\n",
        400,
        0,
    ),
    ("a body with no length", "POST\r\n\r\nBODY", 400, 0),
    (
        "no such version",
        "POST /v1/completions HTTP/3.0\r\ncontent-length: LENGTH\r\n\r\nBODY",
        400,
        0,
    ),
    (
        "blanks in the line",
        "POST  /v1/completions HTTP/1.1\r\ncontent-length: LENGTH\r\n\r\nBODY",
        400,
        0,
    ),
    ("nonsense", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\r\n\r\n", 400, 0),
];

/// What two servers could read as different requests. Each is refused, or is one request for the
/// upstream with the framing that the guard gives it; a second request that hides in it is either
/// the next of this connection, with its own account, or never seen.
#[tokio::test]
async fn nothing_is_smuggled() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let body = chat("hello", false).to_string();
    let length = body.len().to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (what, sent, expected, begun) in CASES {
        let sent = sent
            .replace("POST\r\n", "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n")
            .replace("HIDDEN", HIDDEN)
            .replace("CHUNKS", &chunks)
            .replace("LENGTH", &length)
            .replace("SIZE", &format!("{:x}", body.len()))
            .replace("BODY", &body);
        let before = upstream.counts().begun;
        let answer = gateway.raw(sent.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{what}: {answer}");
        assert_eq!(upstream.counts().begun - before, begun, "{what}");
    }
    assert!(upstream.requests().iter().all(|seen| {
        seen.body == body.as_bytes()
            && seen.header("content-length") == length
            && seen.header("transfer-encoding").is_empty()
            && seen.header("x-smuggled").is_empty()
    }));
    gateway.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_each_their_own() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let body = chat("hello", false).to_string();
    let one = |key: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = gateway.raw((one("k1") + &one("k2") + &one("k3")).as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    let seen = upstream.requests();
    let keys: Vec<&str> = seen.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(keys, ["Bearer k1", "Bearer k2", "Bearer k3"]);
    gateway.stop().await;
}

/// Where a request goes is not for the client to say.
#[tokio::test]
async fn the_client_chooses_no_address() {
    let upstream = MockUpstream::start(Behaviour::new());
    let other = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let (evil, body) = (other.addr, chat("hello", false).to_string());
    let tail = format!("content-length: {}\r\n\r\n{body}", body.len());
    for (head, expected) in [
        (format!("POST http://{evil}/v1/chat/completions HTTP/1.1\r\nhost: a\r\n"), 200),
        (format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {evil}\r\n"), 200),
        (
            format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-forwarded-host: {evil}\r\nforwarded: host={evil}\r\n"
            ),
            200,
        ),
        (format!("POST http://user@{evil}/v1/chat/completions HTTP/1.1\r\nhost: a\r\n"), 200),
        (format!("POST /http://{evil}/v1/chat/completions HTTP/1.1\r\nhost: a\r\n"), 404),
        (format!("POST //{evil}/v1/chat/completions HTTP/1.1\r\nhost: a\r\n"), 404),
        (format!("POST @{evil}/v1/chat/completions HTTP/1.1\r\nhost: a\r\n"), 400),
    ] {
        let answer = gateway.raw((head.clone() + &tail).as_bytes()).await;
        assert_eq!(status(&answer), expected, "{head}: {answer}");
    }
    let tunnel =
        gateway.raw(format!("CONNECT {evil} HTTP/1.1\r\nhost: {evil}\r\n\r\n").as_bytes()).await;
    assert_eq!(status(&tunnel), 404, "{tunnel}");
    for seen in upstream.requests() {
        assert_eq!(seen.header("host"), upstream.addr.to_string());
        assert!(seen.headers.keys().all(|name| !name.as_str().contains("forwarded")));
    }
    assert_eq!(other.counts().connections, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    for path in [
        "/v1/../etc/passwd",
        "/v1/models/../chat/completions",
        "/v1/models/%2e%2e/admin",
        "/v1/models/..%2f..%2fadmin",
        "/v1/models/a%00",
        "/v1/models/a%0d%0aset-cookie:%20b",
        "/v1/models/%252e%252e",
        "/v1/models/a\\..\\b",
        "/./v1/models",
        "/v1//models",
        "/",
        "/metrics",
        "/admin",
        "/admin/api/accounts",
        "/login",
        "/dashboard",
        "/stillwatch",
        "/stillwatch/../admin",
        "/.env",
    ] {
        let answer =
            gateway.raw(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await;
        assert!([400, 404].contains(&status(&answer)), "{path}: {answer}");
        assert!(!answer.to_lowercase().contains("\r\nset-cookie"), "{path}: {answer}");
    }
    assert_eq!(upstream.counts().begun, 0);
    gateway.stop().await;
}
