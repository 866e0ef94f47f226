//! The process dies or the disk is full: what was acknowledged is in the ledger all the same.
//!
//! The guard runs in a child, which is this test binary with [`as_child`] alone.

use super::rig::{account, exported, exposing, receipt, start};
use crate::gateway::{PATIENCE, chat, client};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stillwatch_evidence::ledger::{AdverseReason, LogView, Receipt};
use stillwatch_guard::exposure::{ExposureConfig, OnLedgerFailure};
use stillwatch_guard::server::{self, Listeners};
use stillwatch_guard::upstream::UpstreamConfig;
use stillwatch_guard::{Guard, GuardConfig, Secrets, SystemClock};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

const DATA: &str = "STILLWATCH_TEST_CHILD_DATA";
const UPSTREAM: &str = "STILLWATCH_TEST_CHILD_UPSTREAM";
const REFUSES: &str = "STILLWATCH_TEST_CHILD_REFUSES";

/// The guard of the other tests here; as a test of its own it does nothing.
#[test]
fn as_child() {
    let (Some(data), Some(upstream)) = (std::env::var_os(DATA), std::env::var_os(UPSTREAM)) else {
        return;
    };
    let upstream = upstream.into_string().expect("a URL");
    let mut config = GuardConfig { data: data.into(), ..GuardConfig::default() };
    config.listen.public = "127.0.0.1:0".to_owned();
    config.listen.admin = "127.0.0.1:0".to_owned();
    config.upstream = vec![UpstreamConfig::new(upstream)];
    config.exposure = ExposureConfig { rate: 1.0, ..ExposureConfig::default() };
    config.live.enabled = false;
    if std::env::var_os(REFUSES).is_some() {
        config.exposure.on_ledger_failure = OnLedgerFailure::Refuse;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let guard = Guard::start(config, &Secrets::default(), Arc::new(SystemClock)).await;
        let guard = guard.expect("a guard");
        let listeners = Listeners::bind(&guard.config.listen).await.expect("free ports");
        println!("AT {} {}", listeners.public_addr(), listeners.admin_addr());
        server::serve(guard, listeners, std::future::pending()).await;
    });
}

/// A child that is killed at the latest when the test ends.
struct Other {
    child: Child,
    public: String,
    admin: String,
}

impl Drop for Other {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Other {
    /// Starts it; `limit_kib` bounds the size of every file that it writes.
    fn start(data: &Path, upstream: &str, limit_kib: Option<u32>, refuses: bool) -> Self {
        let binary = std::env::current_exe().expect("this test");
        let mut command = match limit_kib {
            None => Command::new(&binary),
            Some(limit) => {
                let mut command = Command::new("bash");
                // Ignored, the signal becomes an error of the write.
                let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
                command.arg("-c").arg(script).arg(&binary);
                command
            }
        };
        command.args(["exposure::crash::as_child", "--exact", "--nocapture"]);
        command.env(DATA, data).env(UPSTREAM, upstream);
        if refuses {
            command.env(REFUSES, "1");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a child");
        let stdout = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.find_map(|line| {
            let line = line.expect("text");
            line.split_once("AT ").map(|(_, addresses)| addresses.to_owned())
        });
        let line = line.expect("its addresses");
        let (public, admin) = line.split_once(' ').expect("two");
        // What it says further must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, public: format!("http://{public}"), admin: format!("http://{admin}") }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn all_are_there(data: &Path, receipts: &[Receipt]) -> LogView {
    let view = LogView::open(&data.join("ledger")).expect("a ledger");
    for receipt in receipts {
        receipt.verify(&view.identity().public_key).expect("signed by this log");
        assert_eq!(view.leaf_hash(receipt.leaf_index), Some(receipt.leaf_hash), "{receipt:?}");
        let at = view.position_of_sequence(receipt.sequence).expect("a place");
        assert_eq!(at.commit, receipt.leaf_index);
    }
    view
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_acknowledged() {
    let upstream = MockUpstream::start(Behaviour::new().tokens(20..=40).tokens_per_second(400.0));
    let data = tempfile::tempdir().expect("a folder");
    let mut other = Other::start(data.path(), &upstream.url(), None, false);
    let receipts: Arc<Mutex<Vec<Receipt>>> = Arc::default();
    let url = format!("{}/v1/chat/completions", other.public);
    let load: Vec<_> = (0..12)
        .map(|worker| {
            let (receipts, url) = (Arc::clone(&receipts), url.clone());
            tokio::spawn(async move {
                let http = client();
                for n in 0.. {
                    let body = chat(&format!("prompt {worker} {n}"), n % 2 == 0);
                    let Ok(response) = http.post(&url).json(&body).send().await else { return };
                    if let Some(receipt) = receipt(&response) {
                        receipts.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
                    }
                    if response.bytes().await.is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    let n_receipts = || receipts.lock().unwrap_or_else(PoisonError::into_inner).len();
    let enough = async {
        while n_receipts() < 60 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough).await.expect("load");
    other.kill();
    for worker in load {
        worker.await.expect("no panic");
    }
    let receipts = receipts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let view = all_are_there(data.path(), &receipts);
    let n_begun = view.n_sequences();
    drop(view);

    // Another process goes on with the same folder.
    let gateway = start(exposing(&upstream, data.path())).await;
    let capture = gateway.guard.exposure.as_ref().expect("a capture");
    let state = capture.state().await.expect("a state");
    assert_eq!(state.n_begun, n_begun);
    // Not the clients alone: one that has its answer may ask again before its second entry.
    let at_once = ExposureConfig::default().concurrent_max as u64;
    assert!(state.n_unfinished <= at_once, "what was under way: {state:?}");
    let request = client().post(gateway.url("/v1/chat/completions")).json(&chat("after", false));
    let response = request.send().await.expect("an answer");
    assert_eq!(receipt(&response).expect("exposed").sequence, n_begun, "dense");
    drop(response.bytes().await);
    gateway.stop().await;

    all_are_there(data.path(), &receipts);
    let (exposures, exported) = exported(data.path());
    assert_eq!(exported.left_out.unfinished, state.n_unfinished);
    assert_eq!(exported.n_exposures, n_begun + 1 - state.n_unfinished);
    let check = account(data.path(), &exposures);
    assert!(check.adverse.iter().all(|adverse| adverse.reason == AdverseReason::Unfinished));
    assert_eq!(check.adverse.len() as u64, state.n_unfinished);
    assert_eq!(check.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_declared_and_nothing_acknowledged_is_lost() {
    // Each request is kept with its 60 kB of prompt: some fit below the limit of a file, then none.
    let padding = "lorem ipsum ".repeat(5_000);
    for refuses in [false, true] {
        let upstream = MockUpstream::start(Behaviour::new());
        let data = tempfile::tempdir().expect("a folder");
        let other = Other::start(data.path(), &upstream.url(), Some(900), refuses);
        let http = client();
        let (mut receipts, mut n_unexposed) = (Vec::new(), 0);
        for n in 0..24 {
            let url = format!("{}/v1/chat/completions", other.public);
            let body = chat(&format!("prompt {n} {padding}"), false);
            let response = http.post(&url).json(&body).send().await.expect("an answer");
            let status = response.status().as_u16();
            match receipt(&response) {
                Some(receipt) => receipts.push(receipt),
                None if refuses => {
                    assert_eq!(status, 503);
                    n_unexposed += 1;
                }
                None => {
                    assert_eq!(status, 200);
                    let said = response.headers().get("stillwatch-exposure").expect("a header");
                    assert_eq!(said, "off; reason=ledger");
                    n_unexposed += 1;
                }
            }
            drop(response.bytes().await);
        }
        assert!(receipts.len() >= 5 && n_unexposed >= 5, "{} {n_unexposed}", receipts.len());
        let health = http.get(format!("{}/healthz", other.admin)).send().await.expect("an answer");
        let health = health.text().await.expect("a body");
        assert!(health.contains("ledger"), "{health}");
        drop(other);
        let view = all_are_there(data.path(), &receipts);
        assert_eq!(view.n_sequences(), receipts.len() as u64, "nothing was half begun");
    }
}
