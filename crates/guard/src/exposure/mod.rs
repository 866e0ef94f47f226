//! Randomised exposure: of two sampled answers a coin sends one, the other never leaves.
//!
//! Nothing here may depend on the coin, except which slot's bytes go out: both slots have the
//! same upstream, parameters, patience and filters, both are read to the end whatever the client
//! does, and a pair is kept or left out by functions that don't change when the two are swapped.
//!
//! [`Capture::draw`] says whether a request is exposed, by the request alone ([`skip`]);
//! `begin` writes the first ledger entry ([`writer`]) and only then `serve` asks the
//! upstream, twice ([`slots`]); [`verdict`] says whether the pair is kept; [`keep`] holds what opens
//! the entries later, [`export()`] makes a file of exposures of it. What an audit makes of them is
//! no business of this room.

mod config;
mod draw;
mod epochs;
mod export;
mod forward;
mod keep;
mod marks;
pub mod public;
mod quotes;
mod serve;
mod share;
mod skip;
mod slots;
mod spend;
mod verdict;
mod writer;

pub use config::{ExposureConfig, OnLedgerFailure, RateConfig};
pub use draw::{Draw, Wanted};
pub(crate) use epochs::start;
pub use export::{Exported, LeftOut, export};
pub(crate) use serve::{Call, NotServed, serve};
pub use skip::{PROMPT_BYTES_MAX, Skip};
pub use verdict::{Failure, set_aside_text};

use crate::{Clock, GuardError, observe::Metrics, store::Store};
use jiff::Timestamp;
use keep::Keep;
use marks::Marks;
use quotes::MarkKey;
use serde::Serialize;
use spend::Spend;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stillwatch_evidence::ledger::{Entropy as _, Ledger, OsEntropy};
use tokio::sync::{Semaphore, mpsc, oneshot};
use writer::{ORDERS_MAX, Order, Parts, Shared, Writer};

/// Conversations that are remembered as exposed.
const CONVERSATIONS_MAX: usize = 1 << 19;
/// Questions about the ledger from outside at once.
const READERS_MAX: usize = 8;
/// How long a stop waits for exposures that are under way.
const DRAIN: Duration = Duration::from_secs(20);

/// Folder of the ledger, below that of the state.
pub(crate) fn ledger_dir(data: &Path) -> PathBuf {
    data.join("ledger")
}

/// Folder of what opens the ledger's entries.
fn kept_dir(data: &Path) -> PathBuf {
    data.join("exposures")
}

/// Captures exposures.
#[derive(Debug)]
pub struct Capture {
    config: ExposureConfig,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    key: MarkKey,
    draw_key: [u8; 32],
    n_draws: AtomicU64,
    conversations: Arc<Marks>,
    released: Arc<Marks>,
    spend: Arc<Spend>,
    under_way: Arc<Semaphore>,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Places for questions about the ledger from outside.
    readers: Semaphore,
}

/// The state of the capture, for whoever runs it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureState {
    /// The log's name.
    pub log_id: String,
    /// Entries in the log.
    pub n_leaves: u64,
    /// Exposures begun since the log was made.
    pub n_begun: u64,
    /// Pairs kept since this start.
    pub n_finished: u64,
    /// Pairs set aside since this start.
    pub n_set_aside: u64,
    /// Kept pairs whose texts are the same, since this start.
    pub n_identical: u64,
    /// Begun, never ended, and not under way: they count as adverse.
    pub n_unfinished: u64,
    /// Being exposed now.
    pub n_under_way: usize,
    /// Tokens spent or reserved today, both texts together.
    pub tokens_today: u64,
    /// The cap of a day.
    pub tokens_per_day: u64,
    /// Whether the ledger can be written.
    pub can_write: bool,
    /// The latest signed head; absent before the first.
    pub head: Option<stillwatch_evidence::ledger::SignedHead>,
}

impl Capture {
    /// Opens or creates the ledger in `data/ledger`; `None` where the rate is 0 and there is
    /// none.
    ///
    /// # Errors
    /// The ledger can't be opened or written, or a setting can't be.
    pub async fn open(
        config: &ExposureConfig,
        data: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        store: &Store,
    ) -> Result<Option<Self>, GuardError> {
        config.check()?;
        let has_ledger = ledger_dir(data).join("log.json").exists();
        if !config.is_on() && !has_ledger {
            return Ok(None);
        }
        // Nodes that share what they remember must make the same marks.
        let key = if store.is_shared() {
            Some(store.agreed_key("exposure_marks_key").await?)
        } else {
            None
        };
        let (config, data) = (config.clone(), data.to_path_buf());
        // Reading a large ledger takes a while.
        let opened = tokio::task::spawn_blocking(move || {
            Self::open_blocking(config, &data, has_ledger, clock, metrics, key)
        });
        opened.await.map_err(|_| GuardError::setting("opening the ledger panicked"))?.map(Some)
    }

    fn open_blocking(
        config: ExposureConfig,
        data: &Path,
        has_ledger: bool,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        shared_key: Option<[u8; 32]>,
    ) -> Result<Self, GuardError> {
        let (dir, kept) = (ledger_dir(data), kept_dir(data));
        let now = Timestamp::from_millisecond(clock.now_ms()).unwrap_or_default();
        let ledger = if has_ledger { Ledger::open(&dir)? } else { Ledger::create(&dir, now)? };
        let keep = Keep::open(kept.clone())?;
        let key = match shared_key {
            Some(key) => MarkKey(key),
            None => MarkKey(secret(&kept.join("marks.key"))?),
        };
        let conversations =
            Arc::new(Marks::open(kept.join("conversations.marks"), CONVERSATIONS_MAX)?);
        let released =
            Arc::new(Marks::open(kept.join("released.marks"), config.released_marks_max)?);
        if shared_key.is_some() {
            conversations.share();
            released.share();
        }
        let spend = Arc::new(Spend::open(kept.join("spent"), config.tokens_per_day));
        let shared = Arc::new(Shared::default());
        let mut draw_key = [0; 32];
        OsEntropy.fill(&mut draw_key)?;
        let mut writer = Writer::new(Parts {
            dir,
            ledger,
            keep,
            keep_days: config.keep_days,
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            marks: [Arc::clone(&conversations), Arc::clone(&released)],
            spend: Arc::clone(&spend),
            shared: Arc::clone(&shared),
        });
        writer.recover(&kept)?;
        let (orders, waiting) = mpsc::channel(ORDERS_MAX);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(|source| GuardError::Io { what: "can't start a thread".to_owned(), source })?;
        let under_way = Arc::new(Semaphore::new(config.concurrent_max));
        Ok(Self {
            config,
            clock,
            metrics,
            key,
            draw_key,
            n_draws: AtomicU64::new(0),
            conversations,
            released,
            spend,
            under_way,
            shared,
            orders,
            thread: Mutex::new(Some(thread)),
            readers: Semaphore::new(READERS_MAX),
        })
    }

    /// Looks something up in the ledger; `None` where it can't be read or is too busy.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Ledger) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Read(Box::new(move |ledger| drop(reply.send(look(ledger)))));
        self.orders.try_send(order).ok()?;
        answer.await.ok()
    }

    /// The state, for whoever runs the guard; `None` where the ledger can't be read now.
    pub async fn state(&self) -> Option<CaptureState> {
        let (log_id, n_leaves, n_begun, head) = self
            .read(|ledger| {
                let head = ledger.heads().last().cloned();
                let log_id = ledger.identity().log_id.clone();
                (log_id, ledger.tree_size(), ledger.n_sequences(), head)
            })
            .await?;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let free = self.under_way.available_permits();
        Some(CaptureState {
            log_id,
            n_leaves,
            n_begun,
            n_finished: count(&self.shared.n_finished),
            n_set_aside: count(&self.shared.n_set_aside),
            n_identical: count(&self.shared.n_identical),
            n_unfinished: count(&self.shared.n_unfinished),
            n_under_way: self.config.concurrent_max.saturating_sub(free),
            tokens_today: self.spend.tokens(self.clock.now_ms()),
            tokens_per_day: self.config.tokens_per_day,
            can_write: !self.shared.is_failing.load(Ordering::Relaxed),
            head,
        })
    }

    /// Deletes an account: an entry in the ledger, and the texts kept of it are gone. It isn't
    /// exposed again under this name. `reason` must not name it. Returns of how many exposures
    /// texts were removed.
    ///
    /// # Errors
    /// The ledger can't be written, or kept texts can't be removed: then repeat it.
    pub async fn delete_account(&self, account: &str, reason: &str) -> Result<usize, GuardError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Delete(account.to_owned(), reason.to_owned(), reply);
        let stopped = || GuardError::setting("the ledger's thread has ended");
        self.orders.send(order).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Waits for what is under way, at most for a while, and until everything is on the disk.
    pub async fn close(&self) {
        let all = u32::try_from(self.config.concurrent_max).unwrap_or(u32::MAX);
        // What doesn't end in time is set aside.
        tokio::time::timeout(DRAIN, self.under_way.acquire_many(all)).await.ok();
        let (reply, stopped) = oneshot::channel();
        if self.orders.send(Order::Stop(reply)).await.is_ok() {
            stopped.await.ok();
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has stopped; joining gives back its files.
            tokio::task::spawn_blocking(move || thread.join().is_ok()).await.ok();
        }
    }
}

/// A secret of 32 bytes in a file, made where it is missing.
fn secret(path: &Path) -> Result<[u8; 32], GuardError> {
    let wrong = |source| GuardError::Io { what: format!("can't use {}", path.display()), source };
    if let Ok(bytes) = fs_err::read(path)
        && let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice())
    {
        return Ok(key);
    }
    let mut key = [0; 32];
    OsEntropy.fill(&mut key)?;
    // For its owner only from the first byte on.
    let mut file = keep::private(path).map_err(wrong)?;
    file.set_len(0).and_then(|()| file.write_all(&key)).map_err(wrong)?;
    Ok(key)
}
