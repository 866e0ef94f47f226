//! OpenAI: pairs of request and response, stored completions, responses, batch output.
//!
//! Sources: openai/openai-python `types/chat/chat_completion.py` (commit 04448952); the reference
//! of stored completions; BatchRequestOutput (OpenAPI 2.3.0). A pair has no schema of its own:
//! request, input or body beside response, output or completion. Output lines of batches and
//! stored completions hold no prompt, and the former no user: these rows are counted as such.

use super::{Out, is_failure};
use crate::readers::body;
use crate::readers::json::Json;
use crate::readers::times::time_ms;
use crate::row::LogRow;

const REQUESTS: [&str; 3] = ["request", "input", "body"];
const RESPONSES: [&str; 3] = ["response", "output", "completion"];

pub(super) fn looks(record: &Json<'_>) -> Option<&'static str> {
    let is = |json: &Json<'_>, object: &str| json.get("object").str() == Some(object);
    let request = record.first(&REQUESTS);
    if record.has("custom_id") && (record.has("response") || record.has_all(&["url", "body"])) {
        return Some("custom_id beside response or url: a batch");
    }
    if is(record, "chat.completion") || is(record, "response") || record.has("choices") {
        return Some("it is a chat completion or a response");
    }
    let asks = request.first(&["messages", "prompt", "input", "contents"]);
    (request.is_map() && !asks.is_null()).then_some("a request with messages, and its response")
}

pub(super) fn read(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&REQUESTS);
    record.expand(&RESPONSES);
    let record = &*record;
    let mut row = LogRow::default();
    if record.has("custom_id") {
        batch(record, &mut row);
    } else if record.has("choices") || record.get("object").str().is_some() {
        stored(record, &mut row);
    } else {
        pair(record, &mut row);
    }
    out(&row);
}

/// A request and its response. What stands beside them is the logger's; the usual names count.
pub(super) fn pair<'b>(record: &'b Json<'b>, row: &mut LogRow<'b>) {
    let beside = ["time", "timestamp", "created_at", "created", "ts"];
    row.time_ms = time_ms(record.first(&beside));
    row.id = record.first(&["id", "request_id"]).text();
    row.account = record.first(&["account", "user_id", "user"]).name();
    row.ip = record.first(&["ip", "client_ip", "remote_addr"]).text();
    row.user_agent = record.get("user_agent").text();
    row.failed = is_failure(record.first(&["status_code", "status"]));
    row.failed |= record.get("error").is_filled();
    let request = record.first(&REQUESTS);
    let response = record.first(&RESPONSES);
    // Some loggers keep whole HTTP messages.
    let body_of = |json: &'b Json<'b>| match json.get("body") {
        Json::Null => json,
        body => body,
    };
    row.failed |= is_failure(response.first(&["status_code", "status"]));
    body::request(row, body_of(request));
    body::response(row, body_of(response));
}

fn batch<'b>(record: &'b Json<'b>, row: &mut LogRow<'b>) {
    row.id = record.get("custom_id").text();
    row.failed = record.get("error").is_filled();
    row.failed |= is_failure(record.at(&["response", "status_code"]));
    body::request(row, record.get("body"));
    body::response(row, record.at(&["response", "body"]));
}

fn stored<'b>(record: &'b Json<'b>, row: &mut LogRow<'b>) {
    row.account = record.first(&["input_user", "safety_identifier", "user"]).name();
    row.account = row.account.take().or_else(|| super::user_in(record.get("metadata")));
    body::params(row, record);
    let input = record.first(&["messages", "input"]);
    body::messages(row, input);
    row.system = match record.get("instructions") {
        Json::Null => std::mem::take(&mut row.system),
        system => body::content(system),
    };
    body::response(row, record);
}
