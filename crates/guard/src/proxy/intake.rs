//! Takes the body of a request: whole, up to a limit of bytes and of patience, one by one and all
//! together.

use super::Refusal;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intake {
    /// The longest body, bytes.
    pub(super) bytes_max: usize,
    /// Patience for two parts of a body, and for the first.
    pub(super) idle: Duration,
    /// The slowest rate over the whole body, bytes per second, counted after `idle`.
    pub(super) rate_min: u64,
}

/// Bytes of all bodies that are held at once.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    fn take(&self, n: usize) -> bool {
        let before = self.used.fetch_add(n, Ordering::Relaxed);
        if before.saturating_add(n) > self.max {
            self.used.fetch_sub(n, Ordering::Relaxed);
            return false;
        }
        true
    }
}

/// A body's share of the [`Budget`], given back when dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    budget: &'a Budget,
    n: usize,
}

impl Share<'_> {
    fn grow(&mut self, n: usize) -> bool {
        let is_granted = self.budget.take(n);
        if is_granted {
            self.n += n;
        }
        is_granted
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.n, Ordering::Relaxed);
    }
}

impl Intake {
    /// The same with a shorter longest body, where that is shorter.
    pub(super) fn at_most(self, bytes_max: usize) -> Self {
        Self { bytes_max: self.bytes_max.min(bytes_max), ..self }
    }

    /// Reads a body to its end.
    pub(super) async fn take<'a, B>(
        &self,
        headers: &HeaderMap,
        body: B,
        budget: &'a Budget,
    ) -> Result<(Bytes, Share<'a>), Refusal>
    where
        B: Body<Data = Bytes>,
    {
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|n| n > self.bytes_max as u64) {
            return Err(self.too_large());
        }
        let mut body = pin!(body);
        let mut share = Share { budget, n: 0 };
        let mut parts = Parts::Empty;
        let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
        let start = Instant::now();
        let mut last = start;
        let mut n_bytes = 0_usize;
        loop {
            let frame = poll_fn(|cx| {
                if let Poll::Ready(frame) = body.as_mut().poll_frame(cx) {
                    return Poll::Ready(Ok(frame));
                }
                // Most bodies are there at once and never come here.
                let deadline = (last + self.idle).min(self.deadline(start, n_bytes));
                let timer =
                    timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                timer.as_mut().poll(cx).map(Err)
            })
            .await;
            let frame = match frame {
                Err(()) => return Err(too_slow()),
                Ok(None) => break,
                Ok(Some(Err(_))) => return Err(broken_off()),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            last = Instant::now();
            n_bytes = n_bytes.saturating_add(data.len());
            if n_bytes > self.bytes_max {
                return Err(self.too_large());
            }
            if !share.grow(data.len()) {
                return Err(full());
            }
            parts.push(data, declared);
        }
        if declared.is_some_and(|n| n != n_bytes as u64) {
            return Err(broken_off());
        }
        Ok((parts.whole(), share))
    }

    /// When a body of which `n_bytes` came must have gone on, at the slowest rate.
    fn deadline(&self, start: Instant, n_bytes: usize) -> Instant {
        let rate = self.rate_min.max(1);
        start + self.idle + Duration::from_millis((n_bytes as u64).saturating_mul(1_000) / rate)
    }

    fn too_large(&self) -> Refusal {
        let message = format!("the body is longer than {} bytes", self.bytes_max);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message).last()
    }
}

/// One part passes as it is; several are joined.
enum Parts {
    Empty,
    One(Bytes),
    Many(BytesMut),
}

impl Parts {
    fn push(&mut self, data: Bytes, declared: Option<u64>) {
        *self = match std::mem::replace(self, Self::Empty) {
            Self::Empty => Self::One(data),
            Self::One(first) => {
                // The declared length was checked against the limit, but is no more than a claim:
                // reserve a part, grow as bytes come.
                let declared = declared.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
                let mut all =
                    BytesMut::with_capacity(declared.min(1 << 20).max(first.len() + data.len()));
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                Self::Many(all)
            }
            Self::Many(mut all) => {
                all.extend_from_slice(&data);
                Self::Many(all)
            }
        };
    }

    fn whole(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(all) => all.freeze(),
        }
    }
}

fn too_slow() -> Refusal {
    let message = "the body came too slowly";
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message).last()
}

fn broken_off() -> Refusal {
    let message = "the body broke off";
    Refusal::new(StatusCode::BAD_REQUEST, "body_broken_off", message).last()
}

fn full() -> Refusal {
    let message = "too many bodies are held at once";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).retry_after(1_000).last()
}
