//! Kept exchanges, where the configuration asks for them: one file of JSON lines a day, readable
//! by its owner only, for a limited number of days and bytes.
//!
//! Requests hand exchanges to a bounded queue and never wait; what doesn't fit is dropped and
//! counted. One thread writes. An account's exchanges are removed by the same thread, so that
//! nothing is written in between.

use super::Metrics;
use crate::GuardError;
use fs_err::{File, OpenOptions};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use std::{
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};
use stillwatch_evidence::Exchange;
use tokio::sync::oneshot;

/// Exchanges waiting at most, and their texts, bytes.
const QUEUE_MAX: usize = 4_096;
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// What was written is handed to the operating system at least this often.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// The longest line that is read back, bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// How long, and how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) days: u32,
    pub(super) bytes_max: u64,
}

enum Job {
    Keep(Box<Exchange>, usize),
    Forget(String, oneshot::Sender<io::Result<u64>>),
    Flush(oneshot::Sender<()>),
}

/// The store of exchanges.
#[derive(Debug)]
pub(super) struct Exchanges {
    queue: Mutex<Option<mpsc::SyncSender<Job>>>,
    waiting: Arc<AtomicUsize>,
    dropped: Counter,
    depth: Gauge,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Exchanges {
    /// Opens the folder and starts the thread.
    ///
    /// # Errors
    /// The folder can't be made.
    pub(super) fn start(
        dir: &Path,
        keep: Keep,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Result<Self, GuardError> {
        let io = |source| GuardError::Io {
            what: format!("can't keep exchanges in {}", dir.display()),
            source,
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        let (queue, jobs) = mpsc::sync_channel(QUEUE_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut writer = Writer {
            dir: dir.to_path_buf(),
            keep,
            now,
            open: None,
            waiting: Arc::clone(&waiting),
            dropped: metrics.queue_dropped.get("exchanges"),
            depth: metrics.queue_depth.get("exchanges"),
            failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("exchanges".to_owned())
            .spawn(move || writer.work(&jobs))
            .map_err(io)?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            waiting,
            dropped: metrics.queue_dropped.get("exchanges"),
            depth: metrics.queue_depth.get("exchanges"),
            thread: Mutex::new(Some(thread)),
        })
    }

    fn queue(&self) -> Option<mpsc::SyncSender<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes an exchange; never waits.
    pub(super) fn keep(&self, exchange: &Exchange) {
        let bytes = size(exchange);
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= QUEUE_BYTES_MAX;
        let queue = self.queue().filter(|_| fits);
        let job = || Job::Keep(Box::new(exchange.clone()), bytes);
        if queue.is_some_and(|queue| queue.try_send(job()).is_ok()) {
            self.depth.inc();
        } else {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.inc();
        }
    }

    /// Removes all exchanges of an account; how many they were.
    pub(super) async fn forget(&self, account: &str) -> io::Result<u64> {
        let (reply, answer) = oneshot::channel();
        self.ask(Job::Forget(account.to_owned(), reply)).await?;
        answer.await.map_err(|_| gone())?
    }

    /// Waits until everything that was taken before is with the operating system.
    pub(super) async fn flush(&self) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.ask(Job::Flush(reply)).await?;
        answer.await.map_err(|_| gone())
    }

    async fn ask(&self, job: Job) -> io::Result<()> {
        let queue = self.queue().ok_or_else(gone)?;
        // The queue may be full: a thread that can wait sends.
        tokio::task::spawn_blocking(move || queue.send(job).map_err(|_| gone()))
            .await
            .map_err(|_| gone())?
    }

    /// Writes what waits and ends the thread.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that panicked has nothing more to write.
            tokio::task::spawn_blocking(move || thread.join().ok()).await.ok();
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the guard is closing")
}

/// About what an exchange takes in memory.
fn size(exchange: &Exchange) -> usize {
    let messages = exchange.messages.iter().map(|m| m.role.len() + m.content.len() + 64);
    1_024 + exchange.response.text.len() + messages.sum::<usize>()
}

struct Writer {
    dir: PathBuf,
    keep: Keep,
    /// When the last exchange was.
    now: Timestamp,
    open: Option<(Date, BufWriter<File>)>,
    waiting: Arc<AtomicUsize>,
    dropped: Counter,
    depth: Gauge,
    failing: bool,
}

impl Writer {
    fn work(&mut self, jobs: &mpsc::Receiver<Job>) {
        self.clear_up();
        loop {
            match jobs.recv_timeout(FLUSH_EVERY) {
                Ok(Job::Keep(exchange, bytes)) => {
                    let written = self.write(&exchange);
                    self.waiting.fetch_sub(bytes, Ordering::Relaxed);
                    self.depth.dec();
                    self.note(&written);
                }
                // Whoever asked may have gone.
                Ok(Job::Forget(account, reply)) => {
                    reply.send(self.forget(&account)).ok();
                }
                Ok(Job::Flush(reply)) => {
                    let flushed = self.flush();
                    self.note(&flushed);
                    reply.send(()).ok();
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let flushed = self.flush();
                    self.note(&flushed);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let flushed = self.flush();
                    self.note(&flushed);
                    return;
                }
            }
        }
    }

    /// A full disk is told once, until it is over.
    fn note(&mut self, outcome: &io::Result<()>) {
        if let Err(error) = outcome {
            self.dropped.inc();
            if !self.failing {
                tracing::warn!(%error, "exchanges can't be kept now and are dropped");
            }
            self.open = None;
        }
        self.failing = outcome.is_err();
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |(_, file)| file.flush())
    }

    fn write(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.now = exchange.time.unwrap_or(self.now);
        let day = self.now.to_zoned_datetime(TimeZone::UTC).date();
        if self.open.as_ref().is_none_or(|(open, _)| *open != day) {
            self.flush()?;
            self.clear_up();
            self.open = Some((day, BufWriter::new(open_for_append(&self.path(day))?)));
        }
        if let Some((_, file)) = &mut self.open {
            serde_json::to_writer(&mut *file, exchange)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    fn path(&self, day: Date) -> PathBuf {
        self.dir.join(format!("{day}.jsonl"))
    }

    /// Files by day, oldest first; others are none of ours.
    fn files(&self) -> io::Result<Vec<(Date, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs_err::read_dir(&self.dir)? {
            let path = entry?.path();
            let stem = path.file_name().and_then(|name| name.to_str());
            let stem = stem.and_then(|name| name.strip_suffix(".jsonl"));
            if let Some(day) = stem.and_then(|stem| stem.parse().ok()) {
                files.push((day, path));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Removes what is too old, and the oldest days while all together are too large.
    fn clear_up(&self) {
        let today = self.now.to_zoned_datetime(TimeZone::UTC).date();
        let Ok(files) = self.files() else { return };
        let sizes = files.iter().map(|(_, path)| fs_err::metadata(path).map_or(0, |m| m.len()));
        let sizes: Vec<u64> = sizes.collect();
        let mut total: u64 = sizes.iter().sum();
        for ((day, path), bytes) in files.iter().zip(sizes) {
            let age = today.since(*day).map_or(0, |age| age.get_days());
            let is_old = i64::from(age) >= i64::from(self.keep.days);
            if *day < today && (is_old || total > self.keep.bytes_max) {
                // What can't be removed now is tried again tomorrow.
                fs_err::remove_file(path).ok();
                total = total.saturating_sub(bytes);
            }
        }
    }

    fn forget(&mut self, account: &str) -> io::Result<u64> {
        self.flush()?;
        self.open = None;
        let mut removed = 0;
        for (_, path) in self.files()? {
            removed += forget_in(&path, account)?;
        }
        Ok(removed)
    }
}

fn for_owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.options_mut().mode(0o600);
    options
}

/// Opens a day's file; a line that a crash cut short is ended, so that it spoils no other.
fn open_for_append(path: &Path) -> io::Result<File> {
    let mut file = for_owner_only().create(true).read(true).append(true).open(path)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// Writes a file anew without the lines of an account, and without those that can't be read:
/// nobody can tell whose they are.
fn forget_in(path: &Path, account: &str) -> io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    let beside = path.with_extension("tmp");
    let file = for_owner_only().create(true).write(true).truncate(true).open(&beside)?;
    let mut writer = BufWriter::new(file);
    let mut removed = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let owner = serde_json::from_slice::<Owner<'_>>(&line);
        match owner {
            Ok(owner) if owner.account.as_deref() != Some(account) => writer.write_all(&line)?,
            _ => removed += 1,
        }
    }
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    if removed == 0 {
        fs_err::remove_file(&beside)?;
        return Ok(0);
    }
    file.sync_all()?;
    fs_err::rename(&beside, path)?;
    Ok(removed)
}

#[derive(serde::Deserialize)]
struct Owner<'a> {
    #[serde(borrow)]
    account: Option<std::borrow::Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(id: usize, day: &str, account: &str) -> Exchange {
        serde_json::from_value(serde_json::json!({
            "id": format!("r{id}"), "time": format!("{day}T12:00:00Z"), "account": account,
            "messages": [{ "role": "user", "content": "hello\nworld" }],
        }))
        .expect("an exchange")
    }

    fn lines(dir: &Path, name: &str) -> Vec<String> {
        let text = fs_err::read_to_string(dir.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn exchanges_are_kept_by_day_and_forgotten_by_account() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let dir = dir.path().join("exchanges");
        let keep = Keep { days: 36_500, bytes_max: u64::MAX };
        let metrics = Metrics::new();
        let exchanges =
            Exchanges::start(&dir, keep, &metrics, Timestamp::now()).expect("it starts");
        for id in 0..10 {
            let account = if id % 2 == 0 { "a\"b" } else { "c" };
            let day = if id < 6 { "2026-01-01" } else { "2026-01-02" };
            exchanges.keep(&exchange(id, day, account));
        }
        exchanges.flush().await.expect("it runs");
        assert_eq!(lines(&dir, "2026-01-01.jsonl").len(), 6);
        let mode = fs_err::metadata(dir.join("2026-01-02.jsonl")).expect("it is there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert_eq!(exchanges.forget("a\"b").await.expect("it runs"), 5);
        assert_eq!(exchanges.forget("nobody").await.expect("it runs"), 0);
        let left = lines(&dir, "2026-01-01.jsonl");
        assert!(left.iter().all(|line| line.contains(r#""account":"c""#)), "{left:?}");
        exchanges.keep(&exchange(11, "2026-01-02", "c"));
        exchanges.close().await;
        assert_eq!(lines(&dir, "2026-01-02.jsonl").len(), 3);
        exchanges.keep(&exchange(12, "2026-01-02", "c"));
        assert_eq!(metrics.queue_dropped.get("exchanges").get(), 1, "after the end");
        let left: Vec<_> = fs_err::read_dir(&dir).expect("a folder").collect();
        assert_eq!(left.len(), 2, "no leftovers");
    }

    #[tokio::test]
    async fn old_days_go_and_a_torn_line_spoils_no_other() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let dir = dir.path();
        let today = Timestamp::now().to_zoned_datetime(TimeZone::UTC).date();
        let day = |ago: i32| today.checked_sub(jiff::Span::new().days(ago)).expect("a date");
        for ago in [0, 6, 7, 400] {
            fs_err::write(dir.join(format!("{}.jsonl", day(ago))), "{\"torn").expect("writable");
        }
        fs_err::write(dir.join("note.txt"), "mine").expect("writable");
        let keep = Keep { days: 7, bytes_max: u64::MAX };
        let exchanges =
            Exchanges::start(dir, keep, &Metrics::new(), Timestamp::now()).expect("it starts");
        exchanges.keep(&exchange(1, &today.to_string(), "a"));
        exchanges.close().await;
        assert_eq!(lines(dir, &format!("{today}.jsonl")).len(), 2);
        assert!(dir.join("note.txt").exists() && dir.join(format!("{}.jsonl", day(6))).exists());
        assert!(!dir.join(format!("{}.jsonl", day(7))).exists());
        let keep = Keep { days: 7, bytes_max: 0 };
        Exchanges::start(dir, keep, &Metrics::new(), Timestamp::now())
            .expect("it starts")
            .close()
            .await;
        assert!(!dir.join(format!("{}.jsonl", day(6))).exists(), "too large together");
        assert!(dir.join(format!("{today}.jsonl")).exists(), "today's is never removed");
    }
}
