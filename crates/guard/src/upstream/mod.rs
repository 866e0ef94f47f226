//! The models behind the guard: choice by weight, pooled connections, patience, breakers.
//!
//! Where requests may go comes from the configuration alone: a client chooses a model, never an
//! address, and a redirect is an answer like any other. A request is sent once. It goes to another
//! connection or another upstream only while not a byte of it has left; what was sent and not
//! answered is an error, because sampling twice costs twice and may act twice.
//!
//! What is forwarded, and which headers survive, is the business of [`crate::proxy`].

mod body;
mod breaker;
mod config;
mod connection;
mod pool;
mod target;
mod tls;

pub use body::UpstreamBody;
pub use config::UpstreamConfig;

use crate::{GuardError, Secrets, observe::Metrics, request::Api};
use breaker::Breaker;
use bytes::Bytes;
use connection::{Failed, Link};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, uri::PathAndQuery};
use http_body_util::Full;
use hyper::body::Incoming;
use pool::Pool;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use target::Target;

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// No upstream has that model.
    #[error("no upstream has this model")]
    NoSuchModel,
    /// All that have the model are out of order.
    #[error("no upstream takes this request now")]
    Unavailable,
    /// It can't be reached.
    #[error("the upstream can't be reached")]
    Connect,
    /// It was silent for too long.
    #[error("the upstream was silent for too long")]
    Timeout,
    /// It broke off or spoke no HTTP.
    #[error("the upstream broke off")]
    Broken,
}

/// What goes upstream.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The end point.
    pub api: Api,
    /// Method.
    pub method: Method,
    /// Path (from a fixed table) and query.
    pub path: PathAndQuery,
    /// Headers, hop-by-hop ones taken out.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Model, for the choice of upstream.
    pub model: String,
    /// Whether the client's key is replaced by the upstream's.
    pub replace_key: bool,
    /// Whether another upstream may be tried when this one can't even be connected to. Never
    /// after a byte of the request was sent.
    pub may_retry: bool,
}

/// One upstream at work.
#[derive(Debug)]
struct Upstream {
    index: usize,
    url: String,
    target: Target,
    weight: u64,
    models: Vec<String>,
    key: Option<Key>,
    first_byte_timeout: Duration,
    idle_timeout: Duration,
    pool: Arc<Pool>,
    breaker: Breaker,
}

/// An upstream's own key as the values of headers.
struct Key {
    bearer: HeaderValue,
    plain: HeaderValue,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key([key])")
    }
}

/// All of them.
#[derive(Debug)]
pub struct Upstreams {
    all: Vec<Upstream>,
    turn: AtomicU64,
    metrics: Option<Arc<Metrics>>,
}

/// An odd number near 2^64/φ: multiples of it, taken modulo 2^64, spread evenly, so that upstreams
/// take turns by weight without runs of one and without a random source.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Upstreams {
    /// From the configuration.
    ///
    /// # Errors
    /// A URL that isn't one, a key's variable that isn't set, a file of authorities that can't be
    /// read.
    pub fn new(configs: &[UpstreamConfig], secrets: &Secrets) -> Result<Self, GuardError> {
        let all = configs
            .iter()
            .enumerate()
            .map(|(i, config)| Upstream::new(i, config, secrets))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { all, turn: AtomicU64::new(0), metrics: None })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Index of an upstream for this model, by weight among those in order. An upstream that was
    /// left alone for its time is chosen once, as a probe.
    ///
    /// # Errors
    /// [`UpstreamError::NoSuchModel`], [`UpstreamError::Unavailable`].
    pub fn choose(&self, model: &str) -> Result<usize, UpstreamError> {
        self.choose_but(model, 0)
    }

    /// As [`Self::choose`], leaving out those whose bit is set in `tried`.
    fn choose_but(&self, model: &str, tried: u64) -> Result<usize, UpstreamError> {
        let now = tokio::time::Instant::now();
        let mut any_has_it = false;
        let mut total = 0;
        let mut probe = None;
        for (i, upstream) in self.all.iter().enumerate() {
            if !upstream.has(model) {
                continue;
            }
            any_has_it = true;
            if is_tried(tried, i) {
                continue;
            }
            if upstream.breaker.is_closed() {
                total += upstream.weight;
            } else if probe.is_none() && upstream.breaker.is_due(now) {
                probe = Some(i);
            }
        }
        if !any_has_it {
            return Err(UpstreamError::NoSuchModel);
        }
        if let Some(i) = probe
            && let Some(upstream) = self.all.get(i)
            && upstream.breaker.take_probe(now)
        {
            return Ok(i);
        }
        if total == 0 {
            return Err(UpstreamError::Unavailable);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(SPREAD);
        // Scaled into 0..total: the high half of the product.
        let mut ticket = u64::try_from((u128::from(turn) * u128::from(total)) >> 64).unwrap_or(0);
        let mut last = None;
        for (i, upstream) in self.all.iter().enumerate() {
            if is_tried(tried, i) || !upstream.has(model) || !upstream.breaker.is_closed() {
                continue;
            }
            if ticket < upstream.weight {
                return Ok(i);
            }
            ticket -= upstream.weight;
            last = Some(i);
        }
        // A breaker opened between the two passes.
        last.ok_or(UpstreamError::Unavailable)
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// [`UpstreamError`]; any status that the upstream gives is an answer, no error.
    pub async fn send(
        &self,
        index: usize,
        outgoing: &Outgoing,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        self.send_owned(index, outgoing.clone()).await
    }

    /// As [`Self::send`], for a request that isn't needed any more.
    ///
    /// # Errors
    /// As there.
    pub async fn send_owned(
        &self,
        mut index: usize,
        outgoing: Outgoing,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let Outgoing { api, method, path, headers, body, model, replace_key, may_retry } = outgoing;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let mut tried = 0;
        loop {
            let upstream = self.all.get(index).ok_or(UpstreamError::Unavailable)?;
            upstream.address(&mut request, &path, api, replace_key);
            let failed = match upstream.send(request).await {
                Ok(response) => {
                    if upstream.breaker.succeeded() {
                        self.report(upstream, true);
                    }
                    return Ok(response);
                }
                Err(failed) => failed,
            };
            if upstream.breaker.failed(tokio::time::Instant::now()) {
                self.report(upstream, false);
            }
            match failed.unsent {
                Some(unsent) if may_retry => {
                    tried |= bit(index);
                    index = self.choose_but(&model, tried).map_err(|_| failed.error)?;
                    request = *unsent;
                }
                _ => return Err(failed.error),
            }
        }
    }

    /// Says in `metrics` from now on which upstreams are left alone.
    #[must_use]
    pub(crate) fn reporting_to(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    fn report(&self, upstream: &Upstream, is_in_order: bool) {
        let part = format!("upstream {}", upstream.url);
        if is_in_order {
            tracing::info!(upstream = upstream.url, "it answers again");
        } else {
            tracing::warn!(upstream = upstream.url, "it failed too often and is left alone");
        }
        match (&self.metrics, is_in_order) {
            (None, _) => {}
            (Some(metrics), true) => metrics.health.restore(&part),
            (Some(metrics), false) => metrics
                .health
                .degrade(&part, "it failed several times in a row and gets single requests only"),
        }
    }

    /// The models that the configuration names for an upstream; empty: all that it has.
    pub(crate) fn models(&self, index: usize) -> &[String] {
        self.all.get(index).map_or(&[], |upstream| &upstream.models)
    }

    /// URL of an upstream, without its key.
    pub fn url(&self, index: usize) -> &str {
        self.all.get(index).map_or("", |upstream| &upstream.url)
    }

    /// For each upstream its URL (without key) and whether it is in order now.
    pub fn health(&self) -> Vec<(String, bool)> {
        self.all.iter().map(|u| (u.url.clone(), u.breaker.is_closed())).collect()
    }
}

/// More than 64 upstreams: those behind are tried once more at worst, never without end, because
/// each failure also counts for their breakers.
fn bit(index: usize) -> u64 {
    1 << (index % 64)
}

fn is_tried(tried: u64, index: usize) -> bool {
    tried & bit(index) != 0
}

impl Upstream {
    fn new(index: usize, config: &UpstreamConfig, secrets: &Secrets) -> Result<Self, GuardError> {
        let wrong = |problem: String| GuardError::setting(format!("upstream[{index}]{problem}"));
        let target =
            Target::parse(&config.url).map_err(|problem| wrong(format!(".url: {problem}")))?;
        if config.weight == 0 {
            return Err(wrong(
                ".weight: expected at least 1; leave the upstream out instead".into(),
            ));
        }
        let key = match &config.key_env {
            None => None,
            Some(name) => {
                let secret = secrets
                    .get(name)
                    .ok_or_else(|| wrong(format!(".key_env: {name} isn't set")))?;
                Some(Key::new(secret.expose()).ok_or_else(|| {
                    wrong(format!(".key_env: the value of {name} can't stand in a header"))
                })?)
            }
        };
        let tls = target
            .is_tls()
            .then(|| tls::client_config(config.ca_file.as_deref()))
            .transpose()
            .map_err(|problem| wrong(format!(".ca_file: {problem}")))?;
        let pool = Pool::new(
            target.clone(),
            tls,
            Duration::from_millis(config.connect_timeout_ms),
            Duration::from_millis(config.keep_alive_ms),
            config.keep_alive_max,
        );
        Ok(Self {
            index,
            url: target.to_string(),
            target,
            weight: u64::from(config.weight),
            models: config.models.clone(),
            key,
            first_byte_timeout: Duration::from_millis(config.first_byte_timeout_ms),
            idle_timeout: Duration::from_millis(config.idle_timeout_ms),
            pool: Arc::new(pool),
            breaker: Breaker::new(
                config.breaker_failures,
                Duration::from_millis(config.breaker_open_ms),
            ),
        })
    }

    fn has(&self, model: &str) -> bool {
        self.models.is_empty() || model.is_empty() || self.models.iter().any(|m| m == model)
    }

    /// Sends a request on a connection that is there or on a new one.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<UpstreamBody>, Failed> {
        // Pooled connections that turn out closed before a byte was sent are passed over; their
        // number is bounded by the pool's.
        while let Some(mut link) = self.pool.take() {
            match link.send(request, self.first_byte_timeout).await {
                Ok(head) => return Ok(self.answer(head, link)),
                Err(Failed { unsent: Some(unsent), .. }) => request = *unsent,
                Err(failed) => return Err(failed),
            }
        }
        let mut link = match self.pool.connect().await {
            Ok(link) => link,
            Err(error) => return Err(Failed { error, unsent: Some(Box::new(request)) }),
        };
        match link.send(request, self.first_byte_timeout).await {
            Ok(head) => Ok(self.answer(head, link)),
            // Closed as soon as it was open: as good as not open.
            Err(Failed { unsent: unsent @ Some(_), .. }) => {
                Err(Failed { error: UpstreamError::Connect, unsent })
            }
            Err(failed) => Err(failed),
        }
    }

    fn answer(&self, head: Response<Incoming>, link: Link) -> Response<UpstreamBody> {
        head.map(|incoming| {
            let pool = Arc::clone(&self.pool);
            UpstreamBody::new(incoming, link, pool, self.idle_timeout, self.index)
        })
    }

    /// Makes a request one for this upstream, whatever upstream it was for before.
    fn address(
        &self,
        request: &mut Request<Full<Bytes>>,
        path: &PathAndQuery,
        api: Api,
        replace_key: bool,
    ) {
        *request.uri_mut() = self.target.uri(path);
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.target.host_header());
        if replace_key {
            self.replace_key(api, headers);
        }
    }

    /// A virtual key never leaves; the upstream's own stands where the client put its key, except
    /// where the upstream is known to look elsewhere.
    fn replace_key(&self, api: Api, headers: &mut HeaderMap) {
        let had_plain = headers.remove(X_API_KEY).is_some();
        let had_bearer = headers.remove(header::AUTHORIZATION).is_some();
        let Some(key) = &self.key else { return };
        let in_plain = if self.target.is_anthropic() {
            matches!(api, Api::Messages | Api::Models)
        } else {
            had_plain || (!had_bearer && api == Api::Messages)
        };
        if in_plain {
            headers.insert(X_API_KEY, key.plain.clone());
        } else {
            headers.insert(header::AUTHORIZATION, key.bearer.clone());
        }
    }
}

const X_API_KEY: &str = "x-api-key";

impl Key {
    fn new(key: &str) -> Option<Self> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
        let mut plain = HeaderValue::try_from(key).ok()?;
        bearer.set_sensitive(true);
        plain.set_sensitive(true);
        Some(Self { bearer, plain })
    }
}
