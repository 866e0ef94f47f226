//! A body that follows a script, and the guard that notices whether it was read to its end.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Numbers that the upstream and its tests share.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    pub(super) connections: AtomicU64,
    pub(super) begun: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) faulty: AtomicU64,
}

impl Tallies {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// One request under way. Dropped before its end: the client has gone.
#[derive(Debug)]
pub(super) struct InFlight {
    tallies: Arc<Tallies>,
    ended: bool,
}

impl InFlight {
    pub(super) fn begin(tallies: Arc<Tallies>) -> Self {
        Tallies::add(&tallies.begun);
        Self { tallies, ended: false }
    }

    fn complete(&mut self) {
        if !self.ended {
            self.ended = true;
            Tallies::add(&self.tallies.completed);
        }
    }

    /// Broken off by this side.
    pub(super) fn broken(&mut self) {
        if !self.ended {
            self.ended = true;
            Tallies::add(&self.tallies.faulty);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.ended {
            Tallies::add(&self.tallies.cancelled);
        }
    }
}

/// What a body does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Sends.
    Data(Bytes),
    /// Waits.
    Wait(Duration),
    /// Is silent until the client goes.
    Hang,
    /// Breaks the connection.
    Break,
}

/// The script broke the connection on purpose.
#[derive(Debug)]
pub(super) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mock upstream breaks off")
    }
}

impl std::error::Error for Broken {}

/// A body that follows a script.
#[derive(Debug)]
pub(super) struct Script {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    in_flight: InFlight,
}

impl Script {
    pub(super) fn new(steps: VecDeque<Step>, mut in_flight: InFlight) -> Self {
        if steps.is_empty() {
            in_flight.complete();
        }
        Self { steps, sleep: None, in_flight }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.sleep = None;
            }
            match self.steps.pop_front() {
                None => {
                    self.in_flight.complete();
                    return Poll::Ready(None);
                }
                Some(Step::Data(bytes)) => {
                    if self.steps.is_empty() {
                        self.in_flight.complete();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Wait(time)) => self.sleep = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Break) => {
                    self.in_flight.broken();
                    return Poll::Ready(Some(Err(Broken)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.sleep.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let [Step::Data(bytes)] = self.steps.as_slices().0 else {
            return if self.is_end_stream() {
                SizeHint::with_exact(0)
            } else {
                SizeHint::default()
            };
        };
        SizeHint::with_exact(bytes.len() as u64)
    }
}
