//! Anthropic: pairs of request and response, batch requests and results, bare messages.
//!
//! Sources: anthropics/anthropic-sdk-python `types/message.py`, `types/usage.py` (commit
//! 0c20cf40), `types/metadata_param.py` (commit 887ee67f); platform.claude.com, reference of
//! batches. Messages hold no time; results of batches hold no prompt and no user.

use super::{Out, openai};
use crate::readers::body;
use crate::readers::json::Json;
use crate::row::LogRow;

pub(super) fn looks(record: &Json<'_>) -> Option<&'static str> {
    let is_message = |json: &Json<'_>| {
        json.get("type").str() == Some("message") && json.get("role").str() == Some("assistant")
    };
    if record.has_all(&["custom_id", "result"]) || record.has_all(&["custom_id", "params"]) {
        return Some("custom_id beside result or params: a batch");
    }
    let response = record.first(&["response", "output", "completion"]);
    if is_message(record) || is_message(response) {
        return Some("the response is a message");
    }
    // Failures hold no message; the request tells by what only it has.
    let request = record.first(&["request", "input", "body"]);
    let asks = request.has_all(&["messages", "max_tokens"])
        && (request.has("system") || request.has("stop_sequences") || request.has("thinking"));
    asks.then_some("a request with max_tokens and a system prompt of its own")
}

pub(super) fn read(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&["request", "input", "body", "response", "output", "completion", "result"]);
    let record = &*record;
    let mut row = LogRow::default();
    if record.has("custom_id") {
        row.id = record.get("custom_id").text();
        body::request(&mut row, record.get("params"));
        let result = record.get("result");
        row.failed = result.get("type").str().is_some_and(|kind| kind != "succeeded");
        body::response(&mut row, result.get("message"));
    } else if record.get("type").str() == Some("message") {
        body::response(&mut row, record);
    } else {
        openai::pair(record, &mut row);
    }
    out(&row);
}
