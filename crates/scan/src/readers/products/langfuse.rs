//! Langfuse: observations of its exports and of its interface.
//!
//! Sources: langfuse/langfuse-docs `blob-storage-export-fields.mdx` (commit 05bdc0e1);
//! langfuse/langfuse `fern/apis/server/definition/commons.yml` (commit 0010e28f). Of its
//! observations the generations are exchanges; spans, tools, agents, embeddings and traces are
//! passed over. The older export keeps users with traces, apart from the observations.

use super::{Out, user_in};
use crate::readers::body;
use crate::readers::json::Json;
use crate::readers::times::time_ms;
use crate::row::LogRow;

pub(super) fn looks(record: &Json<'_>) -> Option<&'static str> {
    let observation = record.has("type")
        && (record.has_all(&["trace_id", "start_time"])
            || record.has_all(&["traceId", "startTime"]));
    if observation {
        return Some("type, a trace's id and a start time are there");
    }
    let trace = record.has("id")
        && (record.has_all(&["user_id", "session_id", "project_id"])
            || record.has_all(&["userId", "sessionId", "timestamp"]));
    trace.then_some("it is a trace")
}

pub(super) fn read(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&["input", "output", "model_parameters", "modelParameters", "metadata"]);
    record.expand(&["usage_details", "usageDetails", "usage"]);
    let record = &*record;
    if record.get("type").str() != Some("GENERATION") {
        return;
    }
    let mut row = LogRow {
        id: record.get("id").text(),
        account: record.first(&["user_id", "userId"]).name(),
        time_ms: time_ms(record.first(&["start_time", "startTime"])),
        model: record.first(&["provided_model_name", "model", "modelId"]).text(),
        failed: record.get("level").str() == Some("ERROR"),
        ..LogRow::default()
    };
    row.account = row.account.or_else(|| user_in(record.get("metadata")));
    body::messages(&mut row, record.get("input"));
    body::params(&mut row, record.first(&["model_parameters", "modelParameters"]));
    body::response(&mut row, record.get("output"));
    if row.finish_reason.is_empty() {
        row.finish_reason = record.at(&["metadata", "finish_reason"]).text();
    }
    let usage = record.first(&["usage_details", "usageDetails", "usage"]);
    body::usage(&mut row, usage);
    let counts = |names: &[&str]| usage.first(names).count();
    if let Some(n) = counts(&["input", "promptTokens"]) {
        row.prompt_tokens = n;
    }
    if let Some(n) = counts(&["output", "completionTokens"]) {
        row.completion_tokens = n;
    }
    out(&row);
}
