//! A slot that fails takes its twin with it, and the client gets the better one whatever the coin.

use super::rig::{account, exported, exposing, receipt, start};
use crate::gateway::{chat, client};
use stillwatch_evidence::is_identical;
use stillwatch_guard::GuardConfig;
use stillwatch_testkit::upstream::{Behaviour, Fault, MockUpstream};

/// Patience of upstreams in these tests, milliseconds.
const SHORT_MS: u64 = 400;

fn impatient(upstream: &MockUpstream, data: &std::path::Path) -> GuardConfig {
    let mut config = exposing(upstream, data);
    config.upstream[0].first_byte_timeout_ms = SHORT_MS;
    config.upstream[0].idle_timeout_ms = SHORT_MS;
    config
}

/// One request before an upstream of which one of the two calls, or both, meet a fault. Returns
/// the status, the text received, and why the pair was set aside.
async fn one(behaviour: Behaviour, stream: bool) -> (u16, String, Vec<String>) {
    let upstream = MockUpstream::start(behaviour);
    let data = tempfile::tempdir().expect("a folder");
    let gateway = start(impatient(&upstream, data.path())).await;
    let request = client().post(gateway.url("/v1/chat/completions")).json(&chat("Hello", stream));
    let mut response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    if status == 200 {
        assert!(receipt(&response).is_some());
    }
    let mut text = String::new();
    while let Ok(Some(part)) = response.chunk().await {
        text.push_str(&String::from_utf8_lossy(&part));
    }
    gateway.stop().await;
    let (exposures, exported) = exported(data.path());
    assert_eq!(exported.n_exposures, 1, "{exported:?}");
    assert_eq!(exported.set_aside.values().sum::<u64>(), 1, "{exported:?}");
    assert!(is_identical(&exposures[0]), "no test uses it");
    let check = account(data.path(), &exposures);
    assert_eq!((check.opened.len(), check.adverse.len()), (1, 0), "and it is accounted for");
    (status, text, exported.set_aside.into_keys().collect())
}

#[tokio::test]
async fn an_error_before_the_first_byte_costs_the_client_nothing() {
    for (fault, reason) in [
        (Fault::status(500), "status"),
        (Fault::too_many(3), "status"),
        (Fault::Drop, "upstream"),
        (Fault::garbage(), "upstream"),
        (Fault::HangBeforeHeaders, "time_out"),
    ] {
        for is_first in [true, false] {
            let behaviour = Behaviour::new();
            let behaviour = if is_first {
                behaviour.then(fault.clone())
            } else {
                behaviour.then_ok().then(fault.clone())
            };
            let (status, text, reasons) = one(behaviour, true).await;
            assert_eq!((status, text.contains("[DONE]")), (200, true), "{fault:?}: {text}");
            assert_eq!(reasons, [reason], "{fault:?}");
        }
    }
    let (status, _, reasons) = one(Behaviour::new().always(Fault::status(503)), true).await;
    assert_eq!((status, reasons), (503, vec!["status".to_owned()]));
}

#[tokio::test]
async fn an_error_in_the_midst_sets_the_pair_aside() {
    for (fault, stream, reason) in [
        (Fault::CutMidEvent { after_events: 3 }, true, "upstream"),
        (Fault::CutMidStream { after_events: 3 }, true, "upstream"),
        (Fault::HangMidStream { after_events: 3 }, true, "time_out"),
        (Fault::EndEarly { after_events: 3 }, true, "incomplete"),
        (Fault::GarbageJson, false, "incomplete"),
    ] {
        for behaviour in
            [Behaviour::new().then(fault.clone()), Behaviour::new().always(fault.clone())]
        {
            let (status, _, reasons) = one(behaviour, stream).await;
            assert_eq!((status, reasons), (200, vec![reason.to_owned()]), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_slow_client_holds_up_no_slot() {
    let upstream = MockUpstream::start(Behaviour::new().tokens(5_000..=5_000));
    let data = tempfile::tempdir().expect("a folder");
    let gateway = start(exposing(&upstream, data.path())).await;
    let request = client().post(gateway.url("/v1/chat/completions")).json(&chat("Hello", true));
    // The head is read and nothing more, until both slots were read to their ends.
    let response = request.send().await.expect("an answer");
    let counts = upstream.wait_for(|counts| counts.completed == 2).await;
    assert_eq!(counts.completed, 2);
    assert!(response.text().await.expect("a body").contains("[DONE]"));
    gateway.stop().await;
    let (exposures, exported) = exported(data.path());
    assert!(exported.set_aside.is_empty() && !is_identical(&exposures[0]), "{exported:?}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_still_reaches_its_client() {
    let upstream = MockUpstream::start(Behaviour::new().tokens(40_000..=40_000));
    let data = tempfile::tempdir().expect("a folder");
    let gateway = start(exposing(&upstream, data.path())).await;
    let request = client().post(gateway.url("/v1/chat/completions")).json(&chat("Hello", true));
    let response = request.send().await.expect("an answer");
    let text = response.text().await.expect("a body");
    assert!(text.contains("[DONE]") && text.len() > 4 << 20, "{}", text.len());
    gateway.stop().await;
    let (exposures, exported) = exported(data.path());
    assert_eq!(exported.set_aside.get("overflow"), Some(&1), "{exported:?}");
    assert!(is_identical(&exposures[0]));
}
