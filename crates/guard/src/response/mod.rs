//! Reads along while an answer passes: its text, why it ended, what it cost. Never changes a
//! byte, never holds one back, and keeps at most [`TEXT_BYTES_MAX`] of text.
//!
//! Bytes may be cut anywhere; what comes out depends on their sequence alone. An answer that
//! isn't understood is no error, only incomplete. Which HTTP status it had is the caller's to
//! judge, and so is whether its text may count as evidence.

mod collect;
mod events;
mod shapes;

use crate::{limits::Cost, request::Api};
use collect::Collector;
use events::Events;

/// The longest text of an answer that is kept, bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// The longest JSON body or single event that is read, bytes. Longer ones pass unread.
pub const PIECE_BYTES_MAX: usize = 8 << 20;

/// What an answer was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the answer")]
pub struct Answer {
    /// Its text (that of the first choice).
    pub text: String,
    /// Hidden reasoning that came with it, apart from the text.
    pub reasoning: String,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// What it cost, where the upstream said so.
    pub cost: Option<Cost>,
    /// Whether it ended as its protocol says (a stream's last event, a whole JSON body), and
    /// every piece of it was understood.
    pub complete: bool,
    /// Whether it holds more than text (tool calls, several choices), so that its text alone
    /// isn't the answer.
    pub has_other_parts: bool,
    /// Whether the model or its filter declined to answer.
    pub refused: bool,
    /// Whether text or reasoning were longer than what is kept.
    pub is_cut: bool,
}

/// Reads along.
#[derive(Debug)]
pub struct Reader {
    pieces: Pieces,
    collector: Collector,
}

#[derive(Debug)]
enum Pieces {
    /// One JSON document; `None` once it is too long.
    Whole(Option<Vec<u8>>),
    Events(Events),
    /// Nothing that is worth reading.
    Ignored,
}

impl Reader {
    /// For an answer of this shape; `stream` as the response's content type says.
    pub fn new(api: Api, stream: bool) -> Self {
        let pieces = match (api, stream) {
            (Api::Models, _) => Pieces::Ignored,
            (_, true) => Pieces::Events(Events::new()),
            (_, false) => Pieces::Whole(Some(Vec::new())),
        };
        Self { pieces, collector: Collector::new(api) }
    }

    /// The next bytes, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        let collector = &mut self.collector;
        match &mut self.pieces {
            Pieces::Events(events) => events.push(bytes, &mut |data| collector.event(data)),
            Pieces::Whole(Some(body)) if body.len() + bytes.len() <= PIECE_BYTES_MAX => {
                body.extend_from_slice(bytes);
            }
            Pieces::Whole(body) => *body = None,
            Pieces::Ignored => {}
        }
    }

    /// The text so far: it only grows. That of a JSON body is known at its end.
    pub fn text(&self) -> &str {
        self.collector.text()
    }

    /// The end of the body, orderly or not.
    pub fn finish(self) -> Answer {
        let Self { pieces, mut collector } = self;
        match pieces {
            Pieces::Events(events) => {
                let lost = events.finish(&mut |data| collector.event(data));
                if lost {
                    collector.misread();
                }
            }
            Pieces::Whole(Some(body)) => collector.body(&body),
            Pieces::Whole(None) => collector.misread(),
            Pieces::Ignored => {}
        }
        collector.finish()
    }
}
