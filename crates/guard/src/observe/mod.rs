//! What operators see: counters, spans, logs. Texts of prompts are in none of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Metrics, logs, spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObserveConfig {
    /// OTLP/HTTP end point for spans; absent: none are made.
    pub otlp_endpoint: Option<String>,
}

/// Counters.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        Self::default()
    }
}
