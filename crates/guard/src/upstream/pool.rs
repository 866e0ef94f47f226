//! Connections of one upstream: kept for a while after use, the latest used first.

use super::{UpstreamError, connection::Link, target::Target};
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Unused connections, the oldest first, at most `max`.
#[derive(Debug)]
pub(super) struct Pool {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    connect_timeout: Duration,
    keep_alive: Duration,
    max: usize,
    unused: Mutex<VecDeque<(Instant, Link)>>,
}

impl Pool {
    pub(super) fn new(
        target: Target,
        tls: Option<Arc<ClientConfig>>,
        connect_timeout: Duration,
        keep_alive: Duration,
        max: usize,
    ) -> Self {
        Self { target, tls, connect_timeout, keep_alive, max, unused: Mutex::default() }
    }

    /// The latest used connection that is still good.
    pub(super) fn take(&self) -> Option<Link> {
        loop {
            let (since, mut link) = self.lock().pop_back()?;
            if since.elapsed() >= self.keep_alive {
                // Those before it are older still.
                let old = std::mem::take(&mut *self.lock());
                drop(old);
                return None;
            }
            if link.is_ready() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection that has carried a whole answer.
    pub(super) fn give_back(&self, link: Link) {
        let now = Instant::now();
        let old = {
            let mut unused = self.lock();
            unused.push_back((now, link));
            let is_old = unused.len() > self.max
                || unused.front().is_some_and(|(since, _)| {
                    now.saturating_duration_since(*since) >= self.keep_alive
                });
            // One for one: the queue never grows beyond its bound, and idle ones drain away.
            if is_old { unused.pop_front() } else { None }
        };
        drop(old);
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Link, UpstreamError> {
        match tokio::time::timeout(
            self.connect_timeout,
            Link::open(&self.target, self.tls.as_ref()),
        )
        .await
        {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => {
                tracing::warn!(upstream = %self.target, %error, "can't connect");
                Err(UpstreamError::Connect)
            }
            Err(_elapsed) => {
                tracing::warn!(upstream = %self.target, "connecting took too long");
                Err(UpstreamError::Connect)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, Link)>> {
        // Nothing in here panics halfway: what a poisoned lock holds is whole.
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
