//! Portkey: exports of its logs, and the log object of its interface.
//!
//! Source: Portkey-AI/openapi `openapi.yaml` (commit a2191f44, 2026-06-12:
//! LogExportsRequestedData, LogObject); portkey.ai/docs/product/observability/logs-export. The
//! documents leave open whether `request` and `response` are bodies or wrap them, and whether
//! `metadata` is a map or two lists: all of them are taken.

use super::{Out, header, is_failure, user_in};
use crate::readers::body;
use crate::readers::json::Json;
use crate::readers::times::time_ms;
use crate::row::LogRow;
use std::borrow::Cow;

const REQUEST: [&str; 2] = ["request", "request.body"];
const RESPONSE: [&str; 2] = ["response", "response.body"];

pub(super) fn looks(record: &Json<'_>) -> Option<&'static str> {
    if record.has("ai_model") || record.has_all(&["ai_org", "is_success"]) {
        return Some("ai_model, or ai_org with is_success, is there");
    }
    let object = record.has_all(&["metrics", "request", "response"]);
    object.then_some("metrics stand beside request and response")
}

pub(super) fn read(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&REQUEST);
    record.expand(&RESPONSE);
    record.expand(&["metadata", "metrics"]);
    let record = &*record;
    let metrics = record.get("metrics");
    let either = |key: &str| match record.get(key) {
        Json::Null => metrics.get(key),
        here => here,
    };
    let (request, response) = (record.first(&REQUEST), record.first(&RESPONSE));
    let (asked, answered) = (Body::of(request), Body::of(response));
    let metadata = either("metadata");
    let mut row = LogRow {
        id: record.first(&["id", "trace_id"]).text(),
        account: user_in(metadata),
        time_ms: time_ms(either("created_at")),
        model: either("ai_model").text(),
        user_agent: header(request.get("headers"), "user-agent"),
        stream: either("stream_mode").bool().unwrap_or_default(),
        failed: either("is_success").bool() == Some(false)
            || is_failure(either("response_status_code"))
            || is_failure(response.get("status")),
        ..LogRow::default()
    };
    let lists = (
        metrics.first(&["metadata_key", "metadata.key"]),
        metrics.first(&["metadata_value", "metadata.value"]),
    );
    row.account = row.account.or_else(|| listed(metadata, lists));
    let keys = ["api_key_id", "virtual_key", "workspace_slug"];
    body::request(&mut row, asked.get());
    row.account = row.account.or_else(|| keys.iter().find_map(|key| either(key).name()));
    body::response(&mut row, answered.get());
    if let Some(n) = either("req_units").count() {
        row.prompt_tokens = n;
    }
    if let Some(n) = either("res_units").count() {
        row.completion_tokens = n;
    }
    out(&row);
}

/// The user's name in metadata that is kept as a list of keys beside a list of values.
fn listed<'b>(
    metadata: &'b Json<'b>,
    beside: (&'b Json<'b>, &'b Json<'b>),
) -> Option<Cow<'b, str>> {
    let inside = (metadata.first(&["keys", "key"]), metadata.first(&["values", "value"]));
    let (keys, values) = if beside.0.is_null() { inside } else { beside };
    super::USER_KEYS.iter().find_map(|name| {
        let index = keys.list().iter().position(|key| key.str() == Some(name))?;
        values.list().get(index)?.name()
    })
}

/// A body, bare or inside of the message that carried it.
enum Body<'b> {
    Here(&'b Json<'b>),
    Read(Json<'b>),
}

impl<'b> Body<'b> {
    fn of(message: &'b Json<'b>) -> Self {
        match message.get("body") {
            Json::Null => Self::Here(message),
            Json::Text(text) => {
                let mut body = Json::Text(Cow::Borrowed(text));
                body.expand_self();
                Self::Read(body)
            }
            body => Self::Here(body),
        }
    }

    fn get(&'b self) -> &'b Json<'b> {
        match self {
            Self::Here(body) => body,
            Self::Read(body) => body,
        }
    }
}
