//! The detector's thread: owns the state of detection, waits for nothing but its own queue.

use super::keeper::Keep;
use super::seen::Seen;
use crate::Clock;
use arc_swap::ArcSwap;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use stillwatch_traffic::{AccountSketch, Analysis, Evicted, Live};
use tokio::sync::{mpsc, oneshot};

/// An analysis rests this many times as long as it took, so that it never takes the whole thread.
const REST_FACTOR: u32 = 10;
/// Sketches that go to the store at once.
const BATCH: usize = 256;

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Command {
    /// Take an exchange in.
    Observe(Box<Seen>),
    /// The store's sketch of an account.
    Stored {
        /// The account.
        account: String,
        /// Its sketch; `None` where the store has none.
        bytes: Option<Vec<u8>>,
        /// The number of the question, where it was asked for because the account appeared.
        asked: Option<u64>,
    },
    /// Forget an account.
    Forget(String),
    /// Analyse now, and say when it is done.
    Analyse(oneshot::Sender<()>),
    /// Keep everything and end.
    Close,
}

/// What the thread owns.
pub(super) struct Worker {
    pub(super) live: Live,
    pub(super) keep: mpsc::Sender<Keep>,
    pub(super) latest: Arc<ArcSwap<Analysis>>,
    pub(super) queued_bytes: Arc<AtomicUsize>,
    pub(super) depth: Gauge,
    pub(super) unkept: Counter,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) analyse_every: Duration,
    pub(super) keep_every: Duration,
    /// Accounts whose stored sketch, if there is one, isn't merged in yet, with the question
    /// whose answer will be. Answers to earlier ones don't know what was kept since.
    pub(super) unmerged: BTreeMap<String, u64>,
    /// Questions asked of the store.
    pub(super) n_asked: u64,
    /// Whether an account left memory: what is read at the start may not know what it took along.
    pub(super) has_evicted: bool,
    /// Accounts that changed since they were last kept.
    pub(super) changed: BTreeSet<String>,
}

impl Worker {
    /// Works until it is told to close.
    pub(super) fn run(mut self, commands: Receiver<Command>) {
        let mut next_analysis = Instant::now() + self.analyse_every;
        let mut next_keeping = Instant::now() + self.keep_every;
        loop {
            let now = Instant::now();
            if now >= next_analysis {
                self.analyse();
                next_analysis =
                    Instant::now() + self.analyse_every.max(now.elapsed() * REST_FACTOR);
            }
            if now >= next_keeping {
                self.keep_changed();
                next_keeping = Instant::now() + self.keep_every;
            }
            let patience = next_analysis.min(next_keeping).saturating_duration_since(now);
            match commands.recv_timeout(patience) {
                Ok(Command::Observe(seen)) => self.observe(&seen),
                Ok(Command::Stored { account, bytes, asked }) => {
                    self.stored(&account, bytes.as_deref(), asked);
                }
                Ok(Command::Forget(account)) => {
                    self.live.forget(&account);
                    self.changed.remove(&account);
                    self.unmerged.remove(&account);
                }
                Ok(Command::Analyse(done)) => {
                    self.analyse();
                    done.send(()).ok();
                }
                Ok(Command::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        // The keeper must not wait for a queue that nobody reads.
        drop(commands);
        self.keep_all();
    }

    fn observe(&mut self, seen: &Seen) {
        self.depth.dec();
        self.queued_bytes.fetch_sub(seen.bytes(), Ordering::Relaxed);
        if !self.live.knows(&seen.account) {
            self.ask(&seen.account);
        }
        if !self.changed.contains(&seen.account) {
            self.changed.insert(seen.account.clone());
        }
        if let Some(evicted) = self.live.observe(&seen.observation()) {
            self.evict(evicted);
        }
    }

    /// Asks the store what it has of an account; where the keeper is behind, another time.
    fn ask(&mut self, account: &str) {
        self.n_asked += 1;
        self.unmerged.insert(account.to_owned(), self.n_asked);
        self.keep.try_send(Keep::Load(account.to_owned(), self.n_asked)).ok();
    }

    fn stored(&mut self, account: &str, bytes: Option<&[u8]>, asked: Option<u64>) {
        let is_wanted = match asked {
            // An account that left memory before its sketch came is merged in the store.
            Some(_) => self.unmerged.get(account).copied() == asked,
            None => !self.has_evicted && !self.live.knows(account),
        };
        if is_wanted {
            self.unmerged.remove(account);
        }
        let Some(bytes) = bytes.filter(|_| is_wanted) else { return };
        match self.live.admit(account, bytes) {
            Ok(Some(evicted)) => self.evict(evicted),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a stored sketch can't be read and is replaced"),
        }
    }

    /// An account leaves memory for the store.
    fn evict(&mut self, evicted: Evicted) {
        let Evicted { account, bytes } = evicted;
        self.has_evicted = true;
        let is_unmerged = self.unmerged.remove(&account).is_some();
        if self.changed.remove(&account) {
            self.put(vec![(account, bytes, is_unmerged)]);
        }
    }

    /// Hands sketches to the keeper; where it is behind, they are lost and counted.
    fn put(&self, sketches: Vec<(String, Vec<u8>, bool)>) {
        let n = sketches.len() as u64;
        let at_ms = self.clock.now_ms();
        if self.keep.try_send(Keep::Put { sketches, at_ms }).is_err() {
            self.unkept.inc_by(n);
        }
    }

    /// Keeps what changed, as far as the keeper keeps up. Accounts that still miss what the store
    /// has of them are asked for again and kept another time: merged in the store while they stay
    /// in memory, they would be counted twice.
    fn keep_changed(&mut self) {
        let (waiting, changed): (BTreeSet<_>, BTreeSet<_>) = std::mem::take(&mut self.changed)
            .into_iter()
            .partition(|account| self.unmerged.contains_key(account));
        self.changed = changed;
        for account in &waiting {
            self.ask(account);
        }
        while !self.changed.is_empty() {
            let Ok(permit) = self.keep.clone().try_reserve_owned() else { break };
            let batch = self.batch();
            permit.send(Keep::Put { sketches: batch, at_ms: self.clock.now_ms() });
        }
        self.changed.extend(waiting);
    }

    /// Keeps what changed, waiting for the keeper; for the end.
    fn keep_all(&mut self) {
        while !self.changed.is_empty() {
            let sketches = self.batch();
            let at_ms = self.clock.now_ms();
            if self.keep.blocking_send(Keep::Put { sketches, at_ms }).is_err() {
                return;
            }
        }
    }

    fn batch(&mut self) -> Vec<(String, Vec<u8>, bool)> {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(account) = self.changed.pop_first()
        {
            if let Some(bytes) = self.live.sketch(&account).map(AccountSketch::to_bytes) {
                let merge = self.unmerged.contains_key(&account);
                batch.push((account, bytes, merge));
            }
        }
        batch
    }

    fn analyse(&mut self) {
        let analysis = self.live.analyse(self.clock.now_ms());
        self.latest.store(Arc::new(analysis));
    }
}
