//! LiteLLM: the table of spend, and the payload that its loggers write.
//!
//! Sources: BerriAI/litellm `schema.prisma` (commit 029f645f, table LiteLLM_SpendLogs),
//! `litellm/proxy/spend_tracking/spend_tracking_utils.py` (commit 00907c60),
//! `litellm/types/utils.py` (commit 001c64f2, class StandardLoggingPayload). Keys of newer and
//! older versions are all optional. Content is stored only where that was switched on; long texts
//! keep a head and a tail around a marker.

use super::Out;
use crate::readers::body;
use crate::readers::json::Json;
use crate::readers::times::time_ms;
use crate::row::{LogRow, NoContent};

/// What content is replaced by where a key or a team asks for it.
const REDACTED: &str = "redacted-by-litellm";

pub(super) fn looks_spend(record: &Json<'_>) -> Option<&'static str> {
    let spend = record.has_all(&["request_id", "call_type"])
        && (record.has("startTime") || record.has("spend"));
    spend.then_some("request_id, call_type and startTime or spend are there")
}

pub(super) fn looks_payload(record: &Json<'_>) -> Option<&'static str> {
    let payload = record.has_all(&["id", "call_type"])
        && (record.has_all(&["startTime", "endTime"]) || record.has("model_parameters"));
    payload.then_some("id, call_type and startTime are there")
}

pub(super) fn read_spend(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&["metadata", "messages", "response", "proxy_server_request"]);
    let record = &*record;
    let mut row = head(record);
    row.id = without_cache_mark(row.id);
    row.account = ["end_user", "user", "api_key", "team_id", "organization_id"]
        .iter()
        .find_map(|key| record.get(key).name());
    row.plan = record.get("team_id").text();
    let request = record.get("proxy_server_request");
    // Whole HTTP requests keep the body below.
    body::request(
        &mut row,
        match request.get("body") {
            Json::Null => request,
            inner => inner,
        },
    );
    if row.messages_json.is_empty() {
        body::messages(&mut row, record.get("messages"));
    }
    row.failed |= record.at(&["metadata", "status"]).str() == Some("failure");
    row.failed |= record.at(&["metadata", "error_information"]).is_filled();
    finish(record, row, out);
}

pub(super) fn read_payload(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&["metadata", "messages", "response", "model_parameters"]);
    let record = &*record;
    let metadata = record.get("metadata");
    let mut row = head(record);
    row.account = record.get("end_user").name().or_else(|| {
        let names = [
            "user_api_key_end_user_id",
            "user_api_key_user_id",
            "user_api_key_hash",
            "user_api_key_alias",
            "user_api_key_team_id",
        ];
        names.iter().find_map(|key| metadata.get(key).name())
    });
    row.plan = metadata.get("user_api_key_team_id").text();
    if row.ip.is_empty() {
        row.ip = metadata.get("requester_ip_address").text();
    }
    body::params(&mut row, record.get("model_parameters"));
    body::messages(&mut row, record.get("messages"));
    row.stream |= record.get("stream").bool().unwrap_or_default();
    row.failed |= record.get("error_str").is_filled();
    finish(record, row, out);
}

/// What both have.
fn head<'b>(record: &'b Json<'b>) -> LogRow<'b> {
    LogRow {
        id: record.first(&["request_id", "id"]).text(),
        time_ms: time_ms(record.get("startTime")),
        model: match record.get("model_group").text() {
            empty if empty.is_empty() => record.get("model").text(),
            group => group,
        },
        ip: record.get("requester_ip_address").text(),
        user_agent: record.get("user_agent").text(),
        failed: record.get("status").str() == Some("failure"),
        ..LogRow::default()
    }
}

/// The answer, and the counts of the columns, which are the billed ones.
fn finish<'b>(record: &'b Json<'b>, mut row: LogRow<'b>, out: Out<'_>) {
    body::response(&mut row, record.get("response"));
    body::usage(&mut row, record);
    if row.user.starts_with(REDACTED) || row.response.starts_with(REDACTED) {
        for text in [&mut row.system, &mut row.user, &mut row.response, &mut row.messages_json] {
            *text = "".into();
        }
        row.no_content = Some(NoContent::Redacted);
    }
    out(&row);
}

/// The name of the answer that a cache gave again: `…_cache_hit1770112800.5` names the same one.
fn without_cache_mark(id: std::borrow::Cow<'_, str>) -> std::borrow::Cow<'_, str> {
    match id.split_once("_cache_hit") {
        Some((name, _)) => name.to_owned().into(),
        None => id,
    }
}
