//! How to talk to an endpoint: key, limits, patience.

use crate::{Budget, Secret};
use std::time::Duration;

/// Options of an OpenAI-compatible endpoint. `Default` suits a hosted API.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// Key, sent as a bearer token. The binary reads it from the environment.
    pub api_key: Option<Secret>,
    /// Limits on requests, tokens and money.
    pub budget: Budget,
    /// Most requests under way at once, at least 1.
    pub concurrency: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest time that one attempt may take, body included.
    pub timeout: Duration,
    /// Attempts per request, the first included, at least 1.
    pub attempts: u32,
    /// First wait between attempts; it doubles each time, up to [`Self::longest_wait`], and the
    /// wait is drawn between half of it and all of it.
    pub first_wait: Duration,
    /// Longest wait between two attempts. A server that asks for more (`Retry-After`) counts as lost.
    pub longest_wait: Duration,
    /// Largest body of a response, bytes.
    pub body_limit: usize,
    /// Proxy URL; the environment's proxies are not read here.
    pub proxy: Option<String>,
    /// Seed of the waits' jitter.
    pub seed: u64,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            api_key: None,
            budget: Budget::default(),
            concurrency: 8,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_mins(2),
            attempts: 6,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_mins(1),
            body_limit: 16 << 20,
            proxy: None,
            seed: 0,
        }
    }
}
