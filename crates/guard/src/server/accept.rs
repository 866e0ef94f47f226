//! Takes connections in, as many as may be, and knows when all have ended.

use super::connection::{self, Answer};
use super::{ListenConfig, tls::Tls};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// In which part of its life the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections and requests are taken.
    Run,
    /// Requests in flight end, nothing new is taken.
    Drain,
    /// Everything ends.
    Stop,
}

/// What the connections of one listener share.
#[derive(Debug)]
pub(super) struct Room<A> {
    pub(super) limits: connection::Limits,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) answer: A,
    pub(super) phase: watch::Receiver<Phase>,
    seats: Arc<Semaphore>,
    n_seats: u32,
}

impl<A: Answer> Room<A> {
    pub(super) fn new(
        config: &ListenConfig,
        tls: Option<Arc<Tls>>,
        answer: A,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let n = config.connections_max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            limits: connection::Limits::new(config),
            tls,
            answer,
            phase,
            seats: Arc::new(Semaphore::new(n)),
            n_seats: u32::try_from(n).unwrap_or(u32::MAX),
        }
    }

    /// Waits until no connection is left.
    pub(super) async fn emptied(&self) {
        // The semaphore is never closed.
        drop(self.seats.acquire_many(self.n_seats).await);
    }
}

/// How long to wait when the operating system has no more sockets to give.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(50);

/// Accepts for ever. A connection beyond the limit isn't accepted before another ends.
pub(super) async fn run<A: Answer>(room: &Arc<Room<A>>, listener: TcpListener) {
    loop {
        let Ok(seat) = Arc::clone(&room.seats).acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_one_connection(&error) {
                    tracing::warn!(%error, "can't accept connections now");
                    tokio::time::sleep(OUT_OF_SOCKETS).await;
                }
                continue;
            }
        };
        let room = Arc::clone(room);
        tokio::spawn(async move {
            connection::serve(&room, stream, address).await;
            drop(seat);
        });
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Ready once the phase is another than `known`.
pub(super) async fn changed(phase: &mut watch::Receiver<Phase>, known: Phase) -> Phase {
    loop {
        let now = *phase.borrow_and_update();
        if now != known {
            return now;
        }
        if phase.changed().await.is_err() {
            // Nobody is left who could say so: it goes on as it was.
            poll_fn::<(), _>(|_| std::task::Poll::Pending).await;
        }
    }
}
