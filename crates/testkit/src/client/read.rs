//! The text of an answer as a client sees it grow.

use serde_json::Value;

/// Where the three shapes keep text in an event, and in a whole answer.
const IN_EVENT: [&str; 3] = ["/choices/0/delta/content", "/delta/text", "/delta"];
const IN_WHOLE: [&str; 3] =
    ["/choices/0/message/content", "/content/0/text", "/output/0/content/0/text"];

/// Collects text from bytes that are cut anywhere.
#[derive(Debug)]
pub(super) struct TextReader {
    stream: bool,
    pending: Vec<u8>,
    text: String,
}

impl TextReader {
    pub(super) fn new(stream: bool) -> Self {
        Self { stream, pending: Vec::new(), text: String::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if !self.stream {
            return;
        }
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data: ") else { continue };
            let Ok(event) = serde_json::from_slice::<Value>(data) else { continue };
            if let Some(kind) = event.get("type").and_then(Value::as_str)
                && !matches!(kind, "content_block_delta" | "response.output_text.delta")
            {
                continue;
            }
            let piece = IN_EVENT.iter().find_map(|at| event.pointer(at).and_then(Value::as_str));
            self.text.push_str(piece.unwrap_or_default());
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn finish(self) -> String {
        if self.stream {
            return self.text;
        }
        let whole: Value = serde_json::from_slice(&self.pending).unwrap_or_default();
        let text = IN_WHOLE.iter().find_map(|at| whole.pointer(at).and_then(Value::as_str));
        text.unwrap_or_default().to_owned()
    }
}
