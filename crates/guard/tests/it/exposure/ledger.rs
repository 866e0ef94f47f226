//! The ledger while it is written: epochs, public proofs, other nodes' heads, deletion, retention.

use super::rig::{account, exported, exposing, receipt, start};
use crate::gateway::{Gateway, chat, client};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use stillwatch_evidence::ledger::{
    InclusionProof, Leaf, Ledger, LogView, Sha256Hash, SignedHead, verify_inclusion,
};
use stillwatch_guard::server::{self, Listeners};
use stillwatch_guard::store::HeadRow;
use stillwatch_guard::{Guard, ManualClock, Secrets};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

async fn ask(gateway: &Gateway, key: &str, prompt: &str) -> u64 {
    let request = client()
        .post(gateway.url("/v1/chat/completions"))
        .bearer_auth(key)
        .json(&chat(prompt, false));
    let response = request.send().await.expect("an answer");
    let receipt = receipt(&response).expect("exposed");
    response.bytes().await.expect("a body");
    receipt.sequence
}

async fn get(gateway: &Gateway, path: &str) -> (u16, Value) {
    let response = client().get(gateway.url(path)).send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// Waits until so many exposures have ended.
async fn ended(gateway: &Gateway, n: u64) {
    let finished = &gateway.guard.metrics.exposures_finished;
    for _ in 0..500 {
        if finished.get() < n {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    assert!(finished.get() >= n, "{n} exposures should have ended");
}

#[tokio::test]
async fn anyone_can_check_that_an_entry_is_in_the_log() {
    let upstream = MockUpstream::start(Behaviour::new());
    let data = tempfile::tempdir().expect("a folder");
    let gateway = start(exposing(&upstream, data.path())).await;
    for i in 0..3 {
        ask(&gateway, "kim", &format!("prompt {i}")).await;
    }
    ended(&gateway, 3).await;
    let (status, before) = get(&gateway, "/stillwatch/ledger/proof/1").await;
    assert_eq!((status, &before["commit"]), (200, &Value::Null), "no head covers it yet");

    // Another node's head lies in the shared store.
    let other_dir = tempfile::tempdir().expect("a folder");
    let now = jiff::Timestamp::now();
    let mut other = Ledger::create(other_dir.path(), now).expect("a ledger");
    let head = other.close_epoch(now).expect("a head");
    let row = HeadRow {
        node: "other".to_owned(),
        log_id: head.head.log_id.clone(),
        tree_size: 0,
        time_ms: now.as_millisecond(),
        head: serde_json::to_string(&head).expect("JSON"),
    };
    gateway.guard.store.put_head(&row).await.expect("stored");
    let capture = gateway.guard.exposure.as_ref().expect("a capture");
    let closed = capture.close_epoch_now(&gateway.guard).await.expect("closed").expect("a head");
    assert_eq!(closed.head.epoch_count, 3);

    let (_, proof) = get(&gateway, "/stillwatch/ledger/proof/1").await;
    for entry in ["commit", "outcome"] {
        let entry = &proof[entry];
        let head: SignedHead = serde_json::from_value(entry["head"].clone()).expect("a head");
        head.verify().expect("signed");
        let index = entry["leaf_index"].as_u64().expect("a place");
        let hashes: Vec<Sha256Hash> =
            serde_json::from_value(entry["hashes"].clone()).expect("hashes");
        let view = LogView::open(&data.path().join("ledger")).expect("a ledger");
        let leaf = view.leaf_data(index).expect("a leaf");
        let size = head.head.tree_size;
        verify_inclusion(&leaf, index, size, &head.head.root, &hashes).expect("in the log");
        let own: InclusionProof = view.prove_inclusion(index, size).expect("a proof");
        assert_eq!(own.hashes, hashes);
    }
    for (path, status) in [
        ("/stillwatch/ledger/heads", 200),
        ("/stillwatch/ledger/consistency/2/5", 200),
        ("/stillwatch/ledger/consistency/5/500", 404),
        ("/stillwatch/ledger/proof/99", 404),
        ("/stillwatch/ledger/proof/-1", 404),
        ("/stillwatch/ledger/proof/../heads", 404),
        ("/stillwatch/ledger/log.key", 404),
    ] {
        let url = gateway.url(path);
        let response = client().get(&url).send().await.expect("an answer");
        // A client resolves dots itself.
        let expected = if path.contains("..") { 200 } else { status };
        assert_eq!(response.status().as_u16(), expected, "{path}");
    }
    gateway.stop().await;
    let view = LogView::open(&data.path().join("ledger")).expect("a ledger");
    let leaves = (0..view.tree_size()).map(|index| view.leaf(index).expect("a leaf"));
    let anchors: Vec<_> = leaves.filter(|leaf| matches!(leaf, Leaf::Anchor(_))).collect();
    assert_eq!(anchors.len(), 1, "the other node's head is recorded");
}

#[tokio::test]
async fn a_deleted_account_leaves_commitments_only() {
    let upstream = MockUpstream::start(Behaviour::new());
    let data = tempfile::tempdir().expect("a folder");
    let gateway = start(exposing(&upstream, data.path())).await;
    for (key, prompt) in [("kim", "first"), ("lee", "remember the walrus"), ("kim", "second")] {
        ask(&gateway, key, prompt).await;
    }
    ended(&gateway, 3).await;
    let ip = std::net::Ipv4Addr::LOCALHOST.into();
    let lee = gateway.guard.keys.authenticate(Some("lee"), ip, 0).expect("an account").account;
    let capture = gateway.guard.exposure.as_ref().expect("a capture");
    assert_eq!(capture.delete_account(&lee, "request 17").await.expect("deleted"), 1);
    gateway.stop().await;
    let (exposures, exported) = exported(data.path());
    assert_eq!((exported.n_exposures, exported.left_out.deleted), (2, 1));
    assert!(!holds(data.path(), "walrus"), "its texts are gone");
    assert!(!holds(data.path(), &lee), "its name too");
    // Before a plan that comes after the deletion, it is accounted for as deleted.
    let adverse = account(data.path(), &exposures).adverse;
    assert_eq!(adverse.len(), 1, "without a plan a deletion excuses nothing");
}

/// Whether any file of the ledger or of what is kept for it contains a text.
fn holds(data: &Path, text: &str) -> bool {
    ["ledger", "exposures"].iter().any(|dir| {
        let entries = fs_err::read_dir(data.join(dir)).expect("a folder");
        entries.map(|entry| entry.expect("a file").path()).filter(|path| path.is_file()).any(
            |path| {
                let bytes = fs_err::read(path).expect("reads");
                bytes.windows(text.len()).any(|window| window == text.as_bytes())
            },
        )
    })
}

#[tokio::test]
async fn epochs_close_and_texts_expire_by_the_clock_that_is_passed_in() {
    const DAY_MS: i64 = 86_400_000;
    let upstream = MockUpstream::start(Behaviour::new());
    let data = tempfile::tempdir().expect("a folder");
    let mut config = exposing(&upstream, data.path());
    config.exposure.keep_days = Some(1);
    let clock = Arc::new(ManualClock::new(20_000 * DAY_MS));
    let guard =
        Guard::start(config, &Secrets::default(), Arc::clone(&clock) as _).await.expect("a guard");
    let listeners = Listeners::bind(&guard.config.listen).await.expect("free ports");
    let url = format!("http://{}/v1/chat/completions", listeners.public_addr());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server::serve(Arc::clone(&guard), listeners, async {
        drop(stopped.await);
    }));
    let http = client();
    for day in 0..4 {
        clock.set((20_000 + day) * DAY_MS);
        let body = chat(&format!("day {day}"), false);
        let response = http.post(&url).json(&body).send().await.expect("an answer");
        assert!(receipt(&response).is_some());
        response.bytes().await.expect("a body");
    }
    let view = || LogView::open(&data.path().join("ledger")).expect("a ledger");
    let n_kept = || {
        let entries = fs_err::read_dir(data.path().join("exposures")).expect("a folder");
        let names = entries.map(|entry| entry.expect("a file").file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".jsonl")).count()
    };
    for _ in 0..500 {
        if !view().heads().is_empty() && n_kept() <= 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!view().heads().is_empty(), "an epoch was closed");
    // A clock that jumps back stops nothing.
    clock.set(19_000 * DAY_MS);
    let response = http.post(&url).json(&chat("back", false)).send().await.expect("an answer");
    assert!(receipt(&response).is_some());
    response.bytes().await.expect("a body");
    drop(stop);
    serving.await.expect("no panic");
    guard.close().await;
    let (exposures, exported) = exported(data.path());
    assert_eq!(exported.n_exposures + exported.left_out.not_kept, 5, "{exported:?}");
    assert!(exported.left_out.not_kept >= 2, "{exported:?}");
    let first = exported.sequences.expect("some")[0];
    assert_eq!(first, exported.left_out.not_kept, "from a sequence number on, all are there");
    assert_eq!(exposures.len() as u64, 5 - first);
}
