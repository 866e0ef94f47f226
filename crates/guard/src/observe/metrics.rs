//! The counters, in the exposition format of OpenMetrics.
//!
//! Labels are few and fixed (end point, class of status, reason); an account, a key or a text is
//! never one. What every request touches is resolved once and costs an atomic addition.

use super::{
    Durations, Health,
    labelled::{ByName, Rows},
};
use crate::{limits::Cost, policy::Measure, request::Api};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};
use std::time::Duration;

/// End points, in the order of their rows.
const APIS: [(Option<Api>, &str); 7] = [
    (Some(Api::Chat), "chat"),
    (Some(Api::Completions), "completions"),
    (Some(Api::Responses), "responses"),
    (Some(Api::Embeddings), "embeddings"),
    (Some(Api::Models), "models"),
    (Some(Api::Messages), "messages"),
    (None, "other"),
];

/// Classes of statuses, in the order of their rows.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn api_row(api: Option<Api>) -> usize {
    APIS.iter().position(|(row, _)| *row == api).unwrap_or(APIS.len() - 1)
}

/// Name of an end point, as labels and logs have it.
pub fn api_name(api: Option<Api>) -> &'static str {
    APIS.iter().find(|(row, _)| *row == api).map_or("other", |(_, name)| name)
}

/// Counters. Fields are handles: clone them where they are used.
#[derive(Debug)]
pub struct Metrics {
    /// Answered requests by end point and class of status.
    pub requests: Rows<Counter>,
    /// From a request's last header to its answer's last byte, by end point.
    pub latency: Rows<Durations>,
    /// From a request's last header to its answer's first byte, by end point.
    pub first_byte: Rows<Durations>,
    /// What the guard itself adds to a request before the upstream is asked.
    pub added: Durations,
    /// Requests being answered now.
    pub in_flight: Gauge,
    /// Failed upstream calls by kind (`connect`, `timeout`, `broken`, `unavailable`).
    pub upstream_errors: ByName<Counter>,
    /// Tokens of prompts.
    pub prompt_tokens: Counter,
    /// Tokens of answers.
    pub completion_tokens: Counter,
    /// Exposures whose first entry was written.
    pub exposures_begun: Counter,
    /// Exposures whose second entry was written.
    pub exposures_finished: Counter,
    /// Exposures that were left out, by reason (the same with the two texts swapped).
    pub exposures_dropped: ByName<Counter>,
    /// Requests that were to be exposed but weren't eligible, by reason.
    pub exposures_skipped: ByName<Counter>,
    /// Finished exposures whose texts are the same.
    pub exposures_identical: Counter,
    /// Half of the tokens of both texts of exposed requests: what exposure costs, without telling
    /// which text was longer.
    pub exposure_tokens: Counter,
    /// Group fsyncs of the ledger.
    pub ledger_fsync: Durations,
    /// Entries waiting in queues, by queue (`detector`, `ledger`, `spans`, `exchanges`).
    pub queue_depth: ByName<Gauge>,
    /// Entries that full queues dropped, by queue.
    pub queue_dropped: ByName<Counter>,
    /// Requests refused by limits, by scope and what was spent (`account requests`).
    pub limited: ByName<Counter>,
    /// Decisions made, by measure.
    pub decisions: ByName<Counter>,
    /// Requests that policies touched, by measure and mode (`strip_reasoning dry run`).
    pub policy_hits: ByName<Counter>,
    /// Keys that weren't accepted, by kind (`missing`, `unknown`, `too_many_guesses`, `admin`).
    pub key_failures: ByName<Counter>,
    /// Resident memory, bytes; read when it is asked for.
    pub resident: Gauge,
    /// What is degraded.
    pub health: Health,
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let apis = || APIS.iter().map(|(_, name)| vec![("api", *name)]);
        let statuses = APIS.iter().flat_map(|(_, name)| {
            CLASSES.iter().map(|class| vec![("api", *name), ("status", *class)])
        });
        let mut metrics = Self {
            requests: Rows::new(statuses),
            latency: Rows::new(apis()),
            first_byte: Rows::new(apis()),
            added: Durations::default(),
            in_flight: Gauge::default(),
            upstream_errors: ByName::new("kind"),
            prompt_tokens: Counter::default(),
            completion_tokens: Counter::default(),
            exposures_begun: Counter::default(),
            exposures_finished: Counter::default(),
            exposures_dropped: ByName::new("reason"),
            exposures_skipped: ByName::new("reason"),
            exposures_identical: Counter::default(),
            exposure_tokens: Counter::default(),
            ledger_fsync: Durations::default(),
            queue_depth: ByName::new("queue"),
            queue_dropped: ByName::new("queue"),
            limited: ByName::new("limit"),
            decisions: ByName::new("measure"),
            policy_hits: ByName::new("policy"),
            key_failures: ByName::new("kind"),
            resident: Gauge::default(),
            health: Health::default(),
            registry: Registry::with_prefix("stillwatch"),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Answered requests", self.requests.clone());
        let name = "request_duration";
        let help = "From a request's last header to its answer's last byte";
        r.register_with_unit(name, help, Unit::Seconds, self.latency.clone());
        let help = "From a request's last header to its answer's first byte";
        r.register_with_unit("first_byte", help, Unit::Seconds, self.first_byte.clone());
        let help = "What the guard adds before the upstream is asked";
        r.register_with_unit("added", help, Unit::Seconds, self.added.clone());
        r.register("in_flight", "Requests being answered now", self.in_flight.clone());
        r.register("upstream_errors", "Failed upstream calls", self.upstream_errors.clone());
        r.register("prompt_tokens", "Tokens of prompts", self.prompt_tokens.clone());
        r.register("completion_tokens", "Tokens of answers", self.completion_tokens.clone());
        let help = "Exposures whose first entry was written";
        r.register("exposures_begun", help, self.exposures_begun.clone());
        let help = "Exposures whose second entry was written";
        r.register("exposures_finished", help, self.exposures_finished.clone());
        r.register("exposures_dropped", "Exposures left out", self.exposures_dropped.clone());
        let help = "Requests that were to be exposed but were not eligible";
        r.register("exposures_skipped", help, self.exposures_skipped.clone());
        let help = "Exposures whose texts are the same";
        r.register("exposures_identical", help, self.exposures_identical.clone());
        let help = "Tokens sampled besides what was sent";
        r.register("exposure_tokens", help, self.exposure_tokens.clone());
        let help = "Group fsyncs of the ledger";
        r.register_with_unit("ledger_fsync", help, Unit::Seconds, self.ledger_fsync.clone());
        r.register("queue_depth", "Entries waiting in queues", self.queue_depth.clone());
        r.register("queue_dropped", "Entries that full queues dropped", self.queue_dropped.clone());
        r.register("limited", "Requests refused by limits", self.limited.clone());
        r.register("decisions", "Decisions made", self.decisions.clone());
        let help = "Requests that policies touched, or would have";
        r.register("policy_hits", help, self.policy_hits.clone());
        r.register("key_failures", "Keys that were not accepted", self.key_failures.clone());
        let help = "Resident memory";
        r.register_with_unit("resident", help, Unit::Bytes, self.resident.clone());
    }

    /// Counts an answered request. `api` is absent where no end point was matched.
    pub fn answered(&self, api: Option<Api>, status: u16, first: Option<Duration>, all: Duration) {
        let row = api_row(api);
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        if let Some(counter) = self.requests.get(row * CLASSES.len() + class) {
            counter.inc();
        }
        if let Some(latency) = self.latency.get(row) {
            latency.observe(all);
        }
        if let (Some(first), Some(durations)) = (first, self.first_byte.get(row)) {
            durations.observe(first);
        }
    }

    /// Counts what a request cost.
    pub fn spent(&self, cost: Cost) {
        self.prompt_tokens.inc_by(cost.prompt_tokens);
        self.completion_tokens.inc_by(cost.completion_tokens);
    }

    /// Counts a decision.
    pub fn decided(&self, measure: Measure) {
        let name = serde_json::to_value(measure).ok();
        self.decisions.get(name.as_ref().and_then(|name| name.as_str()).unwrap_or("other")).inc();
    }

    /// Requests with one of these classes of status, over all end points.
    pub(crate) fn n_requests(&self, classes: &[&str]) -> u64 {
        let rows = self.requests.iter();
        let rows = rows.filter(|(labels, _)| labels.iter().any(|(_, v)| classes.contains(v)));
        rows.map(|(_, counter)| counter.get()).sum()
    }

    /// All of it, as OpenMetrics text.
    pub fn text(&self) -> String {
        self.resident.set(i64::try_from(resident_bytes().unwrap_or(0)).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing into a string doesn't fail; a metric that can't be encoded cuts the text short,
        // which a scraper sees by the missing end mark.
        encode(&mut text, &self.registry).ok();
        text
    }
}

/// Resident memory of this process, where the operating system says it.
pub fn resident_bytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
