//! Detection while traffic flows: taken from the way of requests, kept over restarts, bounded.

use std::path::Path;
use std::sync::Arc;
use stillwatch_evidence::{Client, Exchange, Message, Response};
use stillwatch_guard::live::{Detector, LiveConfig};
use stillwatch_guard::observe::Metrics;
use stillwatch_guard::store::{Store, StoreConfig};
use stillwatch_guard::{ManualClock, Secrets};
use stillwatch_traffic::AccountSketch;

const NOW: i64 = 1_795_000_000_000;

fn exchange(account: &str, i: i64) -> Exchange {
    let message = |role: &str, content: String| Message { role: role.to_owned(), content };
    Exchange {
        id: format!("{account}-{i}"),
        time: jiff::Timestamp::from_millisecond(NOW + i * 1000).ok(),
        account: Some(account.to_owned()),
        plan: Some("default".to_owned()),
        client: Client::default(),
        model: "m".to_owned(),
        params: serde_json::Map::new(),
        messages: vec![
            message("system", "be brief".to_owned()),
            message("user", format!("the SECRET question number {i} of {account}")),
        ],
        response: Response { text: format!("the SECRET answer number {i}"), finish_reason: None },
        usage: None,
    }
}

async fn store(data: &Path) -> Store {
    Store::open(&StoreConfig::default(), data, &Secrets::default()).await.expect("a store")
}

async fn detector(config: &LiveConfig, store: &Store, metrics: &Arc<Metrics>) -> Detector {
    let clock = Arc::new(ManualClock::new(NOW));
    Detector::start(config, store.clone(), clock, metrics, None).await.expect("a detector")
}

/// Exchanges that the store's sketch of an account has seen; 0 where there is none.
async fn kept(store: &Store, account: &str) -> u64 {
    let row = store.sketch(account).await.expect("read");
    row.map_or(0, |row| AccountSketch::from_bytes(&row.bytes).expect("a sketch").n())
}

#[tokio::test]
async fn live_observes_without_waiting_and_analyses() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (store, metrics) = (store(data.path()).await, Arc::new(Metrics::new()));
    let detector = detector(&LiveConfig::default(), &store, &metrics).await;
    for i in 0..300 {
        detector.observe(exchange(if i % 3 == 0 { "a" } else { "b" }, i));
    }
    detector.observe(Exchange { account: None, ..exchange("nobody", 1) });
    let analysis = detector.analyse_now().await;
    assert_eq!((analysis.n_exchanges, analysis.n_accounts), (300, 2));
    assert_eq!(analysis.time_ms, NOW);
    assert_eq!(metrics.queue_depth.get("detector").get(), 0);
    assert_eq!(metrics.queue_dropped.get("detector").get(), 0);
    detector.close().await;
    detector.close().await;
}

#[tokio::test]
async fn live_keeps_sketches_over_restarts_and_counts_nothing_twice() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let metrics = Arc::new(Metrics::new());
    let mut keys = Vec::new();
    for round in 1..=3_u64 {
        let store = store(data.path()).await;
        let detector = detector(&LiveConfig::default(), &store, &metrics).await;
        keys.push(*detector.hash_key());
        for i in 0..10 {
            detector.observe(exchange("a", i));
        }
        detector.analyse_now().await;
        detector.close().await;
        assert_eq!(kept(&store, "a").await, 10 * round);
        store.close().await;
    }
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "one key for all times");
    let file = std::fs::metadata(data.path().join("guard.sqlite")).expect("there").len();
    assert!(file > 0);
}

#[tokio::test]
async fn live_leaves_no_text_behind() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let metrics = Arc::new(Metrics::new());
    let store = store(data.path()).await;
    let detector = detector(&LiveConfig::default(), &store, &metrics).await;
    for i in 0..50 {
        detector.observe(exchange("a", i));
    }
    detector.analyse_now().await;
    detector.close().await;
    assert_eq!(kept(&store, "a").await, 50);
    store.close().await;
    for entry in std::fs::read_dir(data.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let bytes = fs_err::read(&path).expect("read");
        let has = bytes.windows(6).any(|window| window == b"SECRET");
        assert!(!has, "{}", path.display());
    }
}

#[tokio::test]
async fn live_moves_accounts_between_memory_and_store() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (store, metrics) = (store(data.path()).await, Arc::new(Metrics::new()));
    let small = LiveConfig { accounts_max: 5, ..LiveConfig::default() };
    let detector = detector(&small, &store, &metrics).await;
    for round in 0..4 {
        for account in 0..20 {
            detector.observe(exchange(&format!("account-{account}"), round));
            // The store answers in its own time; nothing may depend on when.
            if account % 7 == 0 {
                detector.analyse_now().await;
            }
        }
    }
    let analysis = detector.analyse_now().await;
    assert_eq!(analysis.n_accounts, 5, "no more are in memory");
    detector.close().await;
    let mut total = 0;
    for account in 0..20 {
        total += kept(&store, &format!("account-{account}")).await;
    }
    assert_eq!(total, 80, "nothing is lost, nothing counted twice");
}

#[tokio::test]
async fn live_goes_on_without_the_store_and_starts_afresh_under_another_key() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let metrics = Arc::new(Metrics::new());
    let first = store(data.path()).await;
    let detector = detector(&LiveConfig::default(), &first, &metrics).await;
    detector.observe(exchange("a", 1));
    detector.analyse_now().await;
    detector.close().await;

    let clock = Arc::new(ManualClock::new(NOW));
    let config = LiveConfig::default();
    let shared = Detector::start(&config, first.clone(), clock, &metrics, Some([7; 32])).await;
    let shared = shared.expect("a detector");
    assert_eq!(kept(&first, "a").await, 0, "hashes under another key are of no use");
    first.close().await;
    shared.observe(exchange("b", 1));
    assert_eq!(shared.analyse_now().await.n_exchanges, 1);
    shared.close().await;
}

#[tokio::test]
async fn live_switched_off_does_nothing() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (store, metrics) = (store(data.path()).await, Arc::new(Metrics::new()));
    let off = LiveConfig { enabled: false, ..LiveConfig::default() };
    let detector = detector(&off, &store, &metrics).await;
    detector.observe(exchange("a", 1));
    assert_eq!(detector.analyse_now().await.n_exchanges, 0);
    detector.close().await;
}
