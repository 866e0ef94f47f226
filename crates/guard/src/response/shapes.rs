//! The fields of answers that are read; all others are passed over.

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// A field that is usually text.
#[derive(Debug, Default)]
pub(super) enum Said<'a> {
    /// Absent or null.
    #[default]
    Nothing,
    /// Text, borrowed where it is spelt without escapes.
    Text(Cow<'a, str>),
    /// Anything else.
    Other,
}

impl Said<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Other => None,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SaidVisitor)
    }
}

struct SaidVisitor;

impl<'de> Visitor<'de> for SaidVisitor {
    type Value = Said<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Said<'de>, E> {
        Ok(Said::Nothing)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Said<'de>, E> {
        Ok(Said::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Said<'de>, E> {
        Ok(Said::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Said<'de>, E> {
        Ok(Said::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Said<'de>, E> {
        Ok(Said::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Said<'de>, E> {
        Ok(Said::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Said<'de>, E> {
        Ok(Said::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Said<'de>, A::Error> {
        let mut any = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            any = true;
        }
        Ok(if any { Said::Other } else { Said::Nothing })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Said::Other)
    }
}

/// Tokens, as all of the shapes count them.
#[derive(Debug, Default, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the wire")]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: Option<u64>,
    #[serde(default)]
    pub(super) completion_tokens: Option<u64>,
    #[serde(default)]
    pub(super) input_tokens: Option<u64>,
    #[serde(default)]
    pub(super) output_tokens: Option<u64>,
    #[serde(default)]
    pub(super) cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    pub(super) cache_read_input_tokens: Option<u64>,
}

/// Chat completions, completions and embeddings: a body, or a chunk of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct OpenAi<'a> {
    #[serde(default, borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(default, borrow)]
    pub(super) error: Said<'a>,
    /// Embeddings; only that they are there.
    #[serde(default, borrow)]
    pub(super) data: Said<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(default, borrow)]
    pub(super) text: Said<'a>,
    #[serde(default, borrow)]
    pub(super) delta: Option<Turn<'a>>,
    #[serde(default, borrow)]
    pub(super) message: Option<Turn<'a>>,
    #[serde(default, borrow)]
    pub(super) finish_reason: Said<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Turn<'a> {
    #[serde(default, borrow)]
    pub(super) content: Said<'a>,
    #[serde(default, borrow)]
    pub(super) refusal: Said<'a>,
    #[serde(default, borrow)]
    pub(super) reasoning_content: Said<'a>,
    #[serde(default, borrow)]
    pub(super) reasoning: Said<'a>,
    #[serde(default, borrow)]
    pub(super) tool_calls: Said<'a>,
    #[serde(default, borrow)]
    pub(super) function_call: Said<'a>,
    #[serde(default, borrow)]
    pub(super) audio: Said<'a>,
}

/// Anthropic messages: a body, or an event of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Anthropic<'a> {
    #[serde(default, rename = "type", borrow)]
    pub(super) kind: Said<'a>,
    #[serde(default, borrow)]
    pub(super) content: Option<Vec<Part<'a>>>,
    #[serde(default, borrow)]
    pub(super) content_block: Option<Part<'a>>,
    #[serde(default, borrow)]
    pub(super) delta: Option<Part<'a>>,
    #[serde(default, borrow)]
    pub(super) stop_reason: Said<'a>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(default)]
    pub(super) message: Option<Started>,
}

/// What the first event of an Anthropic stream says.
#[derive(Debug, Deserialize)]
pub(super) struct Started {
    #[serde(default)]
    pub(super) usage: Option<Usage>,
}

/// A part of an answer, or an increment of one.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(default, rename = "type", borrow)]
    pub(super) kind: Said<'a>,
    #[serde(default, borrow)]
    pub(super) text: Said<'a>,
    #[serde(default, borrow)]
    pub(super) thinking: Said<'a>,
    #[serde(default, borrow)]
    pub(super) refusal: Said<'a>,
    #[serde(default, borrow)]
    pub(super) stop_reason: Said<'a>,
}

/// An event of a stream of the Responses API.
#[derive(Debug, Deserialize)]
pub(super) struct ResponseEvent<'a> {
    #[serde(default, rename = "type", borrow)]
    pub(super) kind: Said<'a>,
    #[serde(default, borrow)]
    pub(super) delta: Said<'a>,
    #[serde(default, borrow)]
    pub(super) item: Option<OutputItem<'a>>,
    #[serde(default, borrow)]
    pub(super) response: Option<ResponseBody<'a>>,
}

/// A whole response of the Responses API.
#[derive(Debug, Deserialize)]
pub(super) struct ResponseBody<'a> {
    #[serde(default, borrow)]
    pub(super) status: Said<'a>,
    #[serde(default, borrow)]
    pub(super) output: Option<Vec<OutputItem<'a>>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(default, borrow)]
    pub(super) incomplete_details: Option<Incomplete<'a>>,
    #[serde(default, borrow)]
    pub(super) error: Said<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Incomplete<'a> {
    #[serde(default, borrow)]
    pub(super) reason: Said<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OutputItem<'a> {
    #[serde(default, rename = "type", borrow)]
    pub(super) kind: Said<'a>,
    #[serde(default, borrow)]
    pub(super) content: Option<Vec<Part<'a>>>,
    #[serde(default, borrow)]
    pub(super) summary: Option<Vec<Part<'a>>>,
}
