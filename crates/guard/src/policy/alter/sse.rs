//! Server-sent events, altered one by one (WHATWG HTML, section 9.2.6 has the format).

use super::{Alteration, Edited, Reasoning, anthropic::Messages, chat::Chat, responses::Responses};
use crate::request::Api;
use bytes::Bytes;

/// The longest event that is looked into; longer ones pass as they are.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// What stands for an event that was taken out of an Anthropic stream.
const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";
/// What stands for one taken out of another stream: a comment, which clients skip.
const COMMENT: &[u8] = b": withheld\n\n";

#[derive(Debug)]
enum Editor {
    Chat(Chat),
    Responses(Responses),
    Messages(Messages),
}

/// Alters a stream: bytes in, cut anywhere; whole events out.
#[derive(Debug)]
pub struct SseAlterer {
    editor: Editor,
    /// Bytes of the event that hasn't ended yet.
    event: Vec<u8>,
    /// How many of them were looked at for the end.
    scanned: usize,
    /// Whether the line at `scanned` is empty so far.
    line_is_empty: bool,
    /// Whether the beginning of this event is on its way already, for its length.
    is_oversized: bool,
    event_bytes_max: usize,
}

impl SseAlterer {
    pub(super) fn new(alteration: Alteration) -> Self {
        let reasoning: Reasoning = alteration.reasoning;
        let editor = match alteration.api {
            Api::Messages => Editor::Messages(Messages::new(reasoning)),
            Api::Responses => Editor::Responses(Responses::new(reasoning)),
            _ => Editor::Chat(Chat::new(reasoning)),
        };
        Self {
            editor,
            event: Vec::new(),
            scanned: 0,
            line_is_empty: true,
            is_oversized: false,
            event_bytes_max: EVENT_BYTES_MAX,
        }
    }

    /// The next bytes of the upstream; what of the stream is ready to be sent.
    pub fn push(&mut self, bytes: &[u8]) -> Bytes {
        self.event.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(bytes.len());
        while let Some(end) = self.find_end(false) {
            self.emit(end, &mut out);
        }
        if self.event.len() > self.event_bytes_max || self.is_oversized {
            self.is_oversized = true;
            out.extend(self.event.drain(..self.scanned));
            self.scanned = 0;
        }
        Bytes::from(out)
    }

    /// The rest, when the upstream has ended. An event that was cut off is nothing to a client
    /// (the standard has it discarded), so that it only passes where it withholds nothing.
    pub fn finish(mut self) -> Bytes {
        let mut out = Vec::new();
        while let Some(end) = self.find_end(true) {
            self.emit(end, &mut out);
        }
        if self.is_oversized {
            out.append(&mut self.event);
        } else if !self.event.is_empty() {
            let event = std::mem::take(&mut self.event);
            match self.edit(&event) {
                Edited::Same if mentions_withheld(&event) && is_cut_json(&event) => {}
                Edited::Same => out.extend_from_slice(&event),
                Edited::Changed(new) => out.extend_from_slice(&new),
                Edited::Dropped => {}
            }
        }
        Bytes::from(out)
    }

    /// Length of the first event with the blank line that ends it.
    fn find_end(&mut self, is_last: bool) -> Option<usize> {
        while let Some(&byte) = self.event.get(self.scanned) {
            let next = self.event.get(self.scanned + 1);
            let len = match (byte, next) {
                (b'\r', Some(b'\n')) => 2,
                (b'\r', None) if !is_last => return None,
                (b'\n' | b'\r', _) => 1,
                _ => 0,
            };
            if len == 0 {
                self.line_is_empty = false;
                self.scanned += 1;
                continue;
            }
            self.scanned += len;
            if self.line_is_empty {
                return Some(self.scanned);
            }
            self.line_is_empty = true;
        }
        None
    }

    fn emit(&mut self, end: usize, out: &mut Vec<u8>) {
        let rest = self.event.split_off(end);
        let event = std::mem::replace(&mut self.event, rest);
        self.scanned = 0;
        self.line_is_empty = true;
        let was_oversized = std::mem::take(&mut self.is_oversized);
        if was_oversized || event.len() > self.event_bytes_max {
            out.extend_from_slice(&event);
            return;
        }
        match self.edit(&event) {
            Edited::Same => out.extend_from_slice(&event),
            Edited::Changed(new) => out.extend_from_slice(&new),
            Edited::Dropped if matches!(self.editor, Editor::Messages(_)) => {
                out.extend_from_slice(PING);
            }
            Edited::Dropped => out.extend_from_slice(COMMENT),
        }
    }

    /// One event, with its lines' ends.
    fn edit(&mut self, event: &[u8]) -> Edited {
        let lines = lines(event);
        let data: Vec<&[u8]> = lines.iter().filter_map(|(line, _)| data_of(line)).collect();
        let joined = data.join(&b'\n');
        if !joined.starts_with(b"{") {
            return Edited::Same;
        }
        let edited = match &mut self.editor {
            Editor::Chat(chat) => chat.edit(&joined),
            Editor::Responses(responses) => responses.edit(&joined),
            Editor::Messages(messages) => messages.edit(&joined),
        };
        let new = match edited {
            Edited::Changed(new) => new,
            Edited::Same | Edited::Dropped => return edited,
        };
        let mut out = Vec::with_capacity(event.len());
        let mut is_written = false;
        for (line, end) in lines {
            if data_of(line).is_none() {
                out.extend_from_slice(line);
                out.extend_from_slice(end);
            } else if !is_written {
                is_written = true;
                for part in new.split(|byte| *byte == b'\n') {
                    out.extend_from_slice(b"data: ");
                    out.extend_from_slice(part);
                    out.extend_from_slice(end);
                }
            }
        }
        Edited::Changed(out)
    }
}

/// The lines of an event, each with what ends it.
fn lines(event: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    let mut rest = event;
    while !rest.is_empty() {
        let len = rest.iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count();
        let (line, tail) = rest.split_at(len);
        let end_len = if tail.starts_with(b"\r\n") { 2 } else { tail.len().min(1) };
        let (end, after) = tail.split_at(end_len);
        found.push((line, end));
        rest = after;
    }
    found
}

fn data_of(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data:")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Whether the bytes name a field that may hold what is withheld.
fn mentions_withheld(bytes: &[u8]) -> bool {
    ["reasoning", "thinking", "logprobs", "signature_delta"]
        .iter()
        .any(|name| bytes.windows(name.len()).any(|window| window == name.as_bytes()))
}

/// Whether the event's data begins like an object and doesn't end like one.
fn is_cut_json(event: &[u8]) -> bool {
    let lines = lines(event);
    let data: Vec<&[u8]> = lines.iter().filter_map(|(line, _)| data_of(line)).collect();
    let joined = data.join(&b'\n');
    joined.starts_with(b"{") && super::span::root(&joined).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Actions;

    #[test]
    fn an_event_beyond_the_limit_passes_whole_however_it_is_cut() {
        let actions = Actions { strip_reasoning: true, ..Actions::default() };
        let event = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"reasoning\":\"{}\"}}}}]}}\n\n",
            "x".repeat(200)
        );
        let small = "data: {\"choices\":[{\"delta\":{\"reasoning\":\"y\"}}]}\n\n";
        let input = format!("{event}{small}");
        let expected = format!("{event}data: {{\"choices\":[{{\"delta\":{{}}}}]}}\n\n");
        for step in [1, 7, 60, 1000] {
            let alteration = Alteration::new(Api::Chat, &actions).expect("strips");
            let mut alterer = alteration.stream();
            alterer.event_bytes_max = 100;
            let mut out = Vec::new();
            for piece in input.as_bytes().chunks(step) {
                out.extend_from_slice(&alterer.push(piece));
            }
            out.extend_from_slice(&alterer.finish());
            assert_eq!(String::from_utf8(out).expect("UTF-8"), expected, "{step}");
        }
    }
}
