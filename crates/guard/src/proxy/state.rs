//! What requests share in the proxy, and what is known of one when it arrives.

use super::client::TrustedProxies;
use super::intake::{Budget, Intake};
use crate::{Clock, GuardError, observe::Metrics, server::ListenConfig, server::Peer};
use http::HeaderValue;
use http_body::Body;
use prometheus_client::metrics::gauge::Gauge;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What requests share.
#[derive(Debug)]
pub(crate) struct ProxyState {
    pub(super) trusted: TrustedProxies,
    pub(super) intake: Intake,
    pub(super) bodies: Budget,
    next_id: AtomicU64,
}

impl ProxyState {
    /// From the configuration.
    pub(crate) fn new(config: &ListenConfig) -> Result<Self, GuardError> {
        let trusted = TrustedProxies::parse(&config.trusted_proxies)
            .map_err(|problem| GuardError::setting(format!("listen.trusted_proxies: {problem}")))?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|e| {
            GuardError::setting(format!("the operating system gives no random numbers: {e}"))
        })?;
        Ok(Self {
            trusted,
            intake: Intake {
                bytes_max: config.body_bytes_max,
                idle: Duration::from_millis(config.body_timeout_ms),
                rate_min: config.body_rate_min,
            },
            bodies: Budget::new(config.bodies_bytes_max),
            next_id: AtomicU64::new(u64::from_le_bytes(seed)),
        })
    }

    /// Notes the time and gives the request a name.
    pub(super) fn arrive(&self, clock: &dyn Clock) -> Arrival {
        // From a random start, so that two processes don't use the same names.
        let n = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; ID_LEN];
        for (i, digit) in id.iter_mut().enumerate() {
            let nibble = (n >> (60 - 4 * i)) & 0xf;
            *digit =
                *b"0123456789abcdef".get(usize::try_from(nibble).unwrap_or(0)).unwrap_or(&b'0');
        }
        Arrival { id, start: Instant::now(), start_ms: clock.now_ms() }
    }
}

/// Hexadecimal digits of a request's name.
const ID_LEN: usize = 16;

/// A request that has just arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    id: [u8; ID_LEN],
    /// When its head was read.
    pub(super) start: Instant,
    /// The same by the wall clock, milliseconds since the epoch.
    pub(super) start_ms: i64,
}

impl Arrival {
    /// Its name.
    pub(super) fn id(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default()
    }

    /// Its name as a header's value.
    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.id).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// Counts a request until its answer has ended.
#[derive(Debug)]
pub(super) struct InFlight(Gauge);

impl InFlight {
    pub(super) fn new(metrics: &Metrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics.in_flight.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A body that hasn't been read yet. Dropped before it was, the connection closes slowly.
#[derive(Debug)]
pub(super) struct Unread<'a> {
    peer: &'a Peer,
    is_unread: Cell<bool>,
}

impl<'a> Unread<'a> {
    pub(super) fn new(peer: &'a Peer, body: &impl Body) -> Self {
        Self { peer, is_unread: Cell::new(!body.is_end_stream()) }
    }

    pub(super) fn is_read(&self) {
        self.is_unread.set(false);
    }
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if self.is_unread.get() {
            self.peer.linger();
        }
    }
}
