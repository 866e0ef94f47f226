//! TensorZero: its tables of inferences, from ClickHouse or Postgres.
//!
//! Source: tensorzero/tensorzero `docs/gateway/data-model.mdx` and the Postgres migrations
//! 20260116 to 20260213 (commit 7a6159a4, 2026-04-24). The account is a tag of the inference; the
//! table of calls to models has none, so its rows are counted without an account. Times come from
//! the identifiers (UUID version 7), which are finer than the column. Stored blocks of text hold
//! `text`, in old versions perhaps `value`: both are taken.

use super::{Out, user_in};
use crate::readers::body;
use crate::readers::json::Json;
use crate::readers::times::{time_ms, uuid7_ms};
use crate::row::LogRow;

const JSON_COLUMNS: [&str; 7] = [
    "input",
    "output",
    "inference_params",
    "tags",
    "input_messages",
    "raw_response",
    "raw_request",
];

pub(super) fn looks(record: &Json<'_>) -> Option<&'static str> {
    if record.has_all(&["episode_id", "variant_name"]) {
        return Some("episode_id and variant_name are there");
    }
    let call = record.has_all(&["inference_id", "model_provider_name"]);
    call.then_some("inference_id and model_provider_name are there")
}

pub(super) fn read(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&JSON_COLUMNS);
    let record = &*record;
    // A call to a model is named after the inference that it was made for.
    let id = record.first(&["inference_id", "id"]).text();
    let time = record.first(&["created_at", "timestamp"]);
    let tags = record.get("tags");
    let mut row = LogRow {
        time_ms: uuid7_ms(&id).or_else(|| time_ms(time)),
        id,
        account: user_in(tags),
        model: record.first(&["model_name", "function_name"]).text(),
        finish_reason: record.get("finish_reason").text(),
        ..LogRow::default()
    };
    row.account = row.account.or_else(|| tags.get("tensorzero::api_key_public_id").name());
    let input = record.first(&["input", "input_messages"]);
    body::messages(&mut row, input);
    let system = record.get("system");
    if system.is_filled() {
        row.system = body::content(system);
    }
    let params = record.get("inference_params");
    body::params(
        &mut row,
        match params.get("chat_completion") {
            Json::Null => params,
            chat => chat,
        },
    );
    row.stream |= record.get("ttft_ms").f64().is_some();
    row.tools = record.first(&["dynamic_tools", "tool_params"]).is_filled();
    let output = record.get("output");
    row.response = match output {
        // Inferences of JSON keep their text under `raw`.
        Json::Map(_) => output.get("raw").text(),
        other => body::content(other),
    };
    body::usage(&mut row, record);
    out(&row);
}
