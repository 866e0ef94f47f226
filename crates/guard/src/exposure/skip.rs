//! Which requests may be exposed: by the request alone, before any coin.

use super::quotes::MarkKey;
use super::{ExposureConfig, marks::Marks};
use crate::request::{RequestView, Sampling};
use serde_json::Value;

/// The longest conversation that is exposed, bytes of text.
pub const PROMPT_BYTES_MAX: usize = 256 << 10;

/// Why a request that the draw chose isn't exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// It asks for more or something else than one text.
    NotOneText,
    /// Both texts would be the same.
    Deterministic,
    /// It goes on with something that the upstream keeps and the guard doesn't see.
    StoredConversation,
    /// It is longer than [`PROMPT_BYTES_MAX`], or says nothing.
    Length,
    /// An earlier request of its conversation was exposed.
    Conversation,
    /// It contains a passage of a text that an exposure released, to whomever.
    ReleasedText,
    /// Its account was deleted from the ledger.
    DeletedAccount,
    /// The cap of the day is reached.
    Cap,
    /// As many requests are being exposed as may be at once.
    Busy,
    /// The ledger can't be written.
    Ledger,
}

impl Skip {
    /// Stable name, for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotOneText => "not_one_text",
            Self::Deterministic => "deterministic",
            Self::StoredConversation => "stored_conversation",
            Self::Length => "length",
            Self::Conversation => "conversation",
            Self::ReleasedText => "released_text",
            Self::DeletedAccount => "deleted_account",
            Self::Cap => "cap",
            Self::Busy => "busy",
            Self::Ledger => "ledger",
        }
    }
}

/// Whether the fields of a request allow it to be exposed.
pub(super) fn by_fields(config: &ExposureConfig, request: &RequestView) -> Result<(), Skip> {
    if request.continues_stored() {
        return Err(Skip::StoredConversation);
    }
    if !request.asks_for_one_text() {
        return Err(Skip::NotOneText);
    }
    if request.sampling(config.is_greedy(&request.model)) == Sampling::Deterministic {
        return Err(Skip::Deterministic);
    }
    let bytes = request.prompt_bytes();
    if bytes == 0 || bytes > PROMPT_BYTES_MAX {
        return Err(Skip::Length);
    }
    Ok(())
}

/// Pieces of all texts of a request, sorted: its own, which its answer may repeat. An error where
/// a released text is among them.
pub(super) fn own_pieces(
    key: &MarkKey,
    released: &Marks,
    request: &RequestView,
) -> Result<Vec<u64>, Skip> {
    let mut pieces = Vec::new();
    let mut whole = Vec::new();
    for message in &request.messages {
        key.pieces(&message.content, &mut pieces);
        if message.role == "assistant" {
            whole.extend(key.whole(&message.content));
        }
    }
    // Schemas, stop words, metadata: a released text may hide there too.
    for value in request.params.values() {
        texts_of(value, &mut |text| key.pieces(text, &mut pieces));
    }
    if released.contains_any(&pieces) || released.contains_any(&whole) {
        return Err(Skip::ReleasedText);
    }
    pieces.sort_unstable();
    pieces.dedup();
    Ok(pieces)
}

fn texts_of(value: &Value, take: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(list) => list.iter().for_each(|value| texts_of(value, take)),
        Value::Object(map) => {
            for (name, value) in map {
                take(name);
                texts_of(value, take);
            }
        }
        _ => {}
    }
}
