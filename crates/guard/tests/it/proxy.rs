//! A request's way through: what passes unchanged, what is added, who gets which key.

use crate::gateway::{Gateway, chat, client};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

#[tokio::test]
async fn chat_passes_in_both_shapes() {
    let upstream = MockUpstream::start(Behaviour::new());
    let gateway = Gateway::before(&[&upstream]).await;
    let client = client();
    for stream in [false, true] {
        let response = client
            .post(gateway.url("/v1/chat/completions"))
            .bearer_auth("sk-client")
            .json(&chat("hello", stream))
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("stillwatch-request-id"));
        let kind = response.headers().get("content-type").expect("a type").clone();
        assert_eq!(kind.to_str().expect("text").starts_with("text/event-stream"), stream);
        let text = response.text().await.expect("a body");
        assert_eq!(text.contains("[DONE]"), stream, "{text}");
    }
    let counts = upstream.wait_for(|counts| counts.completed == 2).await;
    assert_eq!((counts.begun, counts.completed), (2, 2));
    assert_eq!(counts.connections, 1, "the connection is used again");
    let seen = upstream.requests();
    assert!(seen.iter().all(|request| request.header("authorization") == "Bearer sk-client"));
    gateway.stop().await;
}
