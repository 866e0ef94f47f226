//! The detector's thread: owns the state of detection, waits for nothing but its own queue.

use super::keeper::Keep;
use super::seen::Seen;
use crate::Clock;
use arc_swap::ArcSwap;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use std::collections::BTreeSet;
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
        /// Whether it was asked for, because the account appeared.
        is_asked: bool,
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
    /// Accounts whose stored sketch, if there is one, isn't merged in yet.
    pub(super) unmerged: BTreeSet<String>,
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
                Ok(Command::Stored { account, bytes, is_asked }) => {
                    self.stored(&account, bytes.as_deref(), is_asked);
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
            self.unmerged.insert(seen.account.clone());
            self.keep.try_send(Keep::Load(seen.account.clone())).ok();
        }
        if !self.changed.contains(&seen.account) {
            self.changed.insert(seen.account.clone());
        }
        if let Some(evicted) = self.live.observe(&seen.observation()) {
            self.evict(evicted);
        }
    }

    fn stored(&mut self, account: &str, bytes: Option<&[u8]>, is_asked: bool) {
        // An account that left memory before its sketch came is merged in the store.
        let is_unmerged = self.unmerged.remove(account);
        let is_wanted = is_unmerged || !is_asked && !self.live.knows(account);
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
        let is_unmerged = self.unmerged.remove(&account);
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

    /// Keeps what changed, as far as the keeper keeps up.
    fn keep_changed(&mut self) {
        while !self.changed.is_empty() {
            let Ok(permit) = self.keep.clone().try_reserve_owned() else { return };
            let batch = self.batch();
            permit.send(Keep::Put { sketches: batch, at_ms: self.clock.now_ms() });
        }
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
                let merge = self.unmerged.contains(&account);
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
