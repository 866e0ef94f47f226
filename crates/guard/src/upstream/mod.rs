//! The models behind the guard: choice by weight, pooled connections, patience, breakers.

use crate::{GuardError, Secrets};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Base URL, with or without `/v1`.
    pub url: String,
    /// Share of the requests among upstreams that have the model.
    #[serde(default = "one")]
    pub weight: u32,
    /// Models that it has; empty: all.
    #[serde(default)]
    pub models: Vec<String>,
    /// Environment variable with its key, sent in place of virtual keys.
    #[serde(default)]
    pub key_env: Option<String>,
    /// Patience for a connection, milliseconds.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// Patience for the first byte of an answer, milliseconds.
    #[serde(default = "first_byte_timeout_ms")]
    pub first_byte_timeout_ms: u64,
    /// Patience between two bytes of an answer, milliseconds.
    #[serde(default = "idle_timeout_ms")]
    pub idle_timeout_ms: u64,
}

fn one() -> u32 {
    1
}

fn connect_timeout_ms() -> u64 {
    5_000
}

fn first_byte_timeout_ms() -> u64 {
    600_000
}

fn idle_timeout_ms() -> u64 {
    120_000
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// No upstream has that model, or all are out of order.
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
    /// Method.
    pub method: http::Method,
    /// Path and query.
    pub path: String,
    /// Headers, hop-by-hop ones taken out.
    pub headers: http::HeaderMap,
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

/// All of them.
#[derive(Debug)]
pub struct Upstreams {
    _configs: Vec<UpstreamConfig>,
}

impl Upstreams {
    /// From the configuration.
    ///
    /// # Errors
    /// A URL that isn't one, a key's variable that isn't set.
    pub fn new(configs: &[UpstreamConfig], _secrets: &Secrets) -> Result<Self, GuardError> {
        Ok(Self { _configs: configs.to_vec() })
    }

    /// Index of an upstream for this model, by weight among those in order.
    ///
    /// # Errors
    /// [`UpstreamError::Unavailable`].
    pub fn choose(&self, _model: &str) -> Result<usize, UpstreamError> {
        Err(UpstreamError::Unavailable)
    }
}
