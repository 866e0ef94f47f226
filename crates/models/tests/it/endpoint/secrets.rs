//! The key reaches the server and nothing else.

use super::mock::{Mock, Reply, ask, quick};
use std::sync::atomic::{AtomicUsize, Ordering};
use stillwatch_models::{EndpointOptions, Model, ModelError, OpenAiModel, Secret};

const KEY: &str = "sk-very/secret+key=1234567890";

fn shown(error: &ModelError) -> String {
    let hint = match error {
        ModelError::Unusable { hint, .. } => hint.as_str(),
        _ => "",
    };
    format!("{error} {error:?} {error:#?} {hint}")
}

#[test]
fn no_error_shows_the_key_even_when_the_server_repeats_it() {
    let filler = "x".repeat(225);
    let bodies = [
        format!("Incorrect API key provided: {KEY}"),
        format!(r#"{{"error":{{"message":"Bearer {KEY} is wrong","code":"{KEY}"}}}}"#),
        format!(r#"{{"whatever":["{KEY}"]}}"#),
        // Cut in the middle of the key, were it cut first.
        format!("{filler} {KEY}"),
        r#"{"error":"sk-very\/secret+key=1234567890"}"#.to_owned(),
        "{\"choices\":[{\"message\":{\"content\":null},\"finish_reason\":\"KEY\"}]}"
            .replace("KEY", KEY),
    ];
    for body in bodies {
        for status in [200, 301, 400, 401, 403, 404, 429, 500] {
            let count = AtomicUsize::new(0);
            let (reply, opening) = (Reply::new(status, body.clone()), Reply::chat("well"));
            let reply = reply.header("location", format!("https://example.org/?key={KEY}"));
            let server = Mock::chat_only(move |_| match count.fetch_add(1, Ordering::SeqCst) {
                0 => opening.clone(),
                _ => reply.clone(),
            });
            let options = EndpointOptions { api_key: Secret::new(KEY), ..quick() };
            let model = server.connect_with(&options).expect("open");
            let result = model.sample(&[ask("x")]).remove(0);
            let error = result.expect_err("a fault");
            let text = format!("{} {model:?} {options:?}", shown(&error));
            assert!(!text.contains(KEY), "{status}: {text}");
            assert!(!text.contains("sk-very"), "{status}: {text}");
            let identity = format!("{:?}", model.identity());
            assert!(!identity.contains(KEY));
            let sent = server.hits().pop().and_then(|hit| hit.authorization);
            assert_eq!(sent, Some(format!("Bearer {KEY}")));

            // The same while the endpoint is opened.
            let reply = Reply::new(status, body.clone());
            let server = Mock::start(move |_| reply.clone());
            let error = server.connect_with(&options).expect_err("a fault");
            assert!(!shown(&error).contains("sk-very"), "{}", shown(&error));
        }
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused_unseen() {
    stillwatch_models::install_tls_provider();
    let options = EndpointOptions { api_key: Secret::new("sk-very\nsecret"), ..quick() };
    let error =
        OpenAiModel::connect("http://127.0.0.1:9/v1", "toy", &options).expect_err("no header");
    assert!(!shown(&error).contains("sk-very"), "{}", shown(&error));
}

#[test]
fn a_dead_address_does_not_show_the_key() {
    stillwatch_models::install_tls_provider();
    let options = EndpointOptions { api_key: Secret::new(KEY), ..quick() };
    let error =
        OpenAiModel::connect("http://127.0.0.1:9/v1", "toy", &options).expect_err("nothing there");
    assert!(!shown(&error).contains("sk-very"), "{}", shown(&error));
}
