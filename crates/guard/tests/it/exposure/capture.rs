//! From requests to a file of exposures that accounts for every entry.

use super::rig::{account, exported, exposing, receipt, start};
use crate::gateway::{chat, client};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stillwatch_evidence::ledger::LogView;
use stillwatch_evidence::{Coin, CoinEvidence};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

/// The text of an answer in any shape, as a client puts it together.
fn text_of(path: &str, stream: bool, body: &str) -> String {
    let whole = |value: &Value| match path {
        "/v1/messages" => value.pointer("/content/0/text").cloned(),
        "/v1/responses" => value.pointer("/output/0/content/0/text").cloned(),
        "/v1/completions" => value.pointer("/choices/0/text").cloned(),
        _ => value.pointer("/choices/0/message/content").cloned(),
    };
    if !stream {
        let value: Value = serde_json::from_str(body).expect("JSON");
        return whole(&value).and_then(|v| v.as_str().map(str::to_owned)).expect("a text");
    }
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let values = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    values
        .filter_map(|value| {
            let text = match path {
                "/v1/messages" => value.pointer("/delta/text"),
                "/v1/responses" => value
                    .get("delta")
                    .filter(|_| value["type"] == json!("response.output_text.delta")),
                "/v1/completions" => value.pointer("/choices/0/text"),
                _ => value.pointer("/choices/0/delta/content"),
            };
            text.and_then(|text| text.as_str().map(str::to_owned))
        })
        .collect()
}

#[tokio::test]
async fn every_shape_is_captured_and_accounted_for() {
    let upstream = MockUpstream::start(Behaviour::new().tokens(12..=30));
    let data = tempfile::tempdir().expect("a folder");
    let gateway = start(exposing(&upstream, data.path())).await;
    let client = client();
    let heads: Value = client
        .get(gateway.url("/stillwatch/ledger/heads"))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let public_key = heads["public_key"].as_str().expect("a key").to_owned();
    let (mut sent, mut receipts) = (BTreeMap::new(), Vec::new());
    for (i, path) in ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"]
        .iter()
        .enumerate()
    {
        for stream in [false, true] {
            let prompt = format!("Say something about {i} {stream}");
            let mut body = json!({"model": "mock-1", "stream": stream, "max_tokens": 100,
                "temperature": 0.7});
            match *path {
                "/v1/completions" => body["prompt"] = json!(prompt),
                "/v1/responses" => body["input"] = json!(prompt),
                _ => body["messages"] = json!([{"role": "user", "content": prompt}]),
            }
            let request = client.post(gateway.url(path)).bearer_auth("sk-kim").json(&body);
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 200);
            let receipt = receipt(&response).expect("a receipt");
            receipt.verify(&public_key).expect("signed by this log");
            let text = text_of(path, stream, &response.text().await.expect("a body"));
            assert!(!text.is_empty(), "{path} {stream}");
            sent.insert(receipt.sequence, text);
            receipts.push(receipt);
        }
    }
    // What isn't a text is served as usual.
    for (path, body) in [
        ("/v1/embeddings", json!({"model": "mock-1", "input": "a"})),
        (
            "/v1/chat/completions",
            json!({"model": "mock-1", "temperature": 0,
            "messages": [{"role": "user", "content": "x"}]}),
        ),
    ] {
        let response = client.post(gateway.url(path)).json(&body).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert!(receipt(&response).is_none());
    }
    gateway.stop().await;
    assert_eq!(upstream.counts().begun, 2 * 8 + 2, "two for each exposed one");

    let (exposures, exported) = exported(data.path());
    assert_eq!(exported.n_exposures, 8);
    assert_eq!(exported.sequences, Some([0, 7]));
    assert_eq!(exported.left_out, stillwatch_guard::exposure::LeftOut::default());
    let mut slots = [0; 2];
    for (sequence, exposure) in exposures.iter().enumerate() {
        assert_eq!(exposure.released, sent[&(sequence as u64)], "what was sent is what was kept");
        assert_ne!(exposure.withheld, [exposure.released.as_str()]);
        assert_eq!(exposure.coin, Coin::Server);
        assert!(exposure.account.is_some() && exposure.messages.len() == 1);
        assert_eq!(exposure.params.as_ref().expect("parameters")["temperature"], json!(0.7));
        slots[exposure.slot.expect("a slot")] += 1;
    }
    let check = account(data.path(), &exposures);
    assert_eq!(check.problems, Vec::<String>::new());
    assert_eq!((check.opened.len(), check.adverse.len()), (8, 0));
    assert_eq!(check.coin_evidence(), CoinEvidence::Ledger);
    let view = LogView::open(&data.path().join("ledger")).expect("a ledger");
    for receipt in receipts {
        assert_eq!(view.leaf_hash(receipt.leaf_index), Some(receipt.leaf_hash));
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_changes_nothing() {
    let upstream = MockUpstream::start(Behaviour::new().tokens(40..=40).tokens_per_second(200.0));
    let data = tempfile::tempdir().expect("a folder");
    let gateway = start(exposing(&upstream, data.path())).await;
    let client = client();
    for i in 0..6 {
        let request = client
            .post(gateway.url("/v1/chat/completions"))
            .json(&chat(&format!("prompt {i}"), true));
        let mut response = request.send().await.expect("an answer");
        response.chunk().await.expect("a chunk");
        drop(response);
    }
    let counts = upstream.wait_for(|counts| counts.completed == 12).await;
    assert_eq!((counts.begun, counts.completed), (12, 12), "all are read to their ends");
    gateway.stop().await;
    let (exposures, exported) = exported(data.path());
    assert_eq!((exported.n_exposures, exported.set_aside.len()), (6, 0));
    for exposure in &exposures {
        let words = |text: &str| text.split_whitespace().count();
        assert_eq!((words(&exposure.released), words(&exposure.withheld[0])), (40, 40));
    }
    assert!(account(data.path(), &exposures).adverse.is_empty());
}
