//! A span for each request, by OTLP over HTTP, after OpenTelemetry's conventions for generative
//! AI (`gen_ai.*`). Spans hold no text of prompts or answers.
//!
//! Requests put spans into a bounded queue and never wait: a full queue drops them, which is
//! counted. One task sends them in batches; a batch that an end point doesn't take is lost, which
//! is counted too.

use super::{Ended, Metrics, ObserveConfig, metrics::api_name, otlp::Otlp};
use crate::{GuardError, Secrets, request::Api};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use stillwatch_evidence::ledger::{Entropy as _, OsEntropy};
use tokio::sync::{Mutex, mpsc};

/// Spans waiting at most.
const QUEUE_MAX: usize = 4_096;
/// Spans in one batch at most.
const BATCH_MAX: usize = 512;
/// A batch is sent at least this often while there is something to send.
const BATCH_EVERY: Duration = Duration::from_secs(1);
/// What isn't sent this long after the end is lost.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// Longer names of models are cut, characters.
const MODEL_CHARS_MAX: usize = 128;

/// Makes spans.
#[derive(Debug)]
pub(super) struct Spans {
    queue: Mutex<Option<mpsc::Sender<SpanData>>>,
    sender: mpsc::WeakSender<SpanData>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
    /// Trace ids whose lower 63 bits are below this get a span.
    sampled_below: u64,
    scope: InstrumentationScope,
    dropped: Counter,
    depth: Gauge,
}

impl Spans {
    /// Starts the task that sends them; `None` where no end point is configured.
    ///
    /// # Errors
    /// The end point is no URL, or its headers aren't `NAME=VALUE,NAME=VALUE`.
    pub(super) fn start(
        config: &ObserveConfig,
        secrets: &Secrets,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Self>, GuardError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let exporter = exporter(endpoint, config, secrets)?;
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        let failed = metrics.queue_dropped.get("spans_not_taken");
        let depth = metrics.queue_depth.get("spans");
        let task = tokio::spawn(send_all(exporter, spans, failed, depth.clone()));
        Ok(Some(Self {
            sender: queue.downgrade(),
            queue: Mutex::new(Some(queue)),
            task: Mutex::new(Some(task)),
            sampled_below: sampled_below(config.otlp_sample_ratio),
            scope: InstrumentationScope::builder("stillwatch-guard")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            dropped: metrics.queue_dropped.get("spans"),
            depth,
        }))
    }

    /// Makes a span of an ended request, if it is sampled.
    pub(super) fn ended(&self, ended: &Ended<'_>, account: &str) {
        if ended.api.is_none_or(|api| api == Api::Models) {
            return;
        }
        let mut ids = [0; 24];
        if OsEntropy.fill(&mut ids).is_err() {
            return;
        }
        let (trace, span) = ids.split_at(16);
        let (Ok(trace), Ok(span)) = (trace.try_into(), span.try_into()) else { return };
        let trace = TraceId::from_bytes(trace);
        let [.., a, b, c, d, e, f, g, h] = trace.to_bytes();
        let low = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        if low >= self.sampled_below {
            return;
        }
        let context = SpanContext::new(
            trace,
            SpanId::from_bytes(span),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        let data = span_data(context, ended, account, self.scope.clone());
        if self.sender.upgrade().is_some_and(|queue| queue.try_send(data).is_ok()) {
            self.depth.inc();
        } else {
            self.dropped.inc();
        }
    }

    /// Sends what waits.
    pub(super) async fn close(&self) {
        // Without a sender the task ends when the queue is empty.
        drop(self.queue.lock().await.take());
        let task = self.task.lock().await.take();
        if let Some(mut task) = task
            && tokio::time::timeout(CLOSE_MAX, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 2^63 by the lines before"
)]
fn sampled_below(ratio: f64) -> u64 {
    const ALL: u64 = 1 << 63;
    if ratio >= 1.0 { ALL } else { (ratio.max(0.0) * ALL as f64) as u64 }
}

fn exporter(
    endpoint: &str,
    config: &ObserveConfig,
    secrets: &Secrets,
) -> Result<SpanExporter, GuardError> {
    let wrong = |e: String| GuardError::setting(format!("observe.otlp_endpoint: {e}"));
    let uri: http::Uri = endpoint.parse().map_err(|e| wrong(format!("{endpoint:?}: {e}")))?;
    let bare = uri.path().is_empty() || uri.path() == "/";
    let url = if bare {
        format!("{}/v1/traces", endpoint.trim_end_matches('/'))
    } else {
        endpoint.into()
    };
    let client = Otlp::new().map_err(|e| wrong(e.to_string()))?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_retry_policy(RetryPolicy::disabled())
        .with_headers(headers(config, secrets)?.into_iter().collect())
        .build()
        .map_err(|e| wrong(e.to_string()))?;
    let resource = Resource::builder_empty()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

fn headers(config: &ObserveConfig, secrets: &Secrets) -> Result<Vec<(String, String)>, GuardError> {
    let Some(name) = &config.otlp_headers_env else { return Ok(Vec::new()) };
    let wrong = |what: &str| {
        GuardError::setting(format!("observe.otlp_headers_env: the variable {name} {what}"))
    };
    let value = secrets.get(name).ok_or_else(|| wrong("isn't set"))?;
    let pairs = value.expose().split(',').map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    // The value is not repeated: it holds a key.
    pairs.collect::<Option<_>>().ok_or_else(|| wrong("holds no NAME=VALUE,NAME=VALUE"))
}

async fn send_all(
    exporter: SpanExporter,
    mut spans: mpsc::Receiver<SpanData>,
    failed: Counter,
    depth: Gauge,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while spans.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let full_by = tokio::time::Instant::now() + BATCH_EVERY;
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            let more = spans.recv_many(&mut batch, room);
            if !matches!(tokio::time::timeout_at(full_by, more).await, Ok(1..)) {
                break;
            }
        }
        let n_sent = batch.len();
        depth.dec_by(i64::try_from(n_sent).unwrap_or(0));
        if let Err(error) = exporter.export(std::mem::take(&mut batch)).await {
            failed.inc_by(n_sent as u64);
            tracing::warn!(n_sent, %error, "spans were not taken by the OTLP end point");
        }
    }
}

fn operation(api: Option<Api>) -> &'static str {
    match api {
        Some(Api::Completions) => "text_completion",
        Some(Api::Embeddings) => "embeddings",
        _ => "chat",
    }
}

/// At most this many characters.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(MODEL_CHARS_MAX).map_or(text, |(at, _)| text.get(..at).unwrap_or(""))
}

fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn span_data(
    context: SpanContext,
    ended: &Ended<'_>,
    account: &str,
    scope: InstrumentationScope,
) -> SpanData {
    let start = SystemTime::UNIX_EPOCH
        + Duration::from_millis(u64::try_from(ended.start_ms).unwrap_or_default());
    let model = cut(ended.model);
    let provider = if ended.api == Some(Api::Messages) { "anthropic" } else { "openai" };
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", operation(ended.api)),
        KeyValue::new("gen_ai.provider.name", provider),
        KeyValue::new("gen_ai.request.model", model.to_owned()),
        KeyValue::new("gen_ai.request.stream", ended.stream),
        KeyValue::new("http.response.status_code", i64::from(ended.status)),
        KeyValue::new("stillwatch.api", api_name(ended.api)),
        KeyValue::new("stillwatch.request_id", ended.request_id.to_owned()),
        KeyValue::new("stillwatch.account", account.to_owned()),
    ];
    let mut add = |key: &'static str, value: Option<opentelemetry::Value>| {
        attributes.extend(value.map(|value| KeyValue::new(key, value)));
    };
    let text = |text: &str| opentelemetry::Value::from(cut(text).to_owned());
    add("gen_ai.response.model", ended.response_model.map(text));
    let usage = ended.cost;
    add("gen_ai.usage.input_tokens", usage.map(|cost| integer(cost.prompt_tokens).into()));
    add("gen_ai.usage.output_tokens", usage.map(|cost| integer(cost.completion_tokens).into()));
    let reasons = ended.finish_reason.map(|reason| {
        opentelemetry::Value::Array(
            vec![opentelemetry::StringValue::from(reason.to_owned())].into(),
        )
    });
    add("gen_ai.response.finish_reasons", reasons);
    let first = ended.first_byte.map(|first| first.as_secs_f64().into());
    add("stillwatch.first_byte_s", first);
    let uri: Option<http::Uri> = ended.upstream.and_then(|url| url.parse().ok());
    add("server.address", uri.as_ref().and_then(http::Uri::host).map(text));
    let port = uri.as_ref().and_then(http::Uri::port_u16);
    add("server.port", port.map(|port| i64::from(port).into()));
    let failed = ended.error.map(str::to_owned);
    let failed = failed.or_else(|| (ended.status >= 500).then(|| ended.status.to_string()));
    add("error.type", failed.clone().map(Into::into));
    SpanData {
        span_context: context,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name: format!("{} {model}", operation(ended.api)).into(),
        start_time: start,
        end_time: start + ended.duration,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: failed.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_become_bounds() {
        assert_eq!(sampled_below(0.0), 0);
        assert_eq!(sampled_below(1.0), 1 << 63);
        assert_eq!(sampled_below(0.5), 1 << 62);
        assert_eq!(sampled_below(f64::NAN), 0);
    }

    #[test]
    fn names_are_cut_between_characters() {
        let long = "ä".repeat(1_000);
        assert_eq!(cut(&long).chars().count(), MODEL_CHARS_MAX);
        assert_eq!(cut("short"), "short");
    }
}
