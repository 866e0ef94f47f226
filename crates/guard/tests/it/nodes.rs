//! Two guards on one real PostgreSQL: keys, limits and decisions are the same on both, also
//! after the database was restarted under them.

use crate::gateway::{self, Gateway, PATIENCE};
use crate::postgres::Postgres;
use std::time::{Duration, Instant};
use stillwatch_guard::limits::PlanLimits;
use stillwatch_guard::store::{DecisionFilter, DecisionRow, HeadRow, NodeRow};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

async fn ask(node: &Gateway, key: &str) -> u16 {
    let request = gateway::client()
        .post(node.url("/v1/chat/completions"))
        .bearer_auth(key)
        .json(&gateway::chat("hello", false));
    request.send().await.expect("an answer").status().as_u16()
}

/// Asks until the status is this one.
async fn until(node: &Gateway, key: &str, status: u16) {
    let since = Instant::now();
    loop {
        let found = ask(node, key).await;
        if found == status {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{found} instead of {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn start(server: &Postgres, upstream: &MockUpstream) -> Gateway {
    let (store, secrets) = server.settings();
    let mut config = gateway::config(&[upstream]);
    config.store = store;
    let limits = PlanLimits { requests_per_minute: Some(200), ..PlanLimits::default() };
    config.limits.plan.insert("two-hundred".to_owned(), limits);
    Gateway::start_with(config, &secrets).await
}

/// Requests of this key that both nodes let through for a while.
async fn through(nodes: [&Gateway; 2], key: &str, time: Duration) -> u64 {
    let client = gateway::client();
    let until = Instant::now() + time;
    let asking = nodes.map(|node| {
        let (client, url) = (client.clone(), node.url("/v1/chat/completions"));
        async move {
            let mut n = 0;
            while Instant::now() < until {
                let request = client.post(&url).bearer_auth(key);
                let answer = request.json(&gateway::chat("hello", false)).send().await;
                let status = answer.expect("an answer").status().as_u16();
                if status == 200 {
                    n += 1;
                } else {
                    assert_eq!(status, 429);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            n
        }
    });
    let [a, b] = asking;
    let (a, b): (u64, u64) = tokio::join!(a, b);
    a + b
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_keys_limits_and_decisions_through_a_restart_of_postgres() {
    let mut server = Postgres::start();
    let upstream = MockUpstream::start(Behaviour::new());
    let a = start(&server, &upstream).await;
    let b = start(&server, &upstream).await;
    assert!(a.guard.keys.first_admin_key().is_some() && b.guard.keys.first_admin_key().is_none());

    // A key that is made on one node opens the other, and ends the pass-through there.
    assert_eq!(ask(&b, "sk-anything").await, 200);
    let plan = Some("two-hundred".to_owned());
    let account =
        stillwatch_guard::keys::NewAccount { name: "acme".to_owned(), plan, note: String::new() };
    assert!(a.guard.keys.create_account(&account, 0).await.expect("made"));
    let key = a.guard.keys.create_key("acme", "", None, 0).await.expect("made").expect("there");
    let key = key.secret.expose().to_owned();
    assert_eq!(ask(&a, "sk-anything").await, 401);
    until(&b, "sk-anything", 401).await;
    let since = Instant::now();
    assert_eq!(ask(&b, &key).await, 200);

    // One limit for both: 200 at once and 200 a minute.
    let mut total = 1 + through([&a, &b], &key, Duration::from_secs(3)).await;
    let bound = |since: Instant| 200.0 + since.elapsed().as_secs_f64() * 200.0 / 60.0;
    let expected = bound(since);
    assert!((total as f64 / expected - 1.0).abs() <= 0.05, "{total}, expected {expected}");

    // The database is restarted: both go on serving, and are in step again afterwards.
    server.down();
    assert_eq!(ask(&a, "sk-wrong").await, 401);
    total += through([&a, &b], &key, Duration::from_secs(1)).await;
    server.up();
    let since_up = Instant::now();
    while a.guard.store.is_degraded() || b.guard.store.is_degraded() {
        assert!(since_up.elapsed() < PATIENCE, "still away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    total += through([&a, &b], &key, Duration::from_secs(1)).await;
    assert!(total as f64 <= 1.05 * bound(since), "{total}, at most {}", bound(since));
    b.guard.keys.update_account("acme", None, None, Some(true)).await.expect("disabled");
    until(&a, &key, 403).await;

    decisions_and_heads(&a, &b).await;
    a.stop().await;
    b.stop().await;
}

async fn decisions_and_heads(a: &Gateway, b: &Gateway) {
    let decision = DecisionRow {
        id: "d1".to_owned(),
        policy: "p".to_owned(),
        measure: "shadow".to_owned(),
        account: "acme".to_owned(),
        cluster: String::new(),
        code: "c".to_owned(),
        detail: "{}".to_owned(),
        dry_run: false,
        state: "active".to_owned(),
        created_ms: 1,
        expires_ms: None,
        ended_ms: None,
        ended_by: String::new(),
        changed: 0,
    };
    a.guard.store.put_decisions(&[decision]).await.expect("written");
    let found = b.guard.store.decisions(&DecisionFilter::default(), 10, 0).await.expect("read");
    assert_eq!(found.len(), 1);

    let head = |node: &str, tree_size| HeadRow {
        node: node.to_owned(),
        log_id: format!("log of {node}"),
        tree_size,
        time_ms: tree_size,
        head: "{}".to_owned(),
    };
    let (this, other) = (a.guard.store.node(), b.guard.store.node());
    assert_ne!(this, other);
    assert!(a.guard.store.put_head(&head(this, 3)).await.expect("written"));
    assert!(b.guard.store.put_head(&head(other, 2)).await.expect("written"));
    assert_eq!(a.guard.store.latest_heads().await.expect("read").len(), 2);
    let nodes: Vec<NodeRow> = a.guard.store.nodes(0).await.expect("read");
    let names: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    assert!(names.contains(&this) && names.contains(&other), "{names:?}");
}
