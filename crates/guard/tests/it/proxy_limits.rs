//! Limits on a request's way: refused before the upstream is asked, and settled by what was used.

use crate::gateway::{Gateway, PATIENCE, chat, client, config, read};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use stillwatch_guard::limits::PlanLimits;
use stillwatch_testkit::upstream::{Behaviour, Fault, MockUpstream};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A minute's tokens: too few flow back within a test to hide what was reserved.
const TOKENS: u64 = 30_000;

/// Tokens that the account of this key has left.
fn tokens_left(gateway: &Gateway, key: &str) -> f64 {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let who = gateway.guard.keys.authenticate(Some(key), ip, 0).expect("everybody is let in");
    let standing = gateway.guard.limits.standing(&who.account);
    standing.iter().find(|bucket| bucket.what == "tokens").map_or(-1.0, |bucket| bucket.remaining)
}

async fn limited(upstream: &MockUpstream, limits: PlanLimits) -> Gateway {
    let mut settings = config(&[upstream]);
    settings.limits.plan.insert("default".to_owned(), limits);
    Gateway::start(settings).await
}

#[tokio::test]
async fn a_spent_limit_is_said_in_the_shape_of_the_api() {
    let upstream = MockUpstream::start(Behaviour::new());
    let limits = PlanLimits { requests_per_minute: Some(2), ..PlanLimits::default() };
    let gateway = limited(&upstream, limits).await;
    let ask = |path: &'static str, key: &'static str| {
        let mut body = chat("hello", false);
        body["max_tokens"] = 10.into();
        client().post(gateway.url(path)).bearer_auth(key).json(&body).send()
    };
    for (path, key, status) in [
        ("/v1/chat/completions", "sk-a", 200),
        ("/v1/messages", "sk-a", 200),
        ("/v1/chat/completions", "sk-a", 429),
        ("/v1/messages", "sk-a", 429),
        ("/v1/chat/completions", "sk-b", 200),
    ] {
        let response = ask(path, key).await.expect("an answer");
        assert_eq!(response.status(), status, "{path} {key}");
        if status != 429 {
            continue;
        }
        let wait = response.headers()["retry-after"].to_str().expect("text").parse::<u64>();
        assert!((1..=60).contains(&wait.expect("seconds")));
        let error: Value = response.json().await.expect("JSON");
        assert_eq!(error["error"]["type"], "rate_limit_error", "{error}");
    }
    assert_eq!(upstream.counts().begun, 3);
    gateway.stop().await;
}

/// The estimate is as large as what was allowed; what is booked in the end is what was used:
/// as the upstream says, as much as had passed where the client left, nothing where it failed.
#[tokio::test]
async fn what_was_used_is_booked() {
    let slow = Behaviour::new().tokens(20_000..=20_000).tokens_per_second(100.0);
    for (what, behaviour, stream, most) in [
        ("whole", Behaviour::new().tokens(50..=50), false, 150.0),
        ("failed", Behaviour::new().always(Fault::status(500)), false, 0.0),
        ("broken", Behaviour::new().always(Fault::Drop), false, 0.0),
        ("left", slow, true, 5_000.0),
    ] {
        let upstream = MockUpstream::start(behaviour);
        let limits = PlanLimits { tokens_per_minute: Some(TOKENS), ..PlanLimits::default() };
        let gateway = limited(&upstream, limits).await;
        let mut body = chat("hello", stream);
        body["max_tokens"] = 20_000.into();
        let body = body.to_string();
        let mut socket = TcpStream::connect(gateway.public).await.expect("a connection");
        let head =
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer sk-a\r\n";
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).await.expect("sent");
        upstream.wait_for(|counts| counts.begun == 1).await;
        if stream {
            let reserved = tokens_left(&gateway, "sk-a");
            assert!(reserved < TOKENS as f64 - 10_000.0, "{reserved} while it lasts");
        }
        let listen = read(&mut socket, Duration::from_millis(500));
        drop(tokio::time::timeout(Duration::from_millis(600), listen).await);
        drop(socket);
        let begin = Instant::now();
        loop {
            let used = TOKENS as f64 - tokens_left(&gateway, "sk-a");
            if used <= most {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: {used}, expected at most {most}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        gateway.stop().await;
    }
}
