//! Which requests aren't exposed, and that the reasons survive a restart.

use super::rig::{exposing, receipt, start};
use crate::gateway::{Gateway, client};
use serde_json::{Value, json};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

struct Asker {
    gateway: Gateway,
    http: reqwest::Client,
}

impl Asker {
    /// Asks; returns the text of the answer and whether it was exposed.
    async fn ask(&self, key: &str, body: &Value) -> (String, bool) {
        self.ask_at("/v1/chat/completions", key, body).await
    }

    async fn ask_at(&self, path: &str, key: &str, body: &Value) -> (String, bool) {
        let request = self.http.post(self.gateway.url(path)).bearer_auth(key).json(body);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{body}");
        let is_exposed = receipt(&response).is_some();
        let answer: Value = response.json().await.expect("JSON");
        let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
        (text.unwrap_or_default().to_owned(), is_exposed)
    }

    /// Asks what must not be exposed, for this reason.
    async fn skipped(&self, reason: &str, key: &str, body: &Value) {
        let counter = self.gateway.guard.metrics.exposures_skipped.get(reason);
        let before = counter.get();
        let (_, is_exposed) = self.ask(key, body).await;
        assert!(!is_exposed, "{reason}: {body}");
        assert_eq!(counter.get(), before + 1, "{reason}: {body}");
    }
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn chat(messages: &[Value]) -> Value {
    json!({"model": "mock-1", "messages": messages})
}

#[tokio::test]
async fn what_was_released_and_whoever_was_exposed_is_remembered() {
    let upstream = MockUpstream::start(Behaviour::new().tokens(30..=40));
    let data = tempfile::tempdir().expect("a folder");
    let http = client();
    let asker = Asker { gateway: start(exposing(&upstream, data.path())).await, http };

    let first = chat(&[user("What is a still?")]);
    let (released, is_exposed) = asker.ask("kim", &first).await;
    assert!(is_exposed);
    assert!(asker.ask("lee", &first).await.1, "another account's conversation");
    let words: Vec<&str> = released.split_whitespace().collect();
    let quote = words[5..20].join("\n> ").to_uppercase();
    let assistant = |text: &str| json!({"role": "assistant", "content": text});

    let quoting = [
        chat(&[user(&format!("Is it right that {quote}?"))]),
        chat(&[user("A"), assistant(&released), user("B")]),
        json!({"model": "mock-1", "messages": [user("Rate it.")],
            "metadata": {"candidate": released.clone()}}),
    ];
    for body in &quoting {
        asker.skipped("released_text", "sam", body).await;
    }
    for body in
        [first.clone(), chat(&[user("What is a still?"), assistant("No idea."), user("Come on.")])]
    {
        asker.skipped("conversation", "kim", &body).await;
    }
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    for (reason, extra) in [
        ("deterministic", json!({"temperature": 0})),
        ("deterministic", json!({"seed": 7})),
        ("not_one_text", json!({"n": 2})),
        ("not_one_text", json!({"tools": tool})),
    ] {
        let mut body = chat(&[user("Something else")]);
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("one").clone());
        asker.skipped(reason, "sam", &body).await;
    }
    asker.skipped("length", "sam", &chat(&[user(&"long ".repeat(60_000))])).await;
    let stored = json!({"model": "mock-1", "input": "go on", "previous_response_id": "r"});
    let (_, is_exposed) = asker.ask_at("/v1/responses", "sam", &stored).await;
    assert!(!is_exposed);

    // Deleted, an account isn't exposed again.
    let capture = asker.gateway.guard.exposure.as_ref().expect("a capture");
    assert_eq!(capture.delete_account("lee", "on request").await.expect("deleted"), 0);
    let lee =
        asker.gateway.guard.keys.authenticate(Some("lee"), std::net::Ipv4Addr::LOCALHOST.into(), 0);
    let lee = lee.expect("an account").account;
    assert_eq!(capture.delete_account(&lee, "on request").await.expect("deleted"), 1);
    asker.skipped("deleted_account", "lee", &chat(&[user("Once more")])).await;

    let Asker { gateway, http } = asker;
    gateway.stop().await;
    let mut config = exposing(&upstream, data.path());
    config.exposure.tokens_per_day = 1_000_000;
    let asker = Asker { gateway: start(config).await, http };
    asker.skipped("released_text", "ada", &quoting[0]).await;
    asker.skipped("conversation", "kim", &first).await;
    asker
        .skipped(
            "cap",
            "ada",
            &json!({"model": "mock-1", "max_tokens": 999_999,
        "messages": [user("Write a book.")]}),
        )
        .await;
    assert!(asker.ask("ada", &chat(&[user("Something new")])).await.1);
    asker.gateway.stop().await;
}
