//! What can be set about metrics, logs, spans and kept exchanges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object in a line.
    Json,
}

/// Which requests get a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogRequests {
    /// None.
    None,
    /// Those that failed: a status of 500 and above, or an upstream that broke off.
    #[default]
    Failed,
    /// All.
    All,
}

/// Metrics, logs, spans, kept exchanges. Keys and bodies are in none of them; prompts are kept
/// only with `store_prompts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObserveConfig {
    /// How a log line looks.
    pub log_format: LogFormat,
    /// The least important lines that are written: `error`, `warn`, `info`, `debug`, `trace`.
    pub log_level: String,
    /// Which requests get a log line.
    pub log_requests: LogRequests,
    /// Whether logs and spans name accounts; otherwise they hold pseudonyms, which the dashboard
    /// shows beside the account.
    pub account_names: bool,
    /// Whether `/metrics` on the admin address is served without a key.
    pub metrics_open: bool,
    /// OTLP/HTTP end point for spans; absent: none are made. Without a path `/v1/traces` is meant.
    pub otlp_endpoint: Option<String>,
    /// Name of the environment variable with headers for that end point, `NAME=VALUE,NAME=VALUE`.
    pub otlp_headers_env: Option<String>,
    /// Share of requests that get a span, 0 to 1.
    pub otlp_sample_ratio: f64,
    /// What the guard is called in spans (`service.name`).
    pub service_name: String,
    /// Whether exchanges with their prompts and answers are kept, in `exchanges` in the data
    /// folder.
    pub store_prompts: bool,
    /// Days that exchanges are kept for.
    pub prompts_keep_days: u32,
    /// Megabytes that exchanges may take; the oldest day goes first.
    pub prompts_megabytes_max: u64,
}

impl Default for ObserveConfig {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Human,
            log_level: "info".to_owned(),
            log_requests: LogRequests::Failed,
            account_names: false,
            metrics_open: false,
            otlp_endpoint: None,
            otlp_headers_env: None,
            otlp_sample_ratio: 1.0,
            service_name: "stillwatch-guard".to_owned(),
            store_prompts: false,
            prompts_keep_days: 30,
            prompts_megabytes_max: 10_000,
        }
    }
}
