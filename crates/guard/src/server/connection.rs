//! One connection: which protocol it speaks, its limits, its ending.

use super::ListenConfig;
use super::accept::{Phase, Room, changed};
use super::socket::Socket;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its address; the client's own, or that of a proxy in between.
    pub(crate) address: SocketAddr,
    /// Set where a request was refused before its body was read: the client is still sending, and
    /// closing at once would destroy the refusal on its way.
    linger: AtomicBool,
}

impl Peer {
    fn new(address: SocketAddr) -> Self {
        Self { address, linger: AtomicBool::new(false) }
    }

    /// The connection is closed only after the client had time to read its answer.
    pub(crate) fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.linger.load(Ordering::Relaxed)
    }
}

/// What answers requests. It has an answer for each; failures are answers too.
pub(super) trait Answer: Clone + Send + Sync + 'static {
    /// Body of its answers.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;

    /// Answers one.
    fn answer(
        &self,
        peer: &Arc<Peer>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Limits of each connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    header_timeout: Duration,
    header_bytes_max: usize,
    write_timeout: Duration,
}

impl Limits {
    pub(super) fn new(config: &ListenConfig) -> Self {
        Self {
            header_timeout: Duration::from_millis(config.header_timeout_ms),
            header_bytes_max: config.header_bytes_max,
            write_timeout: Duration::from_millis(config.write_timeout_ms),
        }
    }
}

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Bytes that an HTTP/2 client may send ahead: per request, and in all.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Serves a connection to its end.
pub(super) async fn serve<A: Answer>(room: &Arc<Room<A>>, stream: TcpStream, address: SocketAddr) {
    // A peer that is gone already is noticed at the first read.
    stream.set_nodelay(true).ok();
    let peer = Arc::new(Peer::new(address));
    match &room.tls {
        None => {
            let Some(Some(is_http2)) = greeted(room, speaks_http2(&stream)).await else { return };
            let socket = Socket::new(stream, &peer, room.limits.write_timeout);
            speak(room, socket, peer, is_http2).await;
        }
        Some(tls) => {
            let Some(Ok(stream)) = greeted(room, tls.accept(stream)).await else { return };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let socket = Socket::new(stream, &peer, room.limits.write_timeout);
            speak(room, socket, peer, is_http2).await;
        }
    }
}

/// What comes before the first request: within its time, and not after the signal to end.
async fn greeted<A: Answer, T>(room: &Room<A>, greeting: impl Future<Output = T>) -> Option<T> {
    let mut phase = room.phase.clone();
    tokio::select! {
        biased;
        greeting = tokio::time::timeout(room.limits.header_timeout, greeting) => greeting.ok(),
        _ended = changed(&mut phase, Phase::Run) => None,
    }
}

/// The first bytes of HTTP/2's preface (RFC 9113 section 3.4): no method of HTTP/1 begins so.
const PREFACE_BEGIN: &[u8] = b"PRI ";
/// Between two looks at a connection that has sent less than that.
const NEXT_LOOK: Duration = Duration::from_millis(5);

/// Whether a client without TLS begins with HTTP/2's preface; `None` where it hung up.
async fn speaks_http2(stream: &TcpStream) -> Option<bool> {
    let mut first = [0; PREFACE_BEGIN.len()];
    loop {
        let n = stream.peek(&mut first).await.ok()?;
        let seen = first.get(..n)?;
        if seen.is_empty() {
            return None;
        }
        if !PREFACE_BEGIN.starts_with(seen) {
            return Some(false);
        }
        if n == first.len() {
            return Some(true);
        }
        tokio::time::sleep(NEXT_LOOK).await;
    }
}

async fn speak<A, S>(room: &Arc<Room<A>>, socket: Socket<S>, peer: Arc<Peer>, is_http2: bool)
where
    A: Answer,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let limits = room.limits;
    let answering = Arc::clone(room);
    let service = service_fn(move |request| {
        let (room, peer) = (Arc::clone(&answering), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(room.answer.answer(&peer, request).await) }
    });
    let io = TokioIo::new(socket);
    if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(limits.header_timeout)
            .keep_alive_timeout(limits.header_timeout)
            .serve_connection(io, service);
        drive(room, connection, http2::Connection::graceful_shutdown).await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_header_size(limits.header_bytes_max)
            .max_buf_size(limits.header_bytes_max)
            .serve_connection(io, service);
        drive(room, connection, http1::Connection::graceful_shutdown).await;
    }
}

/// Runs a connection; at the signal it is asked to end, or ended.
async fn drive<A: Answer, C: Future<Output = hyper::Result<()>>>(
    room: &Room<A>,
    connection: C,
    end: impl Fn(Pin<&mut C>),
) {
    let mut connection = pin!(connection);
    let mut phase = room.phase.clone();
    let mut known = Phase::Run;
    loop {
        let next = tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection broke off");
                }
                return;
            }
            next = changed(&mut phase, known) => next,
        };
        match next {
            Phase::Run => {}
            Phase::Drain => end(connection.as_mut()),
            Phase::Stop => return,
        }
        known = next;
    }
}

/// When a patience that begins now ends.
pub(super) fn after(patience: Duration) -> Instant {
    Instant::now() + patience
}
