//! Limits: what is let through, settled, remembered through a kill, and shared by nodes.

use crate::postgres::Postgres;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stillwatch_guard::limits::{Cost, LimitExceeded, Limits, LimitsConfig, PlanLimits, Price};
use stillwatch_guard::store::{Store, StoreConfig};
use stillwatch_guard::{Clock, Identity, ManualClock, Secrets};

/// Folder that the child of `limits_survive_a_kill` works in.
const CHILD_DATA: &str = "STILLWATCH_TEST_LIMITS_CHILD";

fn who(account: &str) -> Identity {
    Identity {
        account: Arc::from(account),
        plan: Arc::from("default"),
        is_virtual: true,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn plan(requests: Option<u64>, tokens: Option<u64>, micros: Option<u64>) -> PlanLimits {
    PlanLimits { requests_per_minute: requests, tokens_per_minute: tokens, micros_per_day: micros }
}

fn config(limits: PlanLimits) -> LimitsConfig {
    let price =
        Price { prompt_micros_per_million: 1_000_000, completion_micros_per_million: 2_000_000 };
    LimitsConfig {
        plan: [("default".to_owned(), limits)].into(),
        price: [("paid*".to_owned(), price)].into(),
    }
}

/// Compares levels, which are sums of fractions.
fn same(found: [f64; 3], expected: [f64; 3]) {
    let is_near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3);
    assert!(is_near, "{found:?}, expected {expected:?}");
}

fn tokens(prompt_tokens: u64, completion_tokens: u64) -> Cost {
    Cost { prompt_tokens, completion_tokens }
}

async fn sqlite(dir: &Path) -> Store {
    Store::open(&StoreConfig::default(), dir, &Secrets::default()).await.expect("it opens")
}

struct Node {
    limits: Limits,
    store: Store,
    clock: Arc<ManualClock>,
}

impl Node {
    async fn start(dir: &Path, limits: &LimitsConfig, now_ms: i64) -> Self {
        let store = sqlite(dir).await;
        let clock = Arc::new(ManualClock::new(now_ms));
        let dynamic: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let limits =
            Limits::open_with_clock(limits, store.clone(), dynamic).await.expect("it opens");
        Self { limits, store, clock }
    }

    async fn ask(&self, account: &str, cost: Cost) -> Result<(), LimitExceeded> {
        let permit = self.limits.reserve(&who(account), "paid-model", cost).await?;
        permit.settle(cost);
        Ok(())
    }

    async fn ask_until_refused(&self, account: &str) -> u64 {
        let mut n = 0;
        while self.ask(account, tokens(1, 0)).await.is_ok() {
            n += 1;
            assert!(n < 100_000, "it is never refused");
        }
        n
    }
}

#[tokio::test]
async fn limits_let_a_burst_through_and_then_the_rate() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Node::start(dir.path(), &config(plan(Some(60), None, None)), 1_000_000).await;
    assert_eq!(node.ask_until_refused("acme").await, 60);
    let refused = node.ask("acme", tokens(1, 0)).await.expect_err("spent");
    assert_eq!((refused.scope, refused.what), ("account", "requests"));
    assert_eq!(refused.retry_after_ms, 1_000);
    assert_eq!(node.ask_until_refused("other").await, 60, "accounts don't share");
    node.clock.set(1_005_000);
    assert_eq!(node.ask_until_refused("acme").await, 5);
    let standing = node.limits.standing("acme");
    assert_eq!((standing.len(), standing[0].what), (1, "requests"));
    assert!(
        (standing[0].limit - 60.0).abs() < 1e-3
            && standing[0].remaining.abs() < 1e-3
            && standing[0].reset_ms == 60_000
    );
    node.clock.set(9_000_000);
    assert_eq!(node.ask_until_refused("acme").await, 60, "never more than the burst");
}

#[tokio::test]
async fn limits_reserve_an_estimate_and_settle_the_cost() {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = config(plan(Some(100), Some(1_000), Some(10_000)));
    let node = Node::start(dir.path(), &limits, 1_000_000).await;
    let left = || {
        let standing = node.limits.standing("acme");
        [standing[0].remaining, standing[1].remaining, standing[2].remaining]
    };
    let acme = who("acme");
    let reserve = |cost| node.limits.reserve(&acme, "paid-1", cost);
    let permit = reserve(tokens(100, 500)).await.expect("let through");
    same(left(), [99.0, 400.0, 8_900.0]);
    let refused = reserve(tokens(300, 200)).await.expect_err("400 are left");
    assert_eq!(refused.what, "tokens");
    same(left(), [99.0, 400.0, 8_900.0]); // a refusal takes nothing
    let headers = permit.headers();
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| known.as_str() == name);
        found.map(|(_, value)| value.to_str().expect("text").to_owned())
    };
    assert_eq!(header("x-ratelimit-limit-tokens").as_deref(), Some("1000"));
    assert_eq!(header("x-ratelimit-remaining-tokens").as_deref(), Some("400"));
    assert_eq!(header("x-ratelimit-reset-tokens").as_deref(), Some("36s"));
    assert_eq!(header("x-ratelimit-remaining-requests").as_deref(), Some("99"));
    permit.settle(tokens(100, 20));
    same(left(), [99.0, 880.0, 9_860.0]);

    // Dropped: nothing reached an upstream, or what is known to be spent.
    drop(reserve(tokens(100, 500)).await.expect("let through"));
    same(left(), [99.0, 880.0, 9_860.0]);
    let mut permit = reserve(tokens(100, 500)).await.expect("let through");
    permit.note(tokens(80, 0));
    drop(permit);
    same(left(), [98.0, 800.0, 9_780.0]);

    // More than was estimated: it is owed. More than the bucket holds: it passes when full.
    reserve(tokens(0, 0)).await.expect("let through").settle(tokens(0, 900));
    assert!((left()[1] + 100.0).abs() < 1e-3);
    assert_eq!(reserve(tokens(0, 1)).await.expect_err("owed").what, "tokens");
    node.clock.set(1_066_000);
    let permit = node.limits.reserve(&who("acme"), "free", tokens(0, 5_000)).await;
    permit.expect("the bucket is full").settle(tokens(0, 10));
    assert!((left()[1] - 990.0).abs() < 1e-3);
}

#[tokio::test]
async fn limits_of_a_cluster_are_shared_by_its_accounts() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Node::start(dir.path(), &LimitsConfig::default(), 1_000_000).await;
    let accounts = ["a".to_owned(), "b".to_owned()];
    node.ask("a", tokens(1, 0)).await.expect("no limits");
    node.limits.set_cluster("ring", &accounts, Some(plan(Some(10), None, None)));
    for n in 0..10 {
        node.ask(&accounts[n % 2], tokens(1, 0)).await.expect("ten in all");
    }
    let refused = node.ask("a", tokens(1, 0)).await.expect_err("spent");
    assert_eq!((refused.scope, refused.what), ("cluster", "requests"));
    node.ask("c", tokens(1, 0)).await.expect("not in the cluster");
    node.limits.set_cluster("ring", &["b".to_owned()], Some(plan(Some(10), None, None)));
    node.ask("a", tokens(1, 0)).await.expect("not in it any more");
    assert!(node.ask("b", tokens(1, 0)).await.is_err(), "the budget is the same as before");
    let clusters = node.limits.clusters();
    assert_eq!((clusters.len(), clusters[0].accounts.len()), (1, 1));
    assert!(clusters[0].standing[0].remaining.abs() < 1e-3);
    node.limits.set_cluster("ring", &accounts, None);
    assert_eq!(node.ask("b", tokens(1, 0)).await, Ok(()));
    assert!(node.limits.clusters().is_empty());
}

#[tokio::test]
async fn limits_of_the_account_hold_inside_a_cluster_and_a_refusal_there_costs_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Node::start(dir.path(), &config(plan(Some(50), None, None)), 1_000_000).await;
    node.limits.set_cluster("ring", &["a".to_owned()], Some(plan(Some(5), None, None)));
    assert_eq!(node.ask_until_refused("a").await, 5);
    assert!((node.limits.standing("a")[0].remaining - 45.0).abs() < 1e-3);
}

#[tokio::test]
async fn limits_neither_reset_nor_block_when_the_clock_is_set_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = config(plan(Some(60), None, None));
    let node = Node::start(dir.path(), &limits, 100_000_000).await;
    assert_eq!(node.ask_until_refused("acme").await, 60);
    node.clock.set(100_000_000 - 86_400_000);
    assert_eq!(node.ask_until_refused("acme").await, 0, "no reset");
    node.clock.set(100_000_000 - 86_400_000 + 10_000);
    assert_eq!(node.ask_until_refused("acme").await, 10, "no block");
    node.limits.close().await;
    node.store.close().await;
    drop(node);

    // The same across a restart.
    let node = Node::start(dir.path(), &limits, 100_000_000 - 2 * 86_400_000).await;
    assert_eq!(node.ask_until_refused("acme").await, 0, "no reset");
    node.clock.set(100_000_000 - 2 * 86_400_000 + 3_000);
    assert_eq!(node.ask_until_refused("acme").await, 3, "no block");
}

#[tokio::test]
async fn limits_are_exact_across_an_orderly_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = config(plan(Some(600), Some(100_000), None));
    let node = Node::start(dir.path(), &limits, 1_000_000).await;
    for _ in 0..100 {
        node.ask("acme", tokens(10, 10)).await.expect("let through");
    }
    node.limits.close().await;
    node.store.close().await;
    drop(node);
    let node = Node::start(dir.path(), &limits, 1_001_000).await;
    node.ask("acme", tokens(0, 0)).await.expect("let through");
    let standing = node.limits.standing("acme");
    assert!((standing[0].remaining - 509.0).abs() < 1e-3, "{standing:?}");
    assert!((standing[1].remaining - (98_000.0 + 100_000.0 / 60.0)).abs() < 1.0, "{standing:?}");
    node.limits.reset("acme").await.expect("filled");
    assert_eq!(node.ask_until_refused("acme").await, 600);
}

/// Not a test of its own: the process that `limits_survive_a_kill` kills.
#[tokio::test]
async fn limits_child_spends_all_it_may() {
    #[expect(clippy::disallowed_methods, reason = "how the parent tells its child what it is")]
    let Ok(dir) = std::env::var(CHILD_DATA) else { return };
    let store = sqlite(Path::new(&dir)).await;
    let limits = config(plan(Some(200), None, Some(1_000)));
    let limits = Limits::open(&limits, store).await.expect("it opens");
    let mut n = 0;
    loop {
        match limits.reserve(&who("acme"), "paid", tokens(10, 0)).await {
            Ok(permit) => {
                permit.settle(tokens(10, 0));
                n += 1;
            }
            Err(_) if n > 0 => {
                println!("spent {n}");
                n = 0;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test]
async fn limits_survive_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "limits::limits_child_spends_all_it_may", "--nocapture"])
        .env(CHILD_DATA, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains("spent "));
    assert!(line.expect("it spends").contains("spent 100"), "1,000 micros at 10 each");
    // What was spent is written within the time that is documented.
    tokio::time::sleep(Duration::from_millis(500)).await;
    child.kill().expect("it is killed"); // SIGKILL
    child.wait().expect("it is gone");

    let store = sqlite(dir.path()).await;
    let limits = Limits::open(&config(plan(Some(200), None, Some(1_000))), store).await;
    let limits = limits.expect("it opens");
    let mut n = 0;
    for _ in 0..100 {
        let permit = limits.reserve(&who("acme"), "paid", tokens(10, 0)).await;
        n += u64::from(permit.map(|permit| permit.settle(tokens(10, 0))).is_ok());
    }
    assert!(n <= 1, "{n} more, though the day's money was spent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_under_concurrent_requests() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = Arc::new(Node::start(dir.path(), &config(plan(Some(500), None, None)), 0).await);
    let through = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (node, through) = (Arc::clone(&node), Arc::clone(&through));
            tokio::spawn(async move {
                for n in 0..200 {
                    let Ok(permit) = node.limits.reserve(&who("acme"), "free", tokens(1, 1)).await
                    else {
                        continue;
                    };
                    tokio::task::yield_now().await;
                    if n % 5 == 0 {
                        drop(permit);
                    } else {
                        permit.settle(tokens(1, 1));
                        through.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it ends");
    }
    let through = through.load(Ordering::Relaxed);
    assert_eq!(through, 500);
}

/// Requests that nodes let through together while all ask as fast as they can.
async fn hammer(nodes: &[Arc<Limits>], time: Duration) -> Vec<u64> {
    let until = Instant::now() + time;
    let mut tasks = Vec::new();
    for limits in nodes {
        for _ in 0..4 {
            let limits = Arc::clone(limits);
            tasks.push(tokio::spawn(async move {
                let mut n = 0;
                while Instant::now() < until {
                    match limits.reserve(&who("acme"), "free", tokens(1, 0)).await {
                        Ok(permit) => {
                            permit.settle(tokens(1, 0));
                            n += 1;
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                    }
                }
                n
            }));
        }
    }
    let mut counts = vec![0; nodes.len()];
    for (i, task) in tasks.into_iter().enumerate() {
        counts[i / 4] += task.await.expect("it ends");
    }
    counts
}

async fn node(server: &Postgres, dir: &Path, limits: &LimitsConfig) -> (Arc<Limits>, Store) {
    let (settings, secrets) = server.settings();
    let store = Store::open(&settings, dir, &secrets).await.expect("it opens");
    let limits = Limits::open(limits, store.clone()).await.expect("it opens");
    (Arc::new(limits), store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_one_account_are_shared_by_two_nodes_within_5_percent() {
    let server = Postgres::start();
    let dirs = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let limits = config(plan(Some(1_200), None, None));
    let (a, store_a) = node(&server, dirs[0].path(), &limits).await;
    let (b, store_b) = node(&server, dirs[1].path(), &limits).await;
    assert_ne!(store_a.node(), store_b.node());
    let nodes = [Arc::clone(&a), Arc::clone(&b)];
    let since = Instant::now();
    let counts = hammer(&nodes, Duration::from_secs(4)).await;
    let bound = |seconds: f64| 1_200.0 + 20.0 * seconds;
    let total = (counts[0] + counts[1]) as f64;
    let expected = bound(since.elapsed().as_secs_f64());
    assert!((total / expected - 1.0).abs() <= 0.05, "{counts:?}, expected {expected}");

    // One node asks alone: it gets what both had; and an orderly end gives all back.
    let more = hammer(&nodes[..1], Duration::from_secs(2)).await[0];
    let expected = bound(since.elapsed().as_secs_f64());
    assert!(((total + more as f64) / expected - 1.0).abs() <= 0.05, "{more}, {expected}");
    a.close().await;
    b.close().await;
    let (c, _) = node(&server, dirs[0].path(), &limits).await;
    let rest = hammer(&[c], Duration::from_secs(1)).await[0];
    let expected = bound(since.elapsed().as_secs_f64());
    let total = total + (more + rest) as f64;
    assert!((total / expected - 1.0).abs() <= 0.05, "{total}, {expected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_go_on_in_shares_while_postgres_is_away_and_are_paid_afterwards() {
    let mut server = Postgres::start();
    let dirs = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let limits = config(plan(Some(600), None, None));
    let (a, store_a) = node(&server, dirs[0].path(), &limits).await;
    let (b, _store_b) = node(&server, dirs[1].path(), &limits).await;
    let nodes = [Arc::clone(&a), Arc::clone(&b)];
    let since = Instant::now();
    // Both know the account, and each other.
    let mut total: u64 = 0;
    for limits in &nodes {
        let acme = who("acme");
        let permit = limits.reserve(&acme, "free", tokens(1, 0)).await;
        permit.expect("let through").settle(tokens(1, 0));
        total += 1;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.down();
    let counts = hammer(&nodes, Duration::from_secs(3)).await;
    assert!(counts.iter().all(|n| *n > 200), "both go on: {counts:?}");
    total += counts.iter().sum::<u64>();
    assert!(store_a.is_degraded());
    let bound = |seconds: f64| (600.0 + 10.0 * seconds) * 1.05;
    assert!(total as f64 <= bound(since.elapsed().as_secs_f64()), "{counts:?}");
    server.up();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!store_a.is_degraded());
    total += hammer(&nodes, Duration::from_secs(1)).await.iter().sum::<u64>();
    let seconds = since.elapsed().as_secs_f64();
    assert!(total as f64 <= bound(seconds), "{total} in {seconds} s: debts were forgotten");
}
