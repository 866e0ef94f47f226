//! Listeners: sockets, TLS, HTTP/1.1 and 2, limits of size and patience, orderly ending.
//!
//! What a request means is the business of [`crate::proxy`] on the public address and of
//! [`crate::admin`] on the other; both get the same sockets, so the same limits.

mod accept;
mod connection;
mod socket;
mod tls;

pub(crate) use connection::Peer;

use crate::{Guard, GuardError, admin, proxy};
use accept::{Phase, Room};
use axum::extract::ConnectInfo;
use connection::Answer;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::Service;

/// Where the guard listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// The public address.
    pub public: String,
    /// The admin address.
    pub admin: String,
    /// PEM file with the certificate chain; with `tls_key` the public address speaks TLS. Read
    /// again when it changes.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key.
    pub tls_key: Option<PathBuf>,
    /// Patience for the whole head of a request, for a TLS handshake, and for the next request on
    /// a connection, milliseconds.
    pub header_timeout_ms: u64,
    /// The longest head of a request, bytes; longer ones get 431.
    pub header_bytes_max: usize,
    /// The longest body of a request, bytes; longer ones get 413. Packed bodies
    /// (`content-encoding`) get 415.
    pub body_bytes_max: usize,
    /// Bytes of all bodies that are held at once; what doesn't fit gets 503.
    pub bodies_bytes_max: usize,
    /// Patience between two parts of a body, milliseconds.
    pub body_timeout_ms: u64,
    /// The slowest rate of a body, bytes per second, after the first `body_timeout_ms`.
    pub body_rate_min: u64,
    /// Patience for a client that takes nothing of its answer, milliseconds.
    pub write_timeout_ms: u64,
    /// Connections at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// How long requests in flight may go on after the signal to end, milliseconds.
    pub drain_timeout_ms: u64,
    /// Addresses and networks of proxies before the guard whose `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<String>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            public: "127.0.0.1:8080".to_owned(),
            admin: "127.0.0.1:8081".to_owned(),
            tls_cert: None,
            tls_key: None,
            header_timeout_ms: 30_000,
            header_bytes_max: 64 << 10,
            body_bytes_max: 32 << 20,
            bodies_bytes_max: 1 << 30,
            body_timeout_ms: 30_000,
            body_rate_min: 1_024,
            write_timeout_ms: 120_000,
            connections_max: 10_000,
            drain_timeout_ms: 30_000,
            trusted_proxies: Vec::new(),
        }
    }
}

/// The smallest limit for the head of a request, bytes; what the HTTP implementation can do.
const HEADER_BYTES_LEAST: usize = 8 << 10;

/// Sockets that listen already, so that their addresses are known.
#[derive(Debug)]
pub struct Listeners {
    public: TcpListener,
    admin: TcpListener,
    public_addr: SocketAddr,
    admin_addr: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl Listeners {
    /// Opens both sockets and reads the certificate. Port 0 takes any free one.
    ///
    /// # Errors
    /// An address that is none or is taken; a certificate or key that can't be read.
    pub async fn bind(config: &ListenConfig) -> Result<Self, GuardError> {
        if config.header_bytes_max < HEADER_BYTES_LEAST {
            return Err(GuardError::setting(format!(
                "listen.header_bytes_max: {} is too small, expected at least {HEADER_BYTES_LEAST}",
                config.header_bytes_max
            )));
        }
        if config.connections_max == 0 {
            return Err(GuardError::setting("listen.connections_max: expected at least 1"));
        }
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(Arc::new(Tls::read(cert, key)?)),
            (None, None) => None,
            _ => {
                return Err(GuardError::setting(
                    "listen.tls_cert and listen.tls_key: expected both or neither",
                ));
            }
        };
        let (public, public_addr) = bind("public", &config.public).await?;
        let (admin, admin_addr) = bind("admin", &config.admin).await?;
        Ok(Self { public, admin, public_addr, admin_addr, tls })
    }

    /// Where the public listener is.
    pub fn public_addr(&self) -> SocketAddr {
        self.public_addr
    }

    /// Where the admin listener is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Whether the public listener speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

async fn bind(key: &str, address: &str) -> Result<(TcpListener, SocketAddr), GuardError> {
    let what = |source| GuardError::Io {
        what: format!("listen.{key}: can't listen at {address:?}"),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(what)?;
    let bound = listener.local_addr().map_err(what)?;
    Ok((listener, bound))
}

/// Serves both addresses until `shutdown` ends, then lets requests in flight end, for as long as
/// the configuration allows. [`Guard::close`] comes after it.
pub async fn serve(
    guard: Arc<Guard>,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) {
    let config = &guard.config.listen;
    let (phase, _) = watch::channel(Phase::Run);
    let public = Arc::new(Room::new(
        config,
        listeners.tls.clone(),
        Public(Arc::clone(&guard)),
        phase.subscribe(),
    ));
    let admin = Arc::new(Room::new(
        config,
        None,
        Admin(admin::router(Arc::clone(&guard))),
        phase.subscribe(),
    ));
    let accepting = async {
        tokio::join!(
            accept::run(&public, listeners.public),
            accept::run(&admin, listeners.admin),
            tls::reload(listeners.tls.as_deref()),
        );
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
    }
    // The listeners are closed by now: who connects is refused by the operating system.
    phase.send_replace(Phase::Drain);
    let drained = async { tokio::join!(public.emptied(), admin.emptied()) };
    if tokio::time::timeout(Duration::from_millis(config.drain_timeout_ms), drained).await.is_err()
    {
        tracing::warn!("requests in flight were cut off at the end of their time");
        phase.send_replace(Phase::Stop);
        tokio::join!(public.emptied(), admin.emptied());
    }
}

/// Answers on the public address.
#[derive(Debug, Clone)]
struct Public(Arc<Guard>);

impl Answer for Public {
    type Body = proxy::ProxyBody;

    async fn answer(&self, peer: &Arc<Peer>, request: Request<Incoming>) -> Response<Self::Body> {
        proxy::handle(&self.0, peer, request).await
    }
}

/// Answers on the admin address.
#[derive(Debug, Clone)]
struct Admin(axum::Router);

impl Answer for Admin {
    type Body = axum::body::Body;

    async fn answer(&self, peer: &Arc<Peer>, request: Request<Incoming>) -> Response<Self::Body> {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer.address));
        // A router is always ready.
        let answered: Result<_, Infallible> = self.0.clone().call(request).await;
        match answered {
            Ok(mut response) => {
                if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    // The rest of the body stays unread: as on the public address the client is
                    // told that the connection ends, and has time to read it.
                    peer.linger();
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                response
            }
            Err(never) => match never {},
        }
    }
}
