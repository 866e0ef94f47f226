//! Everything that an endpoint can do wrong: told in one line, retried within bounds, in order.

use super::mock::{Mock, Reply, ask, quick, raw_chat, start_raw};
use std::time::{Duration, Instant};
use stillwatch_models::{EndpointOptions, Model, ModelError, OpenAiModel, Sampled};

fn sample_one(model: &OpenAiModel, text: &str) -> Result<Sampled, ModelError> {
    model.sample(&[ask(text)]).remove(0)
}

/// A chat server that answers the first `times` requests about "x" by `reply`, then well.
fn failing(times: usize, reply: Reply) -> Mock {
    let failed = std::sync::atomic::AtomicUsize::new(0);
    Mock::chat_only(move |hit| {
        if hit.last_text() == "x"
            && failed.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < times
        {
            return reply.clone();
        }
        Reply::chat("well")
    })
}

fn attempts(server: &Mock) -> usize {
    server.hits().iter().filter(|hit| hit.last_text() == "x").count()
}

#[test]
fn passing_faults_are_retried() {
    let replies = [
        Reply::new(429, "slow down"),
        Reply::new(500, "oops"),
        Reply::new(502, "<html>Bad gateway</html>"),
        Reply::new(503, ""),
        Reply::new(504, "{}"),
        Reply::new(200, "<html>maintenance</html>"),
        Reply::new(200, r#"{"choices":[{"mess"#),
        Reply::new(200, r#"{"choices":[]}"#),
        Reply::new(200, r#"{"choices":[{"message":{"content":NaN}}]}"#),
        Reply::new(200, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"),
        Reply::chat("late").after(Duration::from_secs(2)),
    ];
    for reply in replies {
        let server = failing(2, reply.clone());
        let options = EndpointOptions { timeout: Duration::from_millis(400), ..quick() };
        let model = server.connect_with(&options).expect("open");
        let sampled = sample_one(&model, "x");
        assert_eq!(sampled.map(|s| s.text).ok().as_deref(), Some("well"), "{reply:?}");
        assert_eq!(attempts(&server), 3, "{reply:?}");
    }
}

#[test]
fn faults_that_stay_lose_the_endpoint_after_bounded_attempts() {
    for (reply, expected) in [
        (Reply::new(429, "slow down"), "HTTP 429: slow down"),
        (Reply::new(503, r#"{"error":{"message":"over\nloaded"}}"#), "HTTP 503: over loaded"),
        (Reply::new(200, "<html>"), "not JSON"),
        (Reply::new(200, r#"{"choices":[]}"#), "without choices"),
    ] {
        let server = failing(usize::MAX, reply.clone());
        let model = server.connect().expect("open");
        let error = sample_one(&model, "x").expect_err("lost");
        let ModelError::Lost(message) = &error else { panic!("{error:?}") };
        assert!(message.contains(expected) && message.contains("4 attempts"), "{message}");
        assert_eq!(message.lines().count(), 1);
        assert_eq!(attempts(&server), 4, "{reply:?}");
    }
}

#[test]
fn retry_after_is_kept_and_too_long_a_wait_is_not() {
    let date = "Tue, 24 Nov 2026 11:00:00 GMT";
    for reply in [
        Reply::new(429, "").header("retry-after", "1"),
        Reply::new(503, "")
            .header("retry-after", "Tue, 24 Nov 2026 11:00:01 GMT")
            .header("date", date),
    ] {
        let server = failing(1, reply);
        let model = server.connect().expect("open");
        let start = Instant::now();
        assert_eq!(sample_one(&model, "x").expect("after the wait").text, "well");
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    }
    let server = failing(1, Reply::new(429, "daily limit").header("retry-after", "3600"));
    let model = server.connect().expect("open");
    let error = sample_one(&model, "x").expect_err("too long");
    assert!(error.to_string().contains("3600 s: resume later"), "{error}");
    assert_eq!(attempts(&server), 1);

    // A spent quota doesn't come back by waiting seconds.
    let quota =
        r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
    let server = failing(usize::MAX, Reply::new(429, quota));
    let model = server.connect().expect("open");
    assert!(matches!(sample_one(&model, "x"), Err(ModelError::Lost(_))));
    assert_eq!(attempts(&server), 1);
}

#[test]
fn refusals_are_not_retried_and_say_what_to_do() {
    for (status, hint) in [
        (301, "use that as base URL"),
        (401, "set OPENAI_API_KEY"),
        (402, "credit"),
        (403, "rights"),
        (404, "ends in /v1"),
    ] {
        let reply = Reply::new(status, r#"{"error":{"message":"no"}}"#)
            .header("location", "https://elsewhere.example/v1");
        let server = failing(usize::MAX, reply);
        let model = server.connect().expect("open");
        let error = sample_one(&model, "x").expect_err("refused");
        let ModelError::Unusable { message, hint: got } = &error else { panic!("{error:?}") };
        assert!(message.contains(&format!("HTTP {status}: no")), "{message}");
        assert!(got.contains(hint), "{got}");
        assert_eq!(attempts(&server), 1);
    }
    // One text too long is that text's matter.
    for status in [400, 413, 422] {
        let server = failing(1, Reply::new(status, r#"{"message":"context length"}"#));
        let model = server.connect().expect("open");
        let results = model.sample(&[ask("x"), ask("y")]);
        assert!(matches!(&results[0], Err(ModelError::Request(m)) if m.contains("context length")));
        assert!(results[1].is_ok());
        assert_eq!(attempts(&server), 1);
    }
}

#[test]
fn a_refused_text_is_no_text() {
    let content_filter =
        r#"{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}"#;
    let server = failing(usize::MAX, Reply::new(200, content_filter));
    let model = server.connect().expect("open");
    let error = sample_one(&model, "x").expect_err("no text");
    assert!(matches!(&error, ModelError::Request(m) if m.contains("content_filter")), "{error}");
}

#[test]
fn bodies_are_bounded() {
    let server = failing(usize::MAX, Reply::chat(&"a".repeat(200_000)));
    let options = EndpointOptions { body_limit: 100_000, ..quick() };
    let model = server.connect_with(&options).expect("open");
    let error = sample_one(&model, "x").expect_err("too long");
    assert!(error.to_string().contains("more than 100000 bytes"), "{error}");
    assert_eq!(attempts(&server), 1);
}

#[test]
fn a_dead_endpoint_is_not_asked_for_every_text() {
    let server = Mock::chat_only(|hit| match hit.n {
        // The probe finds a living one.
        0 => Reply::chat("well"),
        _ => Reply::new(503, "gone"),
    });
    let options = EndpointOptions { concurrency: 2, attempts: 2, ..quick() };
    let model = server.connect_with(&options).expect("open");
    let before = server.hits().len();
    let requests: Vec<_> = (0..200).map(|i| ask(&i.to_string())).collect();
    let results = model.sample(&requests);
    assert_eq!(results.len(), 200);
    assert!(results.iter().all(|r| matches!(r, Err(ModelError::Lost(_)))));
    assert!(server.hits().len() - before <= 2 * 5, "{}", server.hits().len() - before);
}

#[test]
fn cut_and_reset_connections_are_retried() {
    let whole = raw_chat("whole");
    let cut = whole[..whole.len() - 10].to_vec();
    for broken in
        [Some(cut), Some(b"HTTP/1.1 200 OK\r\n".to_vec()), Some(b"SSH-2.0\r\n".to_vec()), None]
    {
        let answer = whole.clone();
        // Opening asks once for a sample, then for each way to score: nothing there knows them.
        let (url, _runtime) = start_raw(move |n| match n {
            6 | 7 => broken.clone(),
            _ => Some(answer.clone()),
        });
        let model = OpenAiModel::connect(&url, "toy", &quick()).expect("open");
        assert_eq!(sample_one(&model, "x").expect("after two faults").text, "whole");
    }
    let answer = whole.clone();
    let (url, _runtime) = start_raw(move |n| (n < 6).then(|| answer.clone()));
    let model = OpenAiModel::connect(&url, "toy", &quick()).expect("open");
    let error = sample_one(&model, "x").expect_err("lost");
    assert!(matches!(&error, ModelError::Lost(m) if m.contains("4 attempts")), "{error}");
}

#[test]
fn opening_says_what_is_wrong() {
    stillwatch_models::install_tls_provider();
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let url = format!("http://{}/v1", listener.local_addr().expect("address"));
    drop(listener);
    let cases: [(&str, &str, &str); 5] = [
        (&url, "onnection refused", "start the server"),
        ("http://user:hunter2@127.0.0.1/v1", "user name", "OPENAI_API_KEY"),
        ("http://127.0.0.1/v1?key=1", "query", "OPENAI_API_KEY"),
        ("http://", "can't read the base URL", "http://HOST:PORT/v1"),
        ("http://no-such-host.invalid/v1", "no-such-host.invalid", "correct the address"),
    ];
    for (url, message, hint) in cases {
        let error = OpenAiModel::connect(url, "toy", &quick()).expect_err("not there");
        let ModelError::Unusable { message: got, hint: got_hint } = &error else {
            panic!("{error:?}")
        };
        assert!(got.contains(message), "{got}");
        assert!(got_hint.contains(hint), "{got_hint}");
        assert_eq!(got.lines().count(), 1, "{got}");
        assert!(!got.contains("hunter2"), "{got}");
    }
    for (reply, hint) in [
        (Reply::new(401, "no"), "wants a key"),
        (Reply::new(404, "no"), "ends in /v1"),
        (Reply::new(200, "<html>a site</html>"), "no OpenAI-compatible API"),
    ] {
        let server = Mock::start(move |_| reply.clone());
        let error = server.connect().expect_err("of no use");
        let ModelError::Unusable { hint: got, .. } = &error else { panic!("{error:?}") };
        assert!(got.contains(hint), "{got}");
    }
    let server = Mock::start(|_| Reply::new(503, "loading model"));
    assert!(matches!(server.connect(), Err(ModelError::Lost(m)) if m.contains("loading model")));
}

#[test]
fn an_address_that_speaks_no_tls_is_told_apart_from_a_dead_one() {
    let server = Mock::start(|_| Reply::chat("well"));
    let url = server.url.replace("http://", "https://");
    let error = OpenAiModel::connect(&url, "toy", &quick()).expect_err("plain text");
    let ModelError::Unusable { message, hint } = &error else { panic!("{error:?}") };
    // Without the system's certificates the client itself can't be made.
    assert!(
        hint.contains("ca-certificates") || message.contains("InvalidContentType"),
        "{message}"
    );
    assert!(server.hits().is_empty());
}
