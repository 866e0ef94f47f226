//! Reads along while an answer passes: its text, why it ended, what it cost. Never changes a
//! byte, never holds one back, and keeps at most [`TEXT_BYTES_MAX`] of text.

use crate::{limits::Cost, request::Api};

/// The longest text of an answer that is kept, bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// What an answer was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its text (that of the first choice).
    pub text: String,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// What it cost, where the upstream said so.
    pub cost: Option<Cost>,
    /// Whether it ended as its protocol says (a stream's last event, a whole JSON body).
    pub complete: bool,
    /// Whether it holds more than text (tool calls, several choices), so that its text alone
    /// isn't the answer.
    pub has_other_parts: bool,
}

/// Reads along.
#[derive(Debug)]
pub struct Reader {
    _api: Api,
    _stream: bool,
}

impl Reader {
    /// For an answer of this shape; `stream` as the response's content type says.
    pub fn new(api: Api, stream: bool) -> Self {
        Self { _api: api, _stream: stream }
    }

    /// The next bytes, cut anywhere.
    pub fn push(&mut self, _bytes: &[u8]) {}

    /// The end of the body, orderly or not.
    pub fn finish(self) -> Answer {
        Answer::default()
    }
}
