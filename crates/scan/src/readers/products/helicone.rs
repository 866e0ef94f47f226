//! Helicone: rows of its request interface and of its export tool.
//!
//! Sources: Helicone/helicone `packages/llm-mapper/types.ts` (commit 301a87bc, interface
//! HeliconeRequest); docs.helicone.ai/tools/export. The older camel-case form (createdAt,
//! requestBody, …) is accepted too. Bodies lie in a store that a row may only name.

use super::{Out, is_failure, user_in};
use crate::readers::body;
use crate::readers::json::Json;
use crate::readers::times::time_ms;
use crate::row::{LogRow, NoContent};

const REQUEST: [&str; 2] = ["request_body", "requestBody"];
const RESPONSE: [&str; 2] = ["response_body", "responseBody"];

pub(super) fn looks(record: &Json<'_>) -> Option<&'static str> {
    if record.has_all(&["request_id", "request_created_at"]) {
        return Some("request_id and request_created_at are there");
    }
    let older = record.has_all(&["createdAt", "requestBody"]);
    older.then_some("createdAt and requestBody are there")
}

pub(super) fn read(record: &mut Json<'_>, out: Out<'_>) {
    record.expand(&REQUEST);
    record.expand(&RESPONSE);
    record.expand(&["request_properties", "properties", "llmSchema"]);
    let record = &*record;
    let status = record.first(&["response_status", "responseStatus"]);
    let mut row = LogRow {
        id: record.first(&["request_id", "id"]).text(),
        account: record.first(&["request_user_id", "helicone_user"]).name(),
        time_ms: time_ms(record.first(&["request_created_at", "createdAt"])),
        model: record.first(&["request_model", "model", "response_model"]).text(),
        failed: is_failure(status),
        ..LogRow::default()
    };
    let properties = record.first(&["request_properties", "properties"]);
    row.account = row.account.or_else(|| record.at(&["user", "id"]).name());
    row.account = row.account.or_else(|| user_in(properties));
    body::request(&mut row, record.first(&REQUEST));
    body::response(&mut row, record.first(&RESPONSE));
    let schema = record.get("llmSchema");
    if !row.has_content() && schema.is_map() {
        body::request(&mut row, schema.get("request"));
        if let Some(last) = schema.at(&["response", "messages"]).list().last() {
            row.response = body::said(last);
        }
    }
    body::usage(&mut row, record);
    if !row.has_content() && record.get("signed_body_url").is_filled() {
        row.no_content = Some(NoContent::Elsewhere);
    }
    out(&row);
}
