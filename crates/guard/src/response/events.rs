//! Server-sent events (HTML living standard, section 9.2), cut anywhere, with a bound on each.
//!
//! Lines end with LF, CR LF or CR; a byte order mark at the start, comments and unknown fields
//! are passed over; the data of several `data` lines are joined by LF. Beyond the standard, an
//! event that the end of the stream cut short of its blank line still counts, because servers
//! leave that line out: a cut inside of its data shows in the data.

use super::PIECE_BYTES_MAX;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A stream of events, read along.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the stream")]
pub(super) struct Events {
    /// The beginning of a line whose end hasn't come.
    line: Vec<u8>,
    /// Data of the current event; absent before its first `data` line.
    data: Option<Vec<u8>>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
    /// The current line was too long.
    line_lost: bool,
    /// The current event was too long.
    event_lost: bool,
    /// Something was passed over because of its length.
    any_lost: bool,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            line: Vec::new(),
            data: None,
            after_cr: false,
            at_start: true,
            line_lost: false,
            event_lost: false,
            any_lost: false,
        }
    }

    /// Takes bytes; `event` gets the data of each event that is whole.
    pub(super) fn push(&mut self, bytes: &[u8], event: &mut dyn FnMut(&[u8])) {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r') {
            let (line, after) = rest.split_at(end);
            if self.line.is_empty() && !self.line_lost {
                self.take_line(line, event);
            } else {
                self.keep(line);
                let mut whole = std::mem::take(&mut self.line);
                if !self.line_lost {
                    self.take_line(&whole, event);
                }
                self.line_lost = false;
                whole.clear();
                self.line = whole;
            }
            rest = match after {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.keep(rest);
    }

    /// Keeps part of a line, within its bound.
    fn keep(&mut self, part: &[u8]) {
        if self.line.len() + part.len() > PIECE_BYTES_MAX {
            self.line = Vec::new();
            self.line_lost = true;
            self.event_lost = true;
            self.any_lost = true;
        } else if !self.line_lost {
            self.line.extend_from_slice(part);
        }
    }

    fn take_line(&mut self, line: &[u8], event: &mut dyn FnMut(&[u8])) {
        let mut line = line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(event);
            return;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        if name != b"data" {
            return;
        }
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let data = self.data.get_or_insert_default();
        if data.len() + value.len() >= PIECE_BYTES_MAX {
            *data = Vec::new();
            self.event_lost = true;
            self.any_lost = true;
        } else if !self.event_lost {
            if !data.is_empty() {
                data.push(b'\n');
            }
            data.extend_from_slice(value);
        }
    }

    fn dispatch(&mut self, event: &mut dyn FnMut(&[u8])) {
        let lost = std::mem::take(&mut self.event_lost);
        if let Some(data) = self.data.take()
            && !lost
        {
            event(&data);
        }
    }

    /// The end of the stream. Whether anything was passed over because of its length.
    pub(super) fn finish(mut self, event: &mut dyn FnMut(&[u8])) -> bool {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, event);
        }
        self.dispatch(event);
        self.any_lost
    }
}
