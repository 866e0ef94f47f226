//! A guard at work on real sockets, for tests: started from a configuration, stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stillwatch_guard::server::{self, Listeners};
use stillwatch_guard::upstream::UpstreamConfig;
use stillwatch_guard::{Clock, Guard, GuardConfig, Secrets, SystemClock};
use stillwatch_testkit::upstream::MockUpstream;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(12);

/// A running guard.
pub(crate) struct Gateway {
    pub(crate) guard: Arc<Guard>,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    _data: Option<TempDir>,
}

/// Settings for tests: ports of the operating system's choice, a folder of its own, no exposure.
pub(crate) fn config(upstreams: &[&MockUpstream]) -> GuardConfig {
    let mut config = GuardConfig::default();
    "127.0.0.1:0".clone_into(&mut config.listen.public);
    "127.0.0.1:0".clone_into(&mut config.listen.admin);
    config.exposure.rate = 0.0;
    config.upstream = upstreams.iter().map(|up| UpstreamConfig::new(up.url())).collect();
    config
}

impl Gateway {
    /// Before these upstreams, everything else by default.
    pub(crate) async fn before(upstreams: &[&MockUpstream]) -> Self {
        Self::start(config(upstreams)).await
    }

    /// With these settings, in a folder of its own.
    pub(crate) async fn start(config: GuardConfig) -> Self {
        Self::start_with(config, &Secrets::default()).await
    }

    /// With these settings and keys, in a folder of its own.
    pub(crate) async fn start_with(config: GuardConfig, secrets: &Secrets) -> Self {
        Box::pin(Self::start_at(config, secrets, Arc::new(SystemClock))).await
    }

    /// The same by this clock.
    pub(crate) async fn start_at(
        mut config: GuardConfig,
        secrets: &Secrets,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        config.data = data.path().to_owned();
        Self { _data: Some(data), ..Box::pin(Self::run(config, secrets, clock)).await }
    }

    /// With these settings and keys, in the folder that the settings name, which stays.
    pub(crate) async fn start_in_place(config: GuardConfig, secrets: &Secrets) -> Self {
        Box::pin(Self::run(config, secrets, Arc::new(SystemClock))).await
    }

    async fn run(config: GuardConfig, secrets: &Secrets, clock: Arc<dyn Clock>) -> Self {
        let guard = Box::pin(Guard::start(config, secrets, clock)).await.expect("a guard");
        let listeners = Listeners::bind(&guard.config.listen).await.expect("free ports");
        let (public, admin) = (listeners.public_addr(), listeners.admin_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = server::serve(Arc::clone(&guard), listeners, async {
            // Dropped or told: both end it.
            drop(stopped.await);
        });
        let served = tokio::spawn(serving);
        Self { guard, public, admin, stop: Some(stop), served, _data: None }
    }

    /// A URL on the public listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    /// Sends the signal to end.
    pub(crate) fn signal(&mut self) {
        drop(self.stop.take());
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        self.signal();
        tokio::time::timeout(PATIENCE, self.served).await.expect("it ends").expect("no panic");
        self.guard.close().await;
    }

    /// Sends these bytes on a connection of its own; what came back until the other end closed,
    /// or until nothing came for a while.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        raw(self.public, bytes, Duration::from_millis(700)).await
    }
}

/// Sends these bytes; what came back until the end, or until nothing came for `quiet`.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8], quiet: Duration) -> String {
    let mut stream = TcpStream::connect(addr).await.expect("a connection");
    // The other end may stop reading before all is sent.
    drop(stream.write_all(bytes).await);
    read(&mut stream, quiet).await
}

/// What comes until the end, or until nothing came for `quiet`.
pub(crate) async fn read(stream: &mut TcpStream, quiet: Duration) -> String {
    let mut all = Vec::new();
    let mut part = vec![0; 16 << 10];
    while let Ok(Ok(n @ 1..)) = tokio::time::timeout(quiet, stream.read(&mut part)).await {
        all.extend_from_slice(part.get(..n).unwrap_or_default());
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A chat request's body.
pub(crate) fn chat(prompt: &str, stream: bool) -> serde_json::Value {
    serde_json::json!({
        "model": "mock-1",
        "messages": [{"role": "user", "content": prompt}],
        "stream": stream,
    })
}

/// A client that trusts no environment.
pub(crate) fn client() -> reqwest::Client {
    // One TLS provider for all; who comes second finds it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}
