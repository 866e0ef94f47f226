//! How a mock upstream behaves: answers, speed, and the faults it was told to show.

use super::RecordedRequest;
use bytes::Bytes;
use std::ops::RangeInclusive;

/// How a mock upstream behaves. Every setter has a default; `Behaviour::new()` answers at once
/// with 8 to 40 tokens of text.
#[derive(Debug, Clone)]
pub struct Behaviour {
    pub(super) seed: u64,
    pub(super) tokens: RangeInclusive<usize>,
    pub(super) latency_ms: u64,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) reasoning: bool,
    pub(super) tool_calls: bool,
    pub(super) one_answer: bool,
    pub(super) models: Vec<String>,
    pub(super) recorded_max: usize,
    pub(super) script: Vec<Option<Fault>>,
    pub(super) always: Option<Fault>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            seed: 0,
            tokens: 8..=40,
            latency_ms: 0,
            tokens_per_second: None,
            reasoning: false,
            tool_calls: false,
            one_answer: false,
            models: vec!["mock-1".to_owned(), "mock-2".to_owned()],
            recorded_max: 4_096,
            script: Vec::new(),
            always: None,
        }
    }
}

impl Behaviour {
    /// Answers at once, without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Seed of the answers' text.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Lengths of answers, tokens (a token is a word here).
    #[must_use]
    pub fn tokens(mut self, tokens: RangeInclusive<usize>) -> Self {
        self.tokens = tokens;
        self
    }

    /// Time to the first byte, milliseconds.
    #[must_use]
    pub fn latency_ms(mut self, latency_ms: u64) -> Self {
        self.latency_ms = latency_ms;
        self
    }

    /// Speed of streams. Without it a stream is written at once.
    #[must_use]
    pub fn tokens_per_second(mut self, tokens_per_second: f64) -> Self {
        self.tokens_per_second = Some(tokens_per_second);
        self
    }

    /// Shows its reasoning: `reasoning_content`, thinking blocks, reasoning items.
    #[must_use]
    pub fn reasoning(mut self) -> Self {
        self.reasoning = true;
        self
    }

    /// Calls the first tool of a request that offers tools.
    #[must_use]
    pub fn tool_calls(mut self) -> Self {
        self.tool_calls = true;
        self
    }

    /// Gives one prompt the same answer each time, as a cache or a greedy default would.
    #[must_use]
    pub fn one_answer(mut self) -> Self {
        self.one_answer = true;
        self
    }

    /// Names that `/v1/models` lists.
    #[must_use]
    pub fn models<I: IntoIterator<Item = S>, S: Into<String>>(mut self, models: I) -> Self {
        self.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// The most requests that are recorded; later ones are counted only.
    #[must_use]
    pub fn recorded_max(mut self, recorded_max: usize) -> Self {
        self.recorded_max = recorded_max;
        self
    }

    /// The next request of the script meets this fault.
    #[must_use]
    pub fn then(mut self, fault: Fault) -> Self {
        self.script.push(Some(fault));
        self
    }

    /// The next request of the script is answered.
    #[must_use]
    pub fn then_ok(mut self) -> Self {
        self.script.push(None);
        self
    }

    /// Every request after the script meets this fault.
    #[must_use]
    pub fn always(mut self, fault: Fault) -> Self {
        self.always = Some(fault);
        self
    }

    pub(super) fn fault(&self, request: &RecordedRequest) -> Option<Fault> {
        let place = usize::try_from(request.number).unwrap_or(usize::MAX);
        match self.script.get(place) {
            Some(scripted) => scripted.clone(),
            None => self.always.clone(),
        }
    }
}

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// An error in the shape of the API; with `Retry-After` in seconds where given.
    Status {
        /// Status code.
        status: u16,
        /// Seconds of the `Retry-After` header.
        retry_after: Option<u64>,
    },
    /// This very answer.
    Answer {
        /// Status code.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: Bytes,
    },
    /// These bytes instead of an HTTP answer, then the end of the connection.
    Raw(Bytes),
    /// The connection is closed before a byte of an answer.
    Drop,
    /// No header ever comes.
    HangBeforeHeaders,
    /// Headers and this many events (or half of a JSON body), then silence.
    HangMidStream {
        /// Events sent before.
        after_events: usize,
    },
    /// This many events and half of the next one (or half of a JSON body), then the connection
    /// breaks.
    CutMidEvent {
        /// Whole events sent before.
        after_events: usize,
    },
    /// This many events, then the connection breaks.
    CutMidStream {
        /// Events sent before.
        after_events: usize,
    },
    /// This many events, then an orderly end of the body: no `[DONE]`, no stop event. A JSON
    /// body ends in its middle, with a `Content-Length` that says so.
    EndEarly {
        /// Events sent before.
        after_events: usize,
    },
    /// Status 200 and `application/json`, but no JSON.
    GarbageJson,
    /// The right answer, a few bytes at a time.
    SlowDrip {
        /// Bytes at a time.
        bytes: usize,
        /// Pause between them, milliseconds.
        gap_ms: u64,
    },
    /// The right answer with a header of this many bytes.
    HugeHeader {
        /// Size of the header's value.
        bytes: usize,
    },
    /// The right answer and `Connection: close`.
    CloseAfter,
    /// JSON padded with this many bytes of text.
    HugeBody {
        /// Size of the text.
        bytes: usize,
    },
    /// A JSON object `{"method", "path", "version", "headers": [[name, value], …]}` of what was
    /// received.
    Echo,
    /// The right answer, this much later.
    Late {
        /// Milliseconds.
        ms: u64,
    },
}

impl Fault {
    /// A status in the API's error shape.
    pub fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None }
    }

    /// 429 with `Retry-After`.
    pub fn too_many(retry_after: u64) -> Self {
        Self::Status { status: 429, retry_after: Some(retry_after) }
    }

    /// Something that isn't HTTP.
    pub fn garbage() -> Self {
        Self::Raw(Bytes::from_static(b"\x16\x03\x01\x00SSH-2.0-nonsense\r\n\x00\xff\xfe\r\n\r\n"))
    }

    /// A `Content-Length` larger than what comes.
    pub fn content_length_too_long() -> Self {
        Self::Raw(Bytes::from_static(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"id\":\"x\"",
        ))
    }

    /// A `Content-Length` smaller than what comes.
    pub fn content_length_too_short() -> Self {
        Self::Raw(Bytes::from_static(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\nnull,\"and more\":true}",
        ))
    }

    /// Two `Content-Length`s that contradict each other, as smuggling would have it.
    pub fn two_content_lengths() -> Self {
        Self::Raw(Bytes::from_static(
            b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 9\r\n\r\nnull12345",
        ))
    }

    /// A redirect, which a gateway must not follow.
    pub fn redirect(to: &str) -> Self {
        Self::Answer {
            status: 302,
            headers: vec![("location".to_owned(), to.to_owned())],
            body: Bytes::new(),
        }
    }
}
