//! Accounts and keys: who is let in, who isn't, and what other nodes learn of it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use stillwatch_guard::keys::{KeyError, Keys, NewAccount};
use stillwatch_guard::observe::resident_bytes;
use stillwatch_guard::store::{AccountRow, KeyKind, KeyRow, Store, StoreConfig};
use stillwatch_guard::upstream::UpstreamConfig;
use stillwatch_guard::{Guard, GuardConfig, Identity, Secrets, SystemClock};

const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

async fn open(dir: &Path) -> Keys {
    let secrets = Secrets::default();
    let store = Store::open(&StoreConfig::default(), dir, &secrets).await.expect("it opens");
    Keys::open(store, &secrets).await.expect("it opens")
}

fn account(name: &str) -> NewAccount {
    NewAccount { name: name.to_owned(), ..NewAccount::default() }
}

fn ask(keys: &Keys, key: &str, now_ms: i64) -> Result<Identity, KeyError> {
    keys.authenticate(Some(key), IP, now_ms)
}

#[tokio::test]
async fn keys_pass_through_under_pseudonyms_until_the_first_is_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let keys = open(dir.path()).await;
    let a = ask(&keys, "sk-upstream", 0).expect("let in");
    let same = ask(&keys, "sk-upstream", 9).expect("let in");
    let b = ask(&keys, "sk-other", 0).expect("let in");
    assert_eq!(a, same);
    assert_ne!(a.account, b.account);
    assert!(!a.is_virtual && a.account.starts_with("key-") && &*a.plan == "default");
    let unkeyed = blake3::hash(b"sk-upstream").to_hex();
    assert!(
        !a.account.contains(unkeyed.get(..12).expect("64 digits")),
        "it can't be computed from the key alone"
    );
    let none = keys.authenticate(None, IP, 0).expect("let in");
    assert!(none.account.starts_with("ip-") && !none.account.contains("10.0.0.7"));

    // A pseudonym can be given a plan, or be disabled.
    keys.create_account(&NewAccount { plan: Some("gold".to_owned()), ..account(&a.account) }, 0)
        .await
        .expect("made");
    assert_eq!(&*ask(&keys, "sk-upstream", 0).expect("let in").plan, "gold");
    keys.update_account(&a.account, None, None, Some(true)).await.expect("disabled");
    assert_eq!(ask(&keys, "sk-upstream", 0), Err(KeyError::Disabled));

    // The first virtual key ends it, for good: even when it is revoked and the account removed.
    keys.create_account(&account("acme"), 0).await.expect("made");
    let new = keys.create_key("acme", "", None, 0).await.expect("made").expect("acme is there");
    assert!(ask(&keys, new.secret.expose(), 0).expect("let in").is_virtual);
    assert_eq!(ask(&keys, "sk-other", 0), Err(KeyError::Unknown));
    assert_eq!(keys.authenticate(None, IP, 0), Err(KeyError::Missing));
    assert!(keys.delete_account("acme", 1).await.expect("removed"));
    assert_eq!(ask(&keys, new.secret.expose(), 1), Err(KeyError::Unknown));
    drop(keys);
    let again = open(dir.path()).await;
    assert!(again.needs_virtual_key(), "though the removed account's rows are gone");
}

#[tokio::test]
async fn keys_expire_are_revoked_and_survive_a_restart_as_hashes_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let keys = open(dir.path()).await;
    assert!(keys.create_key("nobody", "", None, 0).await.expect("asked").is_none());
    assert!(keys.create_account(&account("acme"), 0).await.expect("made"));
    assert!(!keys.create_account(&account("acme"), 0).await.expect("taken"));
    let key = |expires| keys.create_key("acme", "laptop", expires, 0);
    let forever = key(None).await.expect("made").expect("acme is there");
    let brief = key(Some(100)).await.expect("made").expect("acme is there");
    let revoked = key(None).await.expect("made").expect("acme is there");
    assert!(ask(&keys, brief.secret.expose(), 99).is_ok());
    assert_eq!(ask(&keys, brief.secret.expose(), 100), Err(KeyError::Unknown));
    assert!(keys.revoke_key(KeyKind::Virtual, &revoked.row.id, 5).await.expect("revoked"));
    assert!(!keys.revoke_key(KeyKind::Virtual, &revoked.row.id, 5).await.expect("only once"));
    assert_eq!(ask(&keys, revoked.secret.expose(), 6), Err(KeyError::Unknown));
    keys.update_account("acme", Some("gold"), None, Some(true)).await.expect("disabled");
    assert_eq!(ask(&keys, forever.secret.expose(), 6), Err(KeyError::Disabled));
    keys.update_account("acme", None, None, Some(false)).await.expect("enabled");
    keys.store().close().await;
    drop(keys);

    let again = open(dir.path()).await;
    let who = ask(&again, forever.secret.expose(), 6).expect("let in");
    assert_eq!((&*who.account, &*who.plan), ("acme", "gold"));
    assert_eq!(ask(&again, revoked.secret.expose(), 6), Err(KeyError::Unknown));
    let listed = again.store().list_keys(KeyKind::Virtual, Some("acme"), "", 10).await;
    let listed = listed.expect("read");
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|row| forever.secret.expose() != row.prefix));
    again.store().close().await;
    for file in fs_err::read_dir(dir.path()).expect("there") {
        let bytes = fs_err::read(file.expect("there").path()).expect("read");
        let secret = forever.secret.expose().as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "the key was kept");
    }
}

#[tokio::test]
async fn keys_for_admins_are_made_once_and_don_t_open_the_gateway() {
    let dir = tempfile::tempdir().expect("a folder");
    let keys = open(dir.path()).await;
    let first = keys.first_admin_key().expect("there was none");
    assert!(keys.first_admin_key().is_none(), "it is given once");
    assert!(is_admin(&keys, first.expose()));
    for wrong in [
        "",
        "sw-admin-",
        "x",
        first.expose().get(..20).expect("longer"),
        &format!("{}x", first.expose()),
    ] {
        assert!(!is_admin(&keys, wrong), "{wrong}");
    }
    keys.create_account(&account("acme"), 0).await.expect("made");
    let key = keys.create_key("acme", "", None, 0).await.expect("made").expect("there");
    assert!(!is_admin(&keys, key.secret.expose()));
    assert_eq!(ask(&keys, first.expose(), 0), Err(KeyError::Unknown));
    assert!(!keys.revoke_key(KeyKind::Virtual, &first_id(&keys).await, 0).await.expect("no"));

    let second = keys.create_admin_key("bob", None, 0).await.expect("made");
    assert!(is_admin(&keys, second.secret.expose()) && is_admin(&keys, first.expose()));
    assert!(keys.revoke_key(KeyKind::Admin, &first_id(&keys).await, 9).await.expect("revoked"));
    assert!(!is_admin(&keys, first.expose()) && is_admin(&keys, second.secret.expose()));
    drop(keys);
    let again = open(dir.path()).await;
    assert!(again.first_admin_key().is_none());
    assert!(is_admin(&again, second.secret.expose()));
}

fn is_admin(keys: &Keys, presented: &str) -> bool {
    keys.admin_id(presented, 0).is_some()
}

async fn first_id(keys: &Keys) -> String {
    let listed = keys.store().list_keys(KeyKind::Admin, None, "", 10).await.expect("read");
    listed.into_iter().find(|row| row.label == "first").expect("it is there").id
}

#[tokio::test]
async fn keys_can_t_be_guessed_and_guessers_lock_nobody_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let keys = open(dir.path()).await;
    let admin = keys.first_admin_key().expect("there was none");
    keys.create_account(&account("acme"), 0).await.expect("made");
    let key = keys.create_key("acme", "", None, 0).await.expect("made").expect("there");
    let results: Vec<_> = (0..100).map(|n| ask(&keys, &format!("sw-{n}"), 0)).collect();
    let stopped = |r: &&Result<_, _>| matches!(r, Err(KeyError::TooManyGuesses { .. }));
    assert_eq!(results.iter().filter(stopped).count(), 90);
    assert!(ask(&keys, key.secret.expose(), 0).is_ok(), "the right key from that address");
    let elsewhere = keys.authenticate(Some("sw-x"), IpAddr::V4([10, 0, 0, 8].into()), 0);
    assert_eq!(elsewhere, Err(KeyError::Unknown));
    let mut last = Ok(());
    for _ in 0..20 {
        last = keys.check_admin_from("sw-admin-x", IP, 0);
    }
    assert!(matches!(last, Err(KeyError::TooManyGuesses { .. })));
    assert_eq!(keys.check_admin_from(admin.expose(), IP, 0), Ok(()));
}

#[tokio::test]
async fn keys_hashed_under_another_secret_stop_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(open(dir.path()).await);
    let config = StoreConfig { url_env: None, secret_env: Some("PEPPER".to_owned()) };
    let pepper = stillwatch_evidence::Secret::new("other").expect("not empty");
    let secrets = Secrets([("PEPPER".to_owned(), pepper)].into());
    let store = Store::open(&config, dir.path(), &secrets).await.expect("it opens");
    let error = Keys::open(store, &secrets).await.expect_err("another secret");
    assert!(error.to_string().contains("store.secret_env"), "{error}");
}

#[tokio::test]
async fn keys_of_many_accounts_are_found_and_change_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let keys = open(dir.path()).await;
    let new: Vec<NewAccount> = (0..12_000).map(|n| account(&format!("account-{n}"))).collect();
    let made = keys.import_accounts(&new, 0).await.expect("made");
    assert_eq!(keys.n_accounts(), 12_000);
    for (account, key) in new.iter().zip(&made).step_by(97) {
        assert_eq!(*ask(&keys, key.secret.expose(), 0).expect("let in").account, *account.name);
    }
    let other = open(dir.path()).await;
    assert_eq!(other.n_accounts(), 12_000);
    keys.delete_account("account-97", 1).await.expect("removed");
    keys.update_account("account-194", Some("gold"), None, None).await.expect("changed");
    other.refresh().await.expect("read");
    assert_eq!(other.n_accounts(), 11_999);
    assert_eq!(ask(&other, made[97].secret.expose(), 2), Err(KeyError::Unknown));
    assert_eq!(&*ask(&other, made[194].secret.expose(), 2).expect("let in").plan, "gold");
    assert!(keys.import_accounts(&new[..2], 0).await.is_err(), "all or none");
}

/// How many accounts `keys_of_ten_thousand_accounts_fit_in_60_mb` makes instead.
const ACCOUNTS: &str = "STILLWATCH_TEST_ACCOUNTS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_ten_thousand_accounts_fit_in_60_mb() {
    #[expect(clippy::disallowed_methods, reason = "a larger number is for measurements only")]
    let n = std::env::var(ACCOUNTS).ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_usize);
    let dir = tempfile::tempdir().expect("a folder");
    let keys = open(dir.path()).await;
    let probe = account("probe");
    let probe = keys.import_accounts(std::slice::from_ref(&probe), 0).await.expect("made");
    let store = keys.store().clone();
    drop(keys);
    // Written below the keys' own memory, which would stay with the process.
    for first in (0..n).step_by(5_000) {
        let (accounts, rows): (Vec<_>, Vec<_>) = (first..(first + 5_000).min(n))
            .map(|i| {
                let name = format!("account-{i}");
                let row = KeyRow {
                    id: format!("{i:020}"),
                    account: name.clone(),
                    hash: blake3::hash(name.as_bytes()).as_bytes().to_vec(),
                    ..probe[0].row.clone()
                };
                let plan = format!("plan-{}", i % 3);
                let (note, created_ms) = (String::new(), 0);
                let (disabled, deleted, changed) = (false, false, 0);
                (AccountRow { name, plan, note, created_ms, disabled, deleted, changed }, row)
            })
            .unzip();
        store.insert_accounts(&accounts, &rows).await.expect("written");
    }
    store.close().await;

    let config = GuardConfig {
        data: dir.path().to_owned(),
        upstream: vec![UpstreamConfig::new("http://127.0.0.1:9")],
        ..GuardConfig::default()
    };
    let since = std::time::Instant::now();
    let clock = Arc::new(SystemClock);
    let guard = Guard::start(config, &Secrets::default(), clock).await.expect("it starts");
    let started = since.elapsed();
    assert_eq!(guard.keys.n_accounts(), n + 1);
    let since = std::time::Instant::now();
    for _ in 0..100_000 {
        assert!(ask(&guard.keys, probe[0].secret.expose(), 0).is_ok());
    }
    let each = since.elapsed() / 100_000;
    let resident = resident_bytes().expect("Linux says it") / 1_000_000;
    println!("{n} accounts: {resident} MB, started in {started:?}, {each:?} per request");
    assert!(resident <= if n <= 10_000 { 60 } else { 400 }, "{resident} MB");
    guard.close().await;
}
