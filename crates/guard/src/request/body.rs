//! The outermost object of a body.

use super::content::{Asked, Content, ContentSeed, Listed, MessageList};
use super::params::Param;
use super::reading::Reading;
use super::{Api, RequestView};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use stillwatch_evidence::Message;

/// Reads a body of this shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'r> {
    pub(super) api: Api,
    pub(super) reading: &'r Reading,
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = RequestView;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RequestView, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// What was read so far.
#[derive(Debug)]
struct Parts {
    view: RequestView,
    model: Option<String>,
    instructions: Option<Content>,
    has_conversation: bool,
}

/// The name of the field that holds the conversation, and whether it must be there.
fn conversation_field(api: Api) -> (&'static str, bool) {
    match api {
        Api::Chat | Api::Messages | Api::Models => ("messages", true),
        Api::Completions => ("prompt", true),
        // A stored prompt may stand in its place.
        Api::Responses => ("input", false),
        Api::Embeddings => ("input", true),
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = RequestView;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RequestView, A::Error> {
        let mut parts = Parts {
            view: RequestView::empty(self.api),
            model: None,
            instructions: None,
            has_conversation: false,
        };
        while let Some(key) = map.next_key_seed(Key)? {
            let field = self.field(&key, &mut map, &mut parts);
            self.reading.within(field, || key.into_owned())?;
        }
        let (name, required) = conversation_field(self.api);
        if required && !parts.has_conversation {
            return self.reading.within(Err(A::Error::custom("it is missing")), || name.to_owned());
        }
        let Parts { mut view, model, instructions, has_conversation } = parts;
        view.model = model.unwrap_or_default();
        view.has_other_parts |= !has_conversation;
        view.stream = view.params.get("stream").and_then(Value::as_bool).unwrap_or(false);
        if let Some(Content { text, has_other_parts }) = instructions {
            view.has_other_parts |= has_other_parts;
            if !text.is_empty() {
                view.messages.insert(0, Message { role: "system".to_owned(), content: text });
            }
        }
        Ok(view)
    }
}

fn once<E: Error>(is_first: bool) -> Result<(), E> {
    if is_first { Ok(()) } else { Err(E::custom("it is given twice")) }
}

impl Body<'_> {
    fn field<'de, A: MapAccess<'de>>(
        self,
        key: &str,
        map: &mut A,
        parts: &mut Parts,
    ) -> Result<(), A::Error> {
        let (api, reading) = (self.api, self.reading);
        let view = &mut parts.view;
        match (api, key) {
            (_, "model") => {
                once(parts.model.is_none())?;
                parts.model = Some(map.next_value()?);
            }
            (Api::Messages, "system") | (Api::Responses, "instructions") => {
                once(parts.instructions.is_none())?;
                parts.instructions = Some(map.next_value_seed(ContentSeed(reading))?);
            }
            (_, name) if name == conversation_field(api).0 => {
                once(!parts.has_conversation)?;
                parts.has_conversation = true;
                match api {
                    Api::Chat | Api::Messages | Api::Models => {
                        map.next_value_seed(MessageList { reading, view, role_required: true })?;
                    }
                    Api::Responses => {
                        map.next_value_seed(Asked { reading, view, listed: Listed::Items })?;
                    }
                    Api::Completions | Api::Embeddings => {
                        map.next_value_seed(Asked { reading, view, listed: Listed::Prompts })?;
                    }
                }
            }
            (_, name) => {
                once(!view.params.contains_key(name))?;
                let value = map.next_value_seed(Param(reading))?;
                view.params.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }
}

/// A key, borrowed where the body spells it without escapes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
