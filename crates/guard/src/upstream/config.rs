//! What can be set of an upstream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
    /// PEM file of certificate authorities to trust in place of the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Patience for a connection, milliseconds.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// Patience for the first byte of an answer, milliseconds.
    #[serde(default = "first_byte_timeout_ms")]
    pub first_byte_timeout_ms: u64,
    /// Patience between two bytes of an answer, milliseconds.
    #[serde(default = "idle_timeout_ms")]
    pub idle_timeout_ms: u64,
    /// How long an unused connection is kept, milliseconds: less than the upstream keeps it
    /// (uvicorn, under vLLM, closes after 5 seconds).
    #[serde(default = "keep_alive_ms")]
    pub keep_alive_ms: u64,
    /// Unused connections that are kept at most.
    #[serde(default = "keep_alive_max")]
    pub keep_alive_max: usize,
    /// Failures in a row (no connection, silence, broken answers) after which it is left alone.
    #[serde(default = "breaker_failures")]
    pub breaker_failures: u32,
    /// How long it is left alone before one request tries it again, milliseconds.
    #[serde(default = "breaker_open_ms")]
    pub breaker_open_ms: u64,
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

/// Models that think in silence send the head of a stream at once and its first event minutes later.
fn idle_timeout_ms() -> u64 {
    300_000
}

fn keep_alive_ms() -> u64 {
    4_000
}

fn keep_alive_max() -> usize {
    256
}

fn breaker_failures() -> u32 {
    5
}

fn breaker_open_ms() -> u64 {
    10_000
}

impl UpstreamConfig {
    /// One at this address with everything else as by default.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            weight: one(),
            models: Vec::new(),
            key_env: None,
            ca_file: None,
            connect_timeout_ms: connect_timeout_ms(),
            first_byte_timeout_ms: first_byte_timeout_ms(),
            idle_timeout_ms: idle_timeout_ms(),
            keep_alive_ms: keep_alive_ms(),
            keep_alive_max: keep_alive_max(),
            breaker_failures: breaker_failures(),
            breaker_open_ms: breaker_open_ms(),
        }
    }
}
