//! The thread that writes the ledger: many entries, one sync.
//!
//! Whatever waits when a write begins goes into it together, first entries with first entries,
//! second ones with second ones. What opens an entry is on the disk before the entry; a request's
//! answer is asked for only after its first entry is. A second entry that can't be written now is
//! tried again, and after a restart, from what was kept.

use super::keep::{Keep, Kept, KeptRequest, Line};
use super::marks::Marks;
use super::skip::Skip;
use super::spend::Spend;
use super::verdict::{Failure, set_aside_text};
use crate::{Clock, GuardError, observe::Metrics};
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stillwatch_evidence::ledger::{Ledger, LedgerError, Opening, OsEntropy, Receipt, SignedHead};
use tokio::sync::{mpsc, oneshot};

/// Orders that wait at most.
pub(super) const ORDERS_MAX: usize = 1_024;
/// Entries written with one sync at most.
const GROUP_MAX: usize = 256;
/// Ended exposures that wait for a ledger that can't be written.
const RETRY_MAX: usize = 1_024;
/// Between two attempts to write a ledger that couldn't be written.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Pairs after which the share of identical twins says something.
const IDENTICAL_MIN: u64 = 20;

/// What the ledger gave for a request.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) opening: Opening,
    pub(super) receipt: Receipt,
}

/// How an exposure ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) opening: Opening,
    /// In slot order.
    pub(super) texts: [String; 2],
    pub(super) failure: Option<Failure>,
    /// Whether the texts are kept already.
    pub(super) is_kept: bool,
}

/// A request, and who waits for its first entry.
type Begin = (Box<KeptRequest>, oneshot::Sender<Result<Begun, Skip>>);

/// What is asked of the thread.
pub(super) enum Order {
    Begin(Box<KeptRequest>, oneshot::Sender<Result<Begun, Skip>>),
    End(Box<End>),
    /// Signs a head, where there is something new. With the latest heads of other logs.
    CloseEpoch(Vec<(String, SignedHead)>, oneshot::Sender<Result<Option<SignedHead>, LedgerError>>),
    /// Deletes an account.
    Delete(String, String, oneshot::Sender<Result<usize, GuardError>>),
    /// Looks something up.
    Read(Box<dyn FnOnce(&Ledger) + Send>),
    /// Tries again what couldn't be written, writes marks, lets old texts go.
    Tick,
    /// Ends the thread; what is still open is set aside.
    Stop(oneshot::Sender<()>),
}

/// What others may know of the thread's state.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The ledger couldn't be written.
    pub(super) is_failing: AtomicBool,
    /// Exposures that an earlier run began and that can't be finished any more.
    pub(super) n_unfinished: AtomicU64,
    pub(super) n_finished: AtomicU64,
    pub(super) n_set_aside: AtomicU64,
    pub(super) n_identical: AtomicU64,
}

/// The thread's own.
pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) ledger: Option<Ledger>,
    pub(super) keep: Keep,
    pub(super) keep_days: Option<u32>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) marks: [Arc<Marks>; 2],
    pub(super) spend: Arc<Spend>,
    pub(super) shared: Arc<Shared>,
    /// Begun and not ended, with their accounts.
    open: BTreeMap<String, (Opening, Option<String>)>,
    retry: VecDeque<End>,
    last_try: Option<Instant>,
    last_expiry_ms: i64,
}

/// What a writer is made of.
pub(super) struct Parts {
    pub(super) dir: PathBuf,
    pub(super) ledger: Ledger,
    pub(super) keep: Keep,
    pub(super) keep_days: Option<u32>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) marks: [Arc<Marks>; 2],
    pub(super) spend: Arc<Spend>,
    pub(super) shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { dir, ledger, keep, keep_days, clock, metrics, marks, spend, shared } = parts;
        Self {
            dir,
            ledger: Some(ledger),
            keep,
            keep_days,
            clock,
            metrics,
            marks,
            spend,
            shared,
            open: BTreeMap::new(),
            retry: VecDeque::new(),
            last_try: None,
            last_expiry_ms: i64::MIN,
        }
    }

    /// Finishes what an earlier run kept both texts of, counts what it can't finish.
    ///
    /// # Errors
    /// The kept lines can't be read.
    pub(super) fn recover(&mut self, kept_dir: &std::path::Path) -> Result<(), GuardError> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let mut openings = BTreeMap::new();
        let mut ends = Vec::new();
        let is_open = |id: &str| ledger.position(id).is_some_and(|at| at.outcome.is_none());
        let kept = Kept::open(kept_dir).and_then(|kept| {
            kept.each(&mut |line, _| match line {
                Line::Begun { request, opening } if is_open(&request.id) => {
                    openings.insert(request.id, opening);
                }
                Line::Ended { id, texts, set_aside, .. } => {
                    if let Some(opening) = openings.remove(&id) {
                        let failure = set_aside.map(|name| Failure::named(&name));
                        ends.push(End { opening, texts, failure, is_kept: true });
                    }
                }
                Line::Begun { .. } => {}
            })
        });
        let unread =
            |source| GuardError::Io { what: "can't read kept exposures".to_owned(), source };
        kept.map_err(unread)?;
        self.end_all(ends);
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let all = (0..ledger.n_sequences()).filter_map(|n| ledger.position_of_sequence(n));
        let n_unfinished = all.filter(|at| at.outcome.is_none()).count() as u64;
        self.shared.n_unfinished.store(n_unfinished, Ordering::Relaxed);
        if n_unfinished > 0 {
            tracing::warn!(
                n_unfinished,
                "exposures were cut short by an earlier end of the process; they count as adverse"
            );
        }
        Ok(())
    }

    /// Works until it is told to stop or nobody is left to tell it.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(first) = orders.blocking_recv() {
            let (mut begins, mut ends) = (Vec::new(), Vec::new());
            let mut next = Some(first);
            let mut n_taken = 0;
            while let Some(order) = next.take() {
                n_taken += 1;
                match order {
                    Order::Begin(request, reply) => begins.push((request, reply)),
                    Order::End(end) => ends.push(*end),
                    other => {
                        self.write(&mut begins, &mut ends);
                        if let Some(stopped) = self.other(other) {
                            stopped.send(()).ok();
                            return;
                        }
                    }
                }
                next = (n_taken < GROUP_MAX).then(|| orders.try_recv().ok()).flatten();
            }
            self.write(&mut begins, &mut ends);
            let depth = i64::try_from(orders.len()).unwrap_or(i64::MAX);
            self.metrics.queue_depth.get("ledger").set(depth);
        }
        self.stop();
    }

    fn write(&mut self, begins: &mut Vec<Begin>, ends: &mut Vec<End>) {
        let unasked = self.begin_all(std::mem::take(begins));
        ends.extend(unasked);
        self.end_all(std::mem::take(ends));
    }

    fn other(&mut self, order: Order) -> Option<oneshot::Sender<()>> {
        match order {
            Order::Begin(..) | Order::End(_) => {}
            Order::CloseEpoch(anchors, reply) => {
                reply.send(self.close_epoch(&anchors)).ok();
            }
            Order::Delete(account, reason, reply) => {
                reply.send(self.delete(&account, &reason)).ok();
            }
            Order::Read(read) => {
                if let Some(ledger) = self.usable() {
                    read(ledger);
                }
            }
            Order::Tick => self.tick(),
            Order::Stop(stopped) => {
                self.stop();
                return Some(stopped);
            }
        }
        None
    }

    /// The ledger, opened again where an earlier write left it in an unknown state.
    fn usable(&mut self) -> Option<&mut Ledger> {
        if self.ledger.is_none() && self.last_try.is_none_or(|at| at.elapsed() >= RETRY_AFTER) {
            self.last_try = Some(Instant::now());
            match Ledger::open_with(&self.dir, Box::new(OsEntropy)) {
                Ok(ledger) => self.ledger = Some(ledger),
                Err(error) => self.failed(&error),
            }
        }
        self.ledger.as_mut()
    }

    fn failed(&mut self, error: &LedgerError) {
        if matches!(error, LedgerError::Poisoned { .. } | LedgerError::Io { .. }) {
            self.ledger = None;
        }
        if !self.shared.is_failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the ledger can't be written: requests aren't exposed");
        }
        let why = format!("the ledger can't be written, nothing is exposed: {error}");
        self.metrics.health.degrade("ledger", why);
    }

    fn succeeded(&self) {
        if self.shared.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the ledger can be written again");
            self.metrics.health.restore("ledger");
        }
    }

    /// Writes first entries. Returns the ends of those that nobody waits for any more.
    fn begin_all(&mut self, begins: Vec<Begin>) -> Vec<End> {
        let mut unasked = Vec::new();
        if begins.is_empty() {
            return unasked;
        }
        let (now_ms, started) = (self.clock.now_ms(), Instant::now());
        let Some(ledger) = self.usable() else {
            for (_, reply) in begins {
                reply.send(Err(Skip::Ledger)).ok();
            }
            return unasked;
        };
        let is_deleted = |request: &KeptRequest| {
            let tag = request.account.as_deref().map(|account| ledger.account_tag(account));
            tag.is_some_and(|tag| ledger.deleted_at(&tag).is_some())
        };
        let (deleted, begins): (Vec<_>, Vec<_>) =
            begins.into_iter().partition(|(request, _)| is_deleted(request));
        for (_, reply) in deleted {
            reply.send(Err(Skip::DeletedAccount)).ok();
        }
        if begins.is_empty() {
            return unasked;
        }
        let requests: Vec<_> = begins.iter().map(|(request, _)| request.as_request()).collect();
        let Some(ledger) = self.ledger.as_mut() else { return unasked };
        let keep = &mut self.keep;
        let written = ledger.commit_exposures_keeping(&requests, &mut |openings| {
            let lines: Vec<Line> = begins
                .iter()
                .zip(openings)
                .map(|((request, _), opening)| Line::Begun {
                    request: (**request).clone(),
                    opening: opening.clone(),
                })
                .collect();
            keep.append(&lines, now_ms).map_err(kept_error)
        });
        self.metrics.ledger_fsync.observe(started.elapsed());
        match written {
            Ok(all) => {
                self.succeeded();
                for ((request, reply), (opening, receipt)) in begins.into_iter().zip(all) {
                    self.metrics.exposures_begun.inc();
                    self.open.insert(request.id, (opening.clone(), request.account));
                    let begun = Begun { opening, receipt };
                    if let Err(Ok(Begun { opening, .. })) = reply.send(Ok(begun)) {
                        let (texts, failure) = (<[String; 2]>::default(), Some(Failure::Stopped));
                        unasked.push(End { opening, texts, failure, is_kept: false });
                    }
                }
            }
            Err(error) => {
                self.failed(&error);
                for (_, reply) in begins {
                    reply.send(Err(Skip::Ledger)).ok();
                }
            }
        }
        unasked
    }

    /// Writes second entries; what can't be written is tried again later.
    fn end_all(&mut self, ends: Vec<End>) {
        let mut ends = ends;
        // Of a deleted account nothing more is kept; the deletion's entry covers the exposure.
        ends.retain(|end| end.is_kept || self.open.contains_key(&end.opening.id));
        if ends.is_empty() {
            return;
        }
        let (now_ms, started) = (self.clock.now_ms(), Instant::now());
        let committed: Vec<[String; 2]> = ends.iter().map(End::committed).collect();
        let lines: Vec<Line> = ends
            .iter()
            .zip(&committed)
            .filter(|(end, _)| !end.is_kept)
            .map(|(end, [stands, _])| Line::Ended {
                id: end.opening.id.clone(),
                texts: end.texts.clone(),
                set_aside: end.failure.map(|failure| failure.name().to_owned()),
                stands_for_both: end.failure.map(|_| stands.clone()),
            })
            .collect();
        if let Err(error) = self.keep.append(&lines, now_ms) {
            self.failed(&kept_error(error));
            self.try_later(ends);
            return;
        }
        for end in &mut ends {
            end.is_kept = true;
        }
        let texts: Vec<[&str; 2]> =
            committed.iter().map(|[a, b]| [a.as_str(), b.as_str()]).collect();
        let outcomes: Vec<(&Opening, &[&str])> =
            ends.iter().zip(&texts).map(|(end, texts)| (&end.opening, texts.as_slice())).collect();
        let Some(ledger) = self.usable() else {
            self.try_later(ends);
            return;
        };
        let written = ledger.record_outcomes(&outcomes);
        self.metrics.ledger_fsync.observe(started.elapsed());
        match written {
            Ok(_) => {
                self.succeeded();
                for end in &ends {
                    self.count(end);
                }
            }
            Err(LedgerError::Refused { .. }) if ends.len() > 1 => {
                // One that doesn't belong there must not keep the others out.
                for end in ends {
                    self.end_all(vec![end]);
                }
            }
            Err(error @ LedgerError::Refused { .. }) => {
                tracing::error!(%error, "an exposure can't be finished");
                for end in &ends {
                    self.open.remove(&end.opening.id);
                }
            }
            Err(error) => {
                self.failed(&error);
                self.try_later(ends);
            }
        }
    }

    fn try_later(&mut self, ends: Vec<End>) {
        self.retry.extend(ends);
        while self.retry.len() > RETRY_MAX {
            // It stays unfinished, which counts against its owner.
            if let Some(end) = self.retry.pop_front() {
                self.open.remove(&end.opening.id);
                self.shared.n_unfinished.fetch_add(1, Ordering::Relaxed);
                self.metrics.exposures_dropped.get("unfinished").inc();
            }
        }
    }

    fn count(&mut self, end: &End) {
        self.open.remove(&end.opening.id);
        self.metrics.exposures_finished.inc();
        let shared = &self.shared;
        if let Some(failure) = end.failure {
            self.metrics.exposures_dropped.get(failure.name()).inc();
            shared.n_set_aside.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let n_finished = shared.n_finished.fetch_add(1, Ordering::Relaxed) + 1;
        let mut n_identical = shared.n_identical.load(Ordering::Relaxed);
        if end.texts[0] == end.texts[1] {
            self.metrics.exposures_identical.inc();
            n_identical = shared.n_identical.fetch_add(1, Ordering::Relaxed) + 1;
        }
        if n_finished >= IDENTICAL_MIN && 2 * n_identical > n_finished {
            let why = format!(
                "{n_identical} of {n_finished} pairs of texts are identical: the upstream seems to \
                 answer greedily or from a cache; name its models in exposure.greedy_models"
            );
            self.metrics.health.degrade("exposure", why);
        } else {
            self.metrics.health.restore("exposure");
        }
    }

    fn close_epoch(
        &mut self,
        anchors: &[(String, SignedHead)],
    ) -> Result<Option<SignedHead>, LedgerError> {
        let now = Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or_default();
        let Some(ledger) = self.usable() else { return Ok(None) };
        let result = close_epoch(ledger, anchors, now);
        if let Err(error) = &result {
            self.failed(error);
        }
        result
    }

    fn delete(&mut self, account: &str, reason: &str) -> Result<usize, GuardError> {
        let Some(ledger) = self.usable() else {
            return Err(GuardError::setting("the ledger can't be written now; try again later"));
        };
        ledger.record_deletion(account, reason)?;
        self.open.retain(|_, (_, whose)| whose.as_deref() != Some(account));
        let open = &self.open;
        self.retry.retain(|end| open.contains_key(&end.opening.id));
        self.keep.forget(account).map_err(|source| GuardError::Io {
            what: "can't remove the texts of the account".to_owned(),
            source,
        })
    }

    fn tick(&mut self) {
        if self.last_try.is_none_or(|at| at.elapsed() >= RETRY_AFTER) && !self.retry.is_empty() {
            self.last_try = None;
            let again: Vec<End> = self.retry.drain(..).collect();
            self.end_all(again);
            self.last_try = Some(Instant::now());
        }
        self.flush_marks();
        let now_ms = self.clock.now_ms();
        if let Some(days) = self.keep_days
            && now_ms.saturating_sub(self.last_expiry_ms) >= 3_600_000
        {
            self.last_expiry_ms = now_ms;
            if let Err(error) = self.keep.expire(days, now_ms) {
                tracing::warn!(%error, "old exposures can't be removed");
            }
        }
    }

    fn flush_marks(&self) {
        let flushed = self.marks.iter().map(|marks| marks.flush()).chain([self.spend.flush()]);
        for error in flushed.filter_map(Result::err) {
            tracing::warn!(%error, "marks of exposures can't be written; they are tried again");
        }
    }

    /// Sets aside what hasn't ended, signs a last head.
    fn stop(&mut self) {
        let waiting: Vec<End> = self.retry.drain(..).collect();
        self.end_all(waiting);
        let open = self.open.values().map(|(opening, _)| End {
            opening: opening.clone(),
            texts: <[String; 2]>::default(),
            failure: Some(Failure::Stopped),
            is_kept: false,
        });
        let open: Vec<End> = open.collect();
        self.end_all(open);
        if let Err(error) = self.close_epoch(&[]) {
            tracing::warn!(%error, "the last head can't be signed");
        }
        self.flush_marks();
    }
}

impl End {
    /// What the second entry commits to.
    fn committed(&self) -> [String; 2] {
        let stands =
            self.failure.map(|failure| set_aside_text(failure, &self.opening, &self.texts));
        match stands {
            Some(Ok(text)) => [text.clone(), text],
            // Without salts the ledger refuses it anyway.
            Some(Err(_)) | None => self.texts.clone(),
        }
    }
}

fn close_epoch(
    ledger: &mut Ledger,
    anchors: &[(String, SignedHead)],
    now: Timestamp,
) -> Result<Option<SignedHead>, LedgerError> {
    let last = ledger.heads().last().map(|signed| (signed.head.tree_size, signed.head.time));
    if last.is_some_and(|(size, _)| size == ledger.tree_size()) && anchors.is_empty() {
        return Ok(None);
    }
    let anchors: Vec<(&str, &SignedHead)> =
        anchors.iter().map(|(whose, head)| (whose.as_str(), head)).collect();
    ledger.record_heads(&anchors)?;
    // A clock that jumped back must not stop the epochs.
    ledger.close_epoch(last.map_or(now, |(_, time)| time.max(now))).map(Some)
}

/// An error of the kept lines as one of the ledger: they stand and fall together.
fn kept_error(source: std::io::Error) -> LedgerError {
    let path = PathBuf::from("kept exposures");
    match source.kind() {
        std::io::ErrorKind::StorageFull
        | std::io::ErrorKind::QuotaExceeded
        | std::io::ErrorKind::FileTooLarge => LedgerError::DiskFull { path, source },
        _ => LedgerError::Io { path, source },
    }
}
