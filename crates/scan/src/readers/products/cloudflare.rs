//! Cloudflare AI Gateway: logs of its interface, and lines of Logpush.
//!
//! Sources: cloudflare/cloudflare-docs `ai-gateway/observability/logging/logpush.mdx` (commit
//! 0170ffd8); cloudflare/cloudflare-python `types/ai_gateway/log_get_response.py` (commit
//! 043865a5). Of Logpush only Metadata, RequestBody and ResponseBody are documented; the other
//! names are taken in the spelling of the interface and in that of Logpush's other datasets.
//! Values under a customer's key are counted as encrypted; with a key absent they are plain.

use super::{Out, is_failure, user_in};
use crate::readers::body;
use crate::readers::json::Json;
use crate::readers::times::time_ms;
use crate::row::{LogRow, NoContent};

pub(super) fn looks(record: &Json<'_>) -> Option<&'static str> {
    if record.has("RequestBody") || record.has("ResponseBody") {
        return Some("RequestBody or ResponseBody is there: Logpush");
    }
    let log = record.has_all(&["provider", "tokens_in", "tokens_out"]);
    log.then_some("provider, tokens_in and tokens_out are there")
}

pub(super) fn read(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&["metadata", "Metadata", "request", "response", "RequestBody", "ResponseBody"]);
    let mut sealed = false;
    if let Json::Map(entries) = &mut *record {
        for (key, value) in entries {
            if ["Metadata", "RequestBody", "ResponseBody"].contains(&key.as_ref()) {
                sealed |= unwrap(value);
            }
        }
    }
    let record = &*record;
    let metadata = record.first(&["metadata", "Metadata"]);
    let mut row = LogRow {
        id: record.first(&["id", "ID", "RayID"]).text(),
        account: user_in(metadata),
        time_ms: time_ms(record.first(&["created_at", "CreatedAt", "Timestamp", "Datetime"])),
        model: record.first(&["model", "Model"]).text(),
        failed: record.get("success").bool() == Some(false)
            || is_failure(record.first(&["status_code", "StatusCode"])),
        ..LogRow::default()
    };
    body::request(&mut row, record.first(&["request", "RequestBody"]));
    body::response(&mut row, record.first(&["response", "ResponseBody"]));
    if let Some(n) = record.first(&["tokens_in", "TokensIn"]).count() {
        row.prompt_tokens = n;
    }
    if let Some(n) = record.first(&["tokens_out", "TokensOut"]).count() {
        row.completion_tokens = n;
    }
    if sealed {
        row.no_content = Some(NoContent::Encrypted);
    }
    out(&row);
}

/// Takes a value out of its envelope `{key, iv, data}`; whether it is encrypted, and gone.
fn unwrap(value: &mut Json<'_>) -> bool {
    if !value.has("data") || !(value.has("iv") || value.has("key") || value.entries().len() == 1) {
        return false;
    }
    if value.get("key").is_filled() {
        *value = Json::Null;
        return true;
    }
    let Json::Map(entries) = value else { return false };
    let data = entries.drain(..).find(|(key, _)| key == "data").map(|(_, data)| data);
    *value = data.unwrap_or_default();
    value.expand_self();
    false
}
