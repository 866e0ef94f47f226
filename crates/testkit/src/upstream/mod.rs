//! A model server that answers as told: OpenAI and Anthropic shapes, streams, faults.
//!
//! ```no_run
//! # use stillwatch_testkit::upstream::{Behaviour, Fault, MockUpstream};
//! let upstream = MockUpstream::start(Behaviour::new().then(Fault::status(503)));
//! let base = upstream.url(); // http://127.0.0.1:PORT
//! assert_eq!(upstream.counts().begun, 0);
//! ```
//!
//! Text is a function of the seed, the prompt, and how often that prompt was asked: two samples
//! of one prompt differ unless the temperature is 0; a `seed` in the request stands for the count.
//! It holds no model and no opinion: whether a gateway did right is judged by its tests, for which
//! both ends are counted. [`FixedUpstream`] is the cheap one for benchmarks.

mod anthropic;
mod behaviour;
mod body;
mod fixed;
mod openai;
mod responses;
mod sample;
mod serve;
mod tap;

pub use behaviour::{Behaviour, Fault};
pub use fixed::{FixedAnswer, FixedUpstream};

use body::Tallies;
use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Its number in order of arrival, from 0.
    pub number: u64,
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// HTTP version.
    pub version: Version,
    /// Headers as received.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl RecordedRequest {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header as text; empty where it isn't there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// What the upstream counted. `begun = completed + cancelled + faulty + under way`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Requests whose body was received whole.
    pub begun: u64,
    /// Answers handed over to the last byte.
    pub completed: u64,
    /// Requests whose client went before the end of the answer.
    pub cancelled: u64,
    /// Requests that this side broke off, as told.
    pub faulty: u64,
}

impl Counts {
    /// Requests without an end yet.
    pub fn under_way(&self) -> u64 {
        self.begun - self.completed - self.cancelled - self.faulty
    }
}

/// State that connections share.
#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    tallies: Arc<Tallies>,
    recorded: Mutex<Vec<RecordedRequest>>,
    asked: sample::Asked,
    numbers: AtomicU64,
}

/// A mock upstream on its own thread, on a port that the operating system chose. Dropping it
/// stops it and breaks its connections.
#[derive(Debug)]
pub struct MockUpstream {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockUpstream {
    /// Starts it.
    ///
    /// # Panics
    /// No port of the loopback interface is to be had.
    pub fn start(behaviour: Behaviour) -> Self {
        Self::start_at(behaviour, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Starts it at an address: for an upstream that comes back after it was gone.
    ///
    /// # Panics
    /// The address isn't free.
    pub fn start_at(behaviour: Behaviour, addr: SocketAddr) -> Self {
        let listener = fixed::listen(addr, false).expect("an address to listen at");
        let addr = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared {
            behaviour,
            tallies: Arc::default(),
            recorded: Mutex::default(),
            asked: sample::Asked::default(),
            numbers: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("mock-upstream".to_owned())
            .spawn(move || serve::run(listener, &of_thread, stopped))
            .expect("a thread for the mock upstream");
        Self { addr, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Base URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let t = &self.shared.tallies;
        // The ends are read before the beginnings, so that no end is counted without its
        // beginning.
        let [completed, cancelled, faulty] =
            [&t.completed, &t.cancelled, &t.faulty].map(|c| c.load(Ordering::SeqCst));
        let [connections, begun] = [&t.connections, &t.begun].map(|c| c.load(Ordering::SeqCst));
        Counts { connections, begun, completed, cancelled, faulty }
    }

    /// The requests so far, the first [`Behaviour::recorded_max`] of them, in order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        let mut requests =
            self.shared.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        requests.sort_by_key(|request| request.number);
        requests
    }

    /// Waits until the counts are so, at most ten seconds; the last counts either way.
    pub async fn wait_for(&self, so: impl Fn(&Counts) -> bool) -> Counts {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            let counts = self.counts();
            if so(&counts) || Instant::now() > patience {
                return counts;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for MockUpstream {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
