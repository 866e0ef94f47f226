//! One request to the endpoint: budget, attempts, limits, and errors that name the URL.
//!
//! [`Endpoint::post`] reserves budget, sends, retries what may pass, and turns everything else
//! into a [`Failure`] without the key in it. What the JSON means is left to the callers.

use super::{
    EndpointOptions,
    retry::{Backoff, is_transient, retry_after},
    sse,
};
use crate::{
    ModelError, Secret,
    budget::{Meter, Usage},
};
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, LOCATION},
    redirect::Policy,
};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// Longest piece of a server's own words that an error repeats, characters.
const EXCERPT_CHARS: usize = 240;
/// Attempts while the endpoint is opened: a wrong address should be told soon.
const OPENING_ATTEMPTS: u32 = 3;
/// Tokens that a chat template may add to the texts, until the server's counts teach better.
const TEMPLATE_TOKENS: u64 = 256;
/// Tokens that each message's frame may add.
const MESSAGE_TOKENS: u64 = 16;

/// Why a request came to nothing.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// This request only.
    Request(String),
    /// The endpoint can't be used at all.
    Unusable { message: String, hint: String },
    /// The path or a parameter isn't known there (404, 405, 501).
    Unknown { message: String, hint: String },
    /// Every attempt failed; the status of the last, if there was an answer.
    Lost { message: String, status: Option<u16> },
    /// A limit of the budget.
    Budget(String),
}

impl From<Failure> for ModelError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Request(message) => Self::Request(message),
            Failure::Unusable { message, hint } | Failure::Unknown { message, hint } => {
                Self::Unusable { message, hint }
            }
            Failure::Lost { message, .. } => Self::Lost(message),
            Failure::Budget(message) => Self::Budget(message),
        }
    }
}

/// What a reader of answers makes of one.
#[derive(Debug)]
pub(super) enum Unread {
    /// Not what this API answers: worth another attempt.
    Garbage(String),
    /// Well formed, without what was asked for: while the endpoint is opened it means that the
    /// server doesn't know this way, later it is garbage.
    Lacking(String),
    /// Well formed, but useless for this request.
    Request(String),
}

/// What one attempt came to.
enum Attempt {
    Answer(Value),
    Final(Failure),
    Again { what: String, status: Option<u16>, after: Option<Duration>, charged: bool },
}

/// An endpoint with everything needed to send one request.
#[derive(Debug)]
pub(super) struct Endpoint {
    client: Client,
    base_url: String,
    pub(super) model: String,
    pub(super) options: EndpointOptions,
    is_opening: AtomicBool,
    meter: Meter,
    template_tokens: AtomicU64,
    sent: AtomicU64,
}

impl Endpoint {
    /// Builds the client. Nothing is sent.
    pub(super) fn new(
        base_url: &str,
        model: &str,
        options: &EndpointOptions,
        meter: Meter,
    ) -> Result<Self, ModelError> {
        check_url(base_url)?;
        if let Some(key) = &options.api_key
            && !key.expose().bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(unusable(
                "the API key holds characters that no HTTP header can carry",
                "set the variable again, without quotes, spaces or line ends inside",
            ));
        }
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .pool_max_idle_per_host(options.concurrency.max(1));
        if base_url.starts_with("http://") {
            // No certificates are needed, so a machine without any can talk to a local server.
            builder = builder.tls_certs_only([]);
        }
        if let Some(proxy) = &options.proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|_| {
                unusable("the proxy's URL can't be read", "give it as http://HOST:PORT")
            })?;
            builder = builder.proxy(proxy);
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(unusable(
                "no TLS provider is installed in this process",
                "call stillwatch_models::install_tls_provider() first in main",
            ));
        }
        let client = builder.build().map_err(|error| {
            unusable(
                &format!("can't set up TLS: {}", causes(&error)),
                "install the system's certificates (package ca-certificates)",
            )
        })?;
        Ok(Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
            model: model.to_owned(),
            options: options.clone(),
            is_opening: AtomicBool::new(true),
            meter,
            template_tokens: AtomicU64::new(TEMPLATE_TOKENS),
            sent: AtomicU64::new(0),
        })
    }

    /// Says that it is known what the server can do.
    pub(super) fn opened(&self) {
        self.is_opening.store(false, Ordering::Release);
    }

    fn is_opening(&self) -> bool {
        self.is_opening.load(Ordering::Acquire)
    }

    /// The account of what was spent.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// URL of a path under the base URL (`chat/completions`), or beside it where vLLM keeps its
    /// own calls (`/tokenize`).
    fn url(&self, path: &str) -> String {
        match path.strip_prefix('/') {
            Some(path) => {
                let root = self.base_url.strip_suffix("/v1").unwrap_or(&self.base_url);
                format!("{root}/{path}")
            }
            None => format!("{}/{path}", self.base_url),
        }
    }

    /// The most tokens that texts of so many bytes in so many messages can become: every
    /// tokeniser makes at most one token of a byte.
    pub(super) fn input_bound(&self, bytes: usize, messages: usize) -> u64 {
        let frame = MESSAGE_TOKENS.saturating_mul(messages as u64);
        (bytes as u64)
            .saturating_add(frame)
            .saturating_add(self.template_tokens.load(Ordering::Relaxed))
    }

    /// Sends `body` to `path` until an answer can be read by `read`, or attempts run out.
    pub(super) async fn post<T>(
        &self,
        path: &str,
        body: &Value,
        bound: Usage,
        read: impl Fn(&Value) -> Result<T, Unread>,
    ) -> Result<T, Failure> {
        let url = self.url(path);
        let mut backoff = Backoff::new(&self.options, self.sent.fetch_add(1, Ordering::Relaxed));
        let most = if self.is_opening() { OPENING_ATTEMPTS } else { u32::MAX };
        let attempts = self.options.attempts.clamp(1, most);
        let mut attempt = 1;
        loop {
            let reservation = self.meter.reserve(bound).await.map_err(Failure::Budget)?;
            let (what, status, after) = match self.attempt(&url, body).await {
                Attempt::Answer(answer) => {
                    match usage(&answer) {
                        Some(usage) => {
                            self.learn(bound, usage);
                            reservation.used(usage);
                        }
                        None => drop(reservation),
                    }
                    match read(&answer) {
                        Ok(value) => return Ok(value),
                        Err(Unread::Request(message)) => {
                            return Err(Failure::Request(self.clean(&message)));
                        }
                        Err(Unread::Lacking(what)) if self.is_opening() => {
                            let message = self.clean(&format!("{url} answered {what}"));
                            return Err(Failure::Lost { message, status: Some(200) });
                        }
                        Err(Unread::Garbage(what) | Unread::Lacking(what)) => {
                            (format!("{url} answered {what}"), Some(200), None)
                        }
                    }
                }
                Attempt::Final(failure) => {
                    reservation.refused();
                    return Err(failure);
                }
                Attempt::Again { what, status, after, charged } => {
                    if charged {
                        drop(reservation);
                    } else {
                        reservation.refused();
                    }
                    (what, status, after)
                }
            };
            let what = self.clean(&what);
            if attempt >= attempts {
                let message = format!("{what} ({attempts} attempts)");
                return Err(Failure::Lost { message, status });
            }
            attempt += 1;
            let Some(wait) = backoff.next(after) else {
                let asked = after.unwrap_or_default().as_secs();
                let message = format!("{what}, and asks to wait {asked} s: resume later");
                return Err(Failure::Lost { message, status });
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, url: &str, body: &Value) -> Attempt {
        let mut request = self.client.post(url).header(ACCEPT, "application/json").json(body);
        if let Some(key) = &self.options.api_key {
            request = request.bearer_auth(key.expose());
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let charged = !error.is_connect();
                let what = format!("{url}: {}", causes(&error.without_url()));
                return Attempt::Again { what, status: None, after: None, charged };
            }
        };
        let status = response.status();
        let after = retry_after(response.headers());
        let location = header(&response, &LOCATION);
        let is_stream = header(&response, &CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        let bytes = match self.body(response).await {
            Ok(bytes) => bytes,
            Err(BodyError::TooLong) => {
                let limit = self.options.body_limit;
                return Attempt::Final(Failure::Request(format!(
                    "{url} answered with more than {limit} bytes"
                )));
            }
            Err(BodyError::Cut(cause)) => {
                return Attempt::Again {
                    what: format!("{url}: the answer was cut off: {cause}"),
                    status: None,
                    after: None,
                    charged: true,
                };
            }
        };
        if status.is_success() {
            return self.parse(url, &bytes, is_stream);
        }
        self.refusal(url, status, after, location, &bytes)
    }

    fn parse(&self, url: &str, bytes: &[u8], is_stream: bool) -> Attempt {
        let parsed = if is_stream || bytes.starts_with(b"data:") {
            sse::collect(bytes)
        } else {
            serde_json::from_slice(bytes).map_err(|error| {
                format!("something that is not JSON ({error}): {}", self.excerpt(bytes))
            })
        };
        match parsed {
            Ok(answer) => Attempt::Answer(answer),
            Err(what) => Attempt::Again {
                what: format!("{url} answered {what}"),
                status: Some(200),
                after: None,
                charged: true,
            },
        }
    }

    /// Turns an error status into what follows from it.
    fn refusal(
        &self,
        url: &str,
        status: StatusCode,
        after: Option<Duration>,
        location: Option<String>,
        bytes: &[u8],
    ) -> Attempt {
        let said = self.excerpt(bytes);
        let code = status.as_u16();
        let message = self.clean(&format!("{url} answered HTTP {code}: {said}"));
        if code == 429 && said.contains("quota") {
            return Attempt::Final(Failure::Lost { message, status: Some(code) });
        }
        if is_transient(status) {
            return Attempt::Again { what: message, status: Some(code), after, charged: false };
        }
        let hint = match code {
            300..=399 => {
                let target = location.unwrap_or_else(|| "another address".to_owned());
                self.clean(&format!("it redirects to {target}: use that as base URL"))
            }
            401 if self.options.api_key.is_none() => {
                "it wants a key: set OPENAI_API_KEY, or name the variable that holds it".to_owned()
            }
            401 => "it refused the key: check the variable that holds it".to_owned(),
            402 => "the account has no credit: top it up, then run again".to_owned(),
            403 => {
                "this key may not use this model: check its rights and the model's name".to_owned()
            }
            404 | 405 | 501 => format!(
                "check that the base URL ends in /v1 and that {:?} is served there",
                self.model
            ),
            _ => return Attempt::Final(Failure::Request(message)),
        };
        Attempt::Final(match code {
            404 | 405 | 501 => Failure::Unknown { message, hint },
            _ => Failure::Unusable { message, hint },
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, BodyError> {
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > self.options.body_limit => {
                    return Err(BodyError::TooLong);
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes),
                Err(error) => return Err(BodyError::Cut(causes(&error.without_url()))),
            }
        }
    }

    /// The server's own words, short, on one line, without the key.
    fn excerpt(&self, bytes: &[u8]) -> String {
        let text = match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => error_message(&value).unwrap_or_else(|| value.to_string()),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        };
        // Masked before it is shortened: half a key is a leak too.
        let text = self.clean(&text);
        let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            return "(nothing)".to_owned();
        }
        if let Some((end, _)) = line.char_indices().nth(EXCERPT_CHARS) {
            line.truncate(end);
            line.push('…');
        }
        line.retain(|c| !c.is_control());
        line
    }

    fn clean(&self, text: &str) -> String {
        self.options
            .api_key
            .as_ref()
            .map_or_else(|| text.to_owned(), |key| Secret::redact(key, text))
    }

    /// Templates that add more than was reserved raise the next reservations.
    fn learn(&self, bound: Usage, used: Usage) {
        let missing = used.input_tokens.saturating_sub(bound.input_tokens);
        if missing > 0 {
            self.template_tokens.fetch_add(missing, Ordering::Relaxed);
        }
    }
}

enum BodyError {
    TooLong,
    Cut(String),
}

fn check_url(base_url: &str) -> Result<(), ModelError> {
    let url = reqwest::Url::parse(base_url).map_err(|error| {
        unusable(&format!("can't read the base URL: {error}"), "write http://HOST:PORT/v1")
    })?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(unusable(
            "the base URL holds a user name, a password or a query",
            "keep keys out of model strings: put them in OPENAI_API_KEY",
        ));
    }
    Ok(())
}

pub(super) fn unusable(message: &str, hint: &str) -> ModelError {
    ModelError::Unusable { message: message.to_owned(), hint: hint.to_owned() }
}

fn header(response: &Response, name: &reqwest::header::HeaderName) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// An error with its causes on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// The message inside the error bodies that servers send.
fn error_message(value: &Value) -> Option<String> {
    ["/error/message", "/error", "/message", "/detail"]
        .iter()
        .find_map(|path| value.pointer(path)?.as_str())
        .map(str::to_owned)
}

/// Tokens that the server says it counted.
fn usage(answer: &Value) -> Option<Usage> {
    Some(Usage {
        input_tokens: answer.pointer("/usage/prompt_tokens")?.as_u64()?,
        output_tokens: answer
            .pointer("/usage/completion_tokens")
            .and_then(Value::as_u64)
            .unwrap_or_default(),
    })
}
