//! Load: so many connections, as fast as they go or at a given rate, and what came back.

use super::wire::{Connection, Reply};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// What is asked, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Whom.
    pub(crate) address: SocketAddr,
    /// Connections, one thread each.
    pub(crate) connections: u32,
    /// Requests per second over all connections; absent: the next one when the last has ended.
    pub(crate) rate: Option<f64>,
    /// For how long.
    pub(crate) time: Duration,
    /// Requests at most.
    pub(crate) count_max: u64,
}

/// What came back. Times in nanoseconds, sorted.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Time to the last byte, of answers with status 200.
    pub(crate) whole: Vec<u64>,
    /// Time to the first byte of the body, of the same answers.
    pub(crate) first: Vec<u64>,
    /// Requests sent.
    pub(crate) sent: u64,
    /// Answers with another status, or none; the first few in words.
    pub(crate) failed: u64,
    /// The first few of them, in words.
    pub(crate) problems: Vec<String>,
    /// Seconds from the first request to the last answer.
    pub(crate) seconds: f64,
}

/// Problems that are kept in words.
const PROBLEMS_MAX: usize = 5;

impl Outcome {
    /// Answers per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.whole.len() as f64 / self.seconds.max(1e-9)
    }

    fn add(&mut self, other: Self) {
        self.whole.extend(other.whole);
        self.first.extend(other.first);
        self.sent += other.sent;
        self.failed += other.failed;
        self.problems.extend(other.problems);
        self.problems.truncate(PROBLEMS_MAX);
    }
}

/// The value below which a share `q` of the sorted values lies, in microseconds.
pub(crate) fn quantile_us(sorted_ns: &[u64], q: f64) -> f64 {
    let last = sorted_ns.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of the slice"
    )]
    let at = (q * last as f64).round() as usize;
    sorted_ns.get(at).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
}

/// Runs it; `request` makes the bytes of the request with this number, from 0, dense.
pub(crate) fn run(load: &Load, request: impl Fn(u64) -> Vec<u8> + Sync) -> Outcome {
    run_checked(load, request, |_, _| Ok(()))
}

/// [`run`], with a look at every answer of status 200: what it says is wrong counts as failed.
pub(crate) fn run_checked(
    load: &Load,
    request: impl Fn(u64) -> Vec<u8> + Sync,
    check: impl Fn(u64, &Reply) -> Result<(), String> + Sync,
) -> Outcome {
    let next = AtomicU64::new(0);
    let since = Instant::now();
    let mut all = Outcome::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..load.connections)
            .map(|thread| {
                let (next, request, check) = (&next, &request, &check);
                scope.spawn(move || one(load, thread, since, next, request, check))
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(outcome) => all.add(outcome),
                Err(_) => all.problems.push("a thread of the load generator died".to_owned()),
            }
        }
    });
    all.seconds = since.elapsed().as_secs_f64();
    all.whole.sort_unstable();
    all.first.sort_unstable();
    all
}

/// One connection's share.
fn one(
    load: &Load,
    thread: u32,
    since: Instant,
    next: &AtomicU64,
    request: &(impl Fn(u64) -> Vec<u8> + Sync),
    check: &(impl Fn(u64, &Reply) -> Result<(), String> + Sync),
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection = None;
    let pause = load.rate.map(|rate| f64::from(load.connections) / rate);
    let mut turn = 0.0;
    loop {
        if let Some(pause) = pause {
            // Connections take turns, so that the whole is evenly spread.
            let share = f64::from(thread) / f64::from(load.connections);
            let due = Duration::from_secs_f64((turn + share) * pause);
            std::thread::sleep(due.saturating_sub(since.elapsed()));
            turn += 1.0;
        }
        if since.elapsed() >= load.time {
            return outcome;
        }
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= load.count_max {
            return outcome;
        }
        let bytes = request(number);
        outcome.sent += 1;
        if connection.is_none() {
            connection = Connection::open(load.address).ok();
        }
        let asked = match &mut connection {
            Some(open) => open.ask(&bytes),
            None => Err(anyhow::anyhow!("no connection to {}", load.address)),
        };
        let problem = match asked {
            Ok(reply) if reply.status == 200 => match check(number, &reply) {
                Ok(()) => {
                    outcome.whole.push(nanos(reply.whole));
                    outcome.first.push(nanos(reply.first));
                    continue;
                }
                Err(problem) => format!("request {number}: {problem}"),
            },
            Ok(reply) => {
                let body = String::from_utf8_lossy(&reply.body);
                format!("request {number}: {} {body}", reply.status)
            }
            Err(error) => {
                connection = None;
                format!("request {number}: {error:#}")
            }
        };
        outcome.failed += 1;
        if outcome.problems.len() < PROBLEMS_MAX {
            outcome.problems.push(problem);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
