//! The store on SQLite and on a real PostgreSQL: the same queries, the same answers.

use crate::postgres::Postgres;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use stillwatch_guard::Secrets;
use stillwatch_guard::store::{
    AccountRow, AppealRow, DecisionFilter, DecisionRow, ExposedKind, HeadRow, IndicatorRow,
    KeyKind, KeyRow, NodeRow, Scope, SketchRow, Store, StoreConfig,
};

async fn sqlite(dir: &std::path::Path) -> Store {
    Store::open(&StoreConfig::default(), dir, &Secrets::default()).await.expect("it opens")
}

fn decision(id: &str, account: &str) -> DecisionRow {
    DecisionRow {
        id: id.to_owned(),
        policy: "hygiene".to_owned(),
        measure: "strip_reasoning".to_owned(),
        account: account.to_owned(),
        cluster: String::new(),
        code: "chain_of_thought".to_owned(),
        detail: r#"{"n":3}"#.to_owned(),
        dry_run: true,
        state: "active".to_owned(),
        created_ms: 5,
        expires_ms: Some(10),
        ended_ms: None,
        ended_by: String::new(),
        changed: 0,
    }
}

/// Everything once, on any database.
#[expect(clippy::too_many_lines, reason = "one list of what must be the same on both")]
async fn exercise(store: &Store) {
    // Settings: the first one wins.
    assert_eq!(store.setting_or("s", "a").await.expect("set"), ("a".to_owned(), true));
    assert_eq!(store.setting_or("s", "b").await.expect("kept"), ("a".to_owned(), false));
    store.set_setting("s", "c").await.expect("set");
    assert_eq!(store.setting("s").await.expect("read").as_deref(), Some("c"));
    assert_eq!(store.setting("none").await.expect("read"), None);

    // Accounts and keys, changes in order.
    let account = AccountRow {
        name: "acme".to_owned(),
        plan: "default".to_owned(),
        note: String::new(),
        created_ms: 1,
        disabled: false,
        deleted: false,
        changed: 0,
    };
    assert!(store.insert_account(&account).await.expect("made"));
    assert!(!store.insert_account(&account).await.expect("taken"));
    let key = KeyRow {
        id: "k1".to_owned(),
        kind: KeyKind::Virtual,
        account: "acme".to_owned(),
        hash: vec![7; 32],
        prefix: "sw-abc".to_owned(),
        label: String::new(),
        created_ms: 2,
        expires_ms: None,
        revoked_ms: None,
        changed: 0,
    };
    assert!(store.insert_key(&key, false).await.expect("made"));
    let before = store.keys_version().await.expect("a number");
    assert!(store.update_account("acme", Some("gold"), None, Some(true)).await.expect("changed"));
    assert!(!store.update_account("none", None, None, None).await.expect("no such account"));
    let seen = store.accounts_changed((before + 1, ""), 10).await.expect("read");
    assert_eq!(seen.len(), 1);
    assert!(seen[0].disabled && seen[0].plan == "gold");
    assert!(store.delete_account("acme", 3).await.expect("removed"));
    assert!(store.account("acme").await.expect("read").is_none());
    let keys = store.list_keys(KeyKind::Virtual, Some("acme"), "", 10).await.expect("read");
    assert_eq!(keys[0].revoked_ms, Some(3));
    assert!(store.insert_account(&account).await.expect("the name is free again"));
    store.put_plan("gold", "{}").await.expect("set");
    store.delete_plan("gold").await.expect("removed");
    assert!(store.plans().await.expect("read")[0].deleted);

    // Decisions and appeals.
    let rows = [decision("d1", "acme"), decision("d2", "b")];
    store.put_decisions(&rows).await.expect("set");
    assert_eq!(store.decisions_changed(0, 10).await.expect("read").len(), 2);
    let filter = DecisionFilter { account: Some("acme".to_owned()), state: None };
    assert_eq!(store.decisions(&filter, 10, 0).await.expect("read").len(), 1);
    let appeal = AppealRow {
        id: "a1".to_owned(),
        decision: "d1".to_owned(),
        text: "it was homework".to_owned(),
        contact: "a@b".to_owned(),
        state: "open".to_owned(),
        created_ms: 6,
        resolved_ms: None,
        answer: String::new(),
    };
    assert!(store.put_appeal(&appeal, 1).await.expect("set"));
    let second = AppealRow { id: "a2".to_owned(), ..appeal.clone() };
    assert!(!store.put_appeal(&second, 1).await.expect("one is open"));
    assert!(store.resolve_appeal("a1", "upheld", "sorry", 8).await.expect("resolved"));
    assert!(!store.resolve_appeal("a1", "rejected", "", 9).await.expect("resolved before"));
    assert_eq!(store.appeals(Some("d1"), None, 10, 0).await.expect("read")[0].answer, "sorry");
    let found = store.appeal("a1").await.expect("read").expect("there");
    assert_eq!((found.resolved_ms, found.state.as_str()), (Some(8), "upheld"));

    // Sketches, more than one statement takes.
    let sketches: Vec<SketchRow> = (0..450)
        .map(|i| SketchRow { account: format!("s{i}"), bytes: vec![1; 64], updated_ms: i })
        .collect();
    store.put_sketches(&sketches).await.expect("set");
    store.put_sketches(&sketches).await.expect("replaced");
    assert_eq!(store.sketches(500, 0).await.expect("read").len(), 450);
    assert_eq!(store.purge_sketches(10).await.expect("removed"), 10);
    assert_eq!(store.sketch("s11").await.expect("read").expect("there").bytes.len(), 64);
    store.put_analysis("n1", 4, "{}").await.expect("set");
    assert_eq!(store.analyses().await.expect("read"), [("n1".to_owned(), 4, "{}".to_owned())]);

    // Heads: one that is there stays as it is.
    let head = |tree_size| HeadRow {
        node: "n1".to_owned(),
        log_id: "l".to_owned(),
        tree_size,
        time_ms: tree_size,
        head: format!("{tree_size}"),
    };
    assert!(store.put_head(&head(1)).await.expect("set"));
    assert!(store.put_head(&head(2)).await.expect("set"));
    assert!(!store.put_head(&HeadRow { head: "other".to_owned(), ..head(2) }).await.expect("kept"));
    assert_eq!(store.latest_heads().await.expect("read"), [head(2)]);
    assert_eq!(store.heads(10, 0).await.expect("read").len(), 2);
    store.put_node(&NodeRow { id: "n1".to_owned(), started_ms: 1, seen_ms: 5 }).await.expect("set");
    assert_eq!(store.nodes(4).await.expect("read").len(), 1);
    assert!(store.nodes(5).await.expect("read").is_empty());

    // Indicators.
    let indicator = IndicatorRow {
        source: "peer".to_owned(),
        hash: vec![9; 16],
        label: "campaign".to_owned(),
        added_ms: 1,
    };
    store.put_indicators(std::slice::from_ref(&indicator)).await.expect("set");
    assert_eq!(store.indicators(10, 0).await.expect("read"), [indicator]);
    let version = store.indicators_version().await.expect("read");
    assert_eq!(store.delete_indicators("peer").await.expect("removed"), 1);
    assert!(store.indicators_version().await.expect("read") > version);

    // Budgets.
    let keys = [(Scope::Account, Arc::from("acme")), (Scope::Cluster, Arc::from("acme"))];
    let mut tx = store.begin_budgets(100).await.expect("begun");
    let mut rows = tx.lock(&keys).await.expect("made");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].levels, [None; 3]);
    rows[0].levels = [Some(1.5), None, Some(-2.0)];
    tx.write(&rows).await.expect("written");
    tx.commit().await.expect("kept");
    let mut tx = store.begin_budgets(100).await.expect("begun");
    assert_eq!(tx.lock(&keys).await.expect("read"), rows);
    drop(tx);

    // Deletion of an account's data.
    assert!(store.put_exposed(ExposedKind::Released, &[1; 32], "acme", 9).await.expect("new"));
    assert!(!store.put_exposed(ExposedKind::Released, &[1; 32], "b", 9).await.expect("known"));
    assert_eq!(store.exposed(ExposedKind::Released, 0, 9).await.expect("read").len(), 1);
    let deleted = store.delete_account_data("acme").await.expect("removed");
    assert_eq!((deleted.decisions, deleted.appeals, deleted.exposed), (1, 1, 1));
    assert_eq!(store.decision("d1").await.expect("read").expect("stays").detail, "{}");
    assert_eq!(store.appeal("a1").await.expect("read").expect("stays").text, "");
    assert!(store.ping().await && !store.is_degraded());
}

#[tokio::test]
async fn store_sqlite_does_it_all_and_keeps_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("a b%20#?").join("data");
    let store = sqlite(&data).await;
    exercise(&store).await;
    store.close().await;
    let mode = fs_err::metadata(&data).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mode = fs_err::metadata(data.join("guard.sqlite")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = sqlite(&data).await;
    assert_eq!(again.setting("s").await.expect("read").as_deref(), Some("c"));
    again.close().await;
}

#[tokio::test]
async fn store_postgres_does_it_all_for_nodes_that_start_at_once() {
    let server = Postgres::start();
    let (config, secrets) = server.settings();
    let dir = tempfile::tempdir().expect("a folder");
    let open = || Store::open(&config, dir.path(), &secrets);
    let (a, b, c) = tokio::join!(open(), open(), open());
    let stores = [a.expect("it opens"), b.expect("it opens"), c.expect("it opens")];
    exercise(&stores[0]).await;
    assert_eq!(stores[1].setting("s").await.expect("read").as_deref(), Some("c"));
    for store in stores {
        store.close().await;
    }
}

#[tokio::test]
async fn store_says_when_postgres_is_away_and_finds_it_again() {
    let mut server = Postgres::start();
    let (config, secrets) = server.settings();
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&config, dir.path(), &secrets).await.expect("it opens");
    store.set_setting("s", "kept").await.expect("set");
    server.down();
    assert!(!store.ping().await);
    assert!(store.is_degraded() && store.failures() > 0);
    server.up();
    assert!(store.ping().await, "it connects again");
    assert!(!store.is_degraded());
    assert_eq!(store.setting("s").await.expect("read").as_deref(), Some("kept"));
    store.close().await;
}

#[tokio::test]
async fn store_of_a_newer_version_or_without_its_variable_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = sqlite(dir.path()).await;
    sqlx::query("UPDATE schema_version SET version = 999")
        .execute(store.pool())
        .await
        .expect("written");
    store.close().await;
    let error = Store::open(&StoreConfig::default(), dir.path(), &Secrets::default())
        .await
        .expect_err("too new");
    assert!(error.to_string().contains("use a newer program"), "{error}");
    let config = StoreConfig { url_env: Some("NOPE".to_owned()), secret_env: None };
    let error = Store::open(&config, dir.path(), &Secrets::default()).await.expect_err("not set");
    assert_eq!(error.to_string(), "store.url_env: NOPE isn't set");
}
