//! One reader for each product, after the product's own schema.
//!
//! `looks` says whether a record is of the product and what tells so; `read` hands out its
//! exchanges. Both are lenient about what is absent: exports leave out columns, and versions
//! differ. Who the account is where a product knows several names: the finest that it holds, from
//! the end user over the user to the key; a mapping chooses otherwise.

mod anthropic;
mod cloudflare;
mod helicone;
mod langfuse;
mod litellm;
mod openai;
mod otel;
mod portkey;
mod tensorzero;

use super::Format;
use super::json::Json;
use crate::row::LogRow;
use std::borrow::Cow;

/// Takes the rows of a record.
pub(super) type Out<'o> = &'o mut dyn FnMut(&LogRow<'_>);

/// Whether a record is of this format, and what tells so.
pub(super) fn looks(format: Format, record: &Json<'_>) -> Option<&'static str> {
    match format {
        Format::Exchange => native_looks(record),
        Format::ExchangeParquet | Format::Mapped => None,
        Format::OpenAi => openai::looks(record),
        Format::Anthropic => anthropic::looks(record),
        Format::LitellmSpend => litellm::looks_spend(record),
        Format::LitellmPayload => litellm::looks_payload(record),
        Format::Helicone => helicone::looks(record),
        Format::Langfuse => langfuse::looks(record),
        Format::TensorZero => tensorzero::looks(record),
        Format::OtelGenai => otel::looks(record),
        Format::Portkey => portkey::looks(record),
        Format::Cloudflare => cloudflare::looks(record),
    }
}

/// Reads a record. Nothing is handed out where it is sound but no exchange.
///
/// # Errors
/// What is wrong with it; nothing was handed out then.
pub(super) fn read(format: Format, record: &mut Json<'_>, out: Out<'_>) -> Result<(), String> {
    match format {
        Format::Exchange => {
            // Not the fast way: a mapping, or a record of a document.
            return super::native::read(record.to_json().as_bytes(), true, out);
        }
        Format::ExchangeParquet => super::mapping::flat(record, out),
        Format::Mapped => out(&LogRow::default()),
        Format::OpenAi => openai::read(record, out),
        Format::Anthropic => anthropic::read(record, out),
        Format::LitellmSpend => litellm::read_spend(record, out),
        Format::LitellmPayload => litellm::read_payload(record, out),
        Format::Helicone => helicone::read(record, out),
        Format::Langfuse => langfuse::read(record, out),
        Format::TensorZero => tensorzero::read(record, out),
        Format::OtelGenai => otel::read(record, out),
        Format::Portkey => portkey::read(record, out),
        Format::Cloudflare => cloudflare::read(record, out),
    }
    Ok(())
}

fn native_looks(record: &Json<'_>) -> Option<&'static str> {
    let is_list = matches!(record.get("messages"), Json::List(_));
    let others = ["object", "choices", "call_type", "request"];
    let ours = record.has("id") && is_list && !others.iter().any(|key| record.has(key));
    ours.then_some("id and messages are there")
}

/// The keys that callers put a user's name under, in maps that are theirs.
const USER_KEYS: [&str; 7] =
    ["_user", "user_id", "userId", "user", "end_user", "customer_id", "account"];

/// The user's name in a map that is the caller's.
fn user_in<'b>(map: &'b Json<'b>) -> Option<Cow<'b, str>> {
    USER_KEYS.iter().find_map(|key| map.get(key).name())
}

/// Headers by name, in whatever case.
fn header<'b>(headers: &'b Json<'b>, name: &str) -> Cow<'b, str> {
    let found = headers.entries().iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.text()).unwrap_or_default()
}

/// Whether a status says that the request failed.
fn is_failure(status: &Json<'_>) -> bool {
    status.count().is_some_and(|status| status >= 400)
}
