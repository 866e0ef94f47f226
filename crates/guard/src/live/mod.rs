//! Detection while traffic flows: a thread of its own behind a bounded queue.
//!
//! The features and what they mean are the business of `traffic`; this module feeds it, asks it
//! now and then, and keeps its state in the store. A request never waits for it: a full queue
//! drops the exchange, which is counted. Texts end here: the state is numbers and keyed hashes.

mod keeper;
mod seen;
mod stored;
mod worker;

pub(crate) use seen::Seen;
pub use stored::stored_analysis;

use crate::{Clock, GuardError, observe::Metrics, store::Store};
use arc_swap::ArcSwap;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use stillwatch_evidence::Exchange;
use stillwatch_evidence::ledger::to_hex;
use stillwatch_traffic::{Analysis, Live, LiveParams};
use tokio::sync::{mpsc, oneshot};
use worker::{Command, Worker};

/// Exchanges that wait at most.
const QUEUE_MAX: usize = 8192;
/// Bytes of text that wait at most.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Batches of sketches, and look-ups, that wait for the store at most.
const KEEPER_QUEUE_MAX: usize = 256;
/// Seconds between two times that changed sketches are kept.
const KEEP_EVERY_S: u64 = 60;
/// Name of the setting with the key of the hashes.
const KEY_SETTING: &str = "traffic_hash_key";
/// Name of the setting that says under which key the stored sketches are.
const KEY_ID_SETTING: &str = "traffic_hash_key_id";

/// Live detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LiveConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// Accounts kept in memory, at most 4 KiB each; the others are in the store.
    pub accounts_max: usize,
    /// Seconds between two analyses.
    pub analyse_every_s: u64,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self { enabled: true, accounts_max: 50_000, analyse_every_s: 30 }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Detector {
    latest: Arc<ArcSwap<Analysis>>,
    hash_key: [u8; 32],
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    commands: SyncSender<Command>,
    queued_bytes: Arc<AtomicUsize>,
    depth: Gauge,
    dropped: Counter,
    thread: Mutex<Option<JoinHandle<()>>>,
    keeper: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Detector {
    /// Starts its thread and loads its state. `shared_key`: derived from the key that providers
    /// who share indicators agreed on, so that their hashes agree; without it the key is made
    /// once and kept in the store.
    ///
    /// # Errors
    /// The store fails, or the thread can't be started.
    pub async fn start(
        config: &LiveConfig,
        store: Store,
        clock: Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
        shared_key: Option<[u8; 32]>,
    ) -> Result<Self, GuardError> {
        let latest = Arc::new(ArcSwap::from_pointee(Analysis::default()));
        let hash_key = match shared_key {
            Some(key) => key,
            None => store.agreed_key(KEY_SETTING).await?,
        };
        if !config.enabled {
            return Ok(Self { latest, hash_key, running: None });
        }
        drop_sketches_of_another_key(&store, &hash_key).await?;
        let (commands, queue) = sync_channel(QUEUE_MAX);
        let (keep, wishes) = mpsc::channel(KEEPER_QUEUE_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let depth = metrics.queue_depth.get("detector");
        let worker = Worker {
            live: Live::new(LiveParams { hash_key, accounts_max: config.accounts_max }),
            keep,
            latest: Arc::clone(&latest),
            queued_bytes: Arc::clone(&queued_bytes),
            depth: depth.clone(),
            unkept: metrics.queue_dropped.get("sketches"),
            clock,
            analyse_every: Duration::from_secs(config.analyse_every_s.max(1)),
            keep_every: Duration::from_secs(KEEP_EVERY_S),
            unmerged: BTreeMap::new(),
            n_asked: 0,
            has_evicted: false,
            changed: BTreeSet::new(),
        };
        let thread = std::thread::Builder::new()
            .name("detector".to_owned())
            .spawn(move || worker.run(queue))
            .map_err(|source| GuardError::Io {
                what: "can't start the detector's thread".to_owned(),
                source,
            })?;
        let at_start_max = i64::try_from(config.accounts_max).unwrap_or(i64::MAX);
        let keeper = tokio::spawn(keeper::keep(
            store,
            wishes,
            commands.clone(),
            Arc::clone(metrics),
            at_start_max,
        ));
        Ok(Self {
            latest,
            hash_key,
            running: Some(Running {
                commands,
                queued_bytes,
                depth,
                dropped: metrics.queue_dropped.get("detector"),
                thread: Mutex::new(Some(thread)),
                keeper: Mutex::new(Some(keeper)),
            }),
        })
    }

    /// Takes an exchange; never waits: a full queue drops it, which is counted.
    pub fn observe(&self, exchange: Exchange) {
        let Some(running) = &self.running else { return };
        let Some(seen) = Seen::new(exchange) else { return };
        let bytes = seen.bytes();
        let queued = running.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = queued.saturating_add(bytes) <= QUEUE_BYTES_MAX;
        running.depth.inc();
        if !has_room || running.commands.try_send(Command::Observe(Box::new(seen))).is_err() {
            running.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            running.depth.dec();
            running.dropped.inc();
        }
    }

    /// The latest analysis.
    pub fn latest(&self) -> Arc<Analysis> {
        self.latest.load_full()
    }

    /// The key of the hashes by which texts are compared.
    pub fn hash_key(&self) -> &[u8; 32] {
        &self.hash_key
    }

    /// Works off the queue and analyses now, rather than when it is time.
    pub async fn analyse_now(&self) -> Arc<Analysis> {
        if let Some(running) = &self.running {
            let (done, is_done) = oneshot::channel();
            let mut command = Command::Analyse(done);
            while let Err(std::sync::mpsc::TrySendError::Full(back)) =
                running.commands.try_send(command)
            {
                command = back;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            is_done.await.ok();
        }
        self.latest()
    }

    /// Forgets what is known of an account; what the store has of it is deleted by the caller.
    pub fn forget(&self, account: &str) {
        if let Some(running) = &self.running {
            running.commands.try_send(Command::Forget(account.to_owned())).ok();
        }
    }

    /// Works off the queue, keeps the state.
    pub async fn close(&self) {
        let Some(running) = &self.running else { return };
        let thread = running.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let keeper = running.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(thread), Some(keeper)) = (thread, keeper) else { return };
        let commands = running.commands.clone();
        let closed = tokio::task::spawn_blocking(move || {
            commands.send(Command::Close).ok();
            thread.join().is_ok()
        });
        if !matches!(closed.await, Ok(true)) {
            tracing::error!("the detector's thread failed");
        }
        // Its sender went with the thread, so the keeper ends when all is written.
        keeper.await.ok();
    }
}

/// Hashes under different keys can't be compared, so sketches of an earlier key are of no use.
async fn drop_sketches_of_another_key(store: &Store, key: &[u8; 32]) -> Result<(), GuardError> {
    let id = to_hex(blake3::hash(key).as_bytes().get(..8).unwrap_or_default());
    let (known, _) = store.setting_or(KEY_ID_SETTING, &id).await?;
    if known != id {
        tracing::warn!("the key of the hashes changed: what was learnt of accounts starts afresh");
        store.purge_sketches(i64::MAX).await?;
        store.set_setting(KEY_ID_SETTING, &id).await?;
    }
    Ok(())
}
