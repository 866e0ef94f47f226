//! Conversations: lists of messages, their contents, prompts.

use super::RequestView;
use super::body::Key;
use super::reading::Reading;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use stillwatch_evidence::Message;

/// What a message says.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) has_other_parts: bool,
}

impl Content {
    fn add(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }
}

/// Text, nothing, or a list of parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContentSeed<'r>(pub(super) &'r Reading);

impl<'de> DeserializeSeed<'de> for ContentSeed<'_> {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContentSeed<'_> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a list of parts")
    }

    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content { text: text.to_owned(), has_other_parts: false })
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Content, E> {
        Ok(Content { text, has_other_parts: false })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut content = Content::default();
        for at in 0.. {
            let next = seq.next_element_seed(Part { content: &mut content });
            if self.0.within(next, || format!("[{at}]"))?.is_none() {
                break;
            }
        }
        Ok(content)
    }
}

/// One part: its text goes to the content, anything else is noted.
struct Part<'c> {
    content: &'c mut Content,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part: an object, or text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.content.add(text);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut is_text, mut text) = (false, None);
        while let Some(key) = map.next_key_seed(Key)? {
            match key.as_ref() {
                "type" => {
                    let kind = map.next_value_seed(MaybeText)?;
                    is_text = matches!(
                        kind.as_deref(),
                        Some("text" | "input_text" | "output_text" | "refusal")
                    );
                }
                "text" | "refusal" => text = map.next_value_seed(MaybeText)?.or(text),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match text.filter(|_| is_text) {
            Some(text) => self.content.add(&text),
            None => self.content.has_other_parts = true,
        }
        Ok(())
    }
}

/// A text where there is one; anything else is passed over.
struct MaybeText;

impl<'de> DeserializeSeed<'de> for MaybeText {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MaybeText {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A list of messages.
pub(super) struct MessageList<'r> {
    pub(super) reading: &'r Reading,
    pub(super) view: &'r mut RequestView,
    /// Whether every item must be a message.
    pub(super) role_required: bool,
}

impl<'de> DeserializeSeed<'de> for MessageList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for MessageList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { reading, view, role_required } = self;
        for at in 0.. {
            let item = Item { reading, view, role_required };
            if reading.within(seq.next_element_seed(item), || format!("[{at}]"))?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// One message, or another item of a conversation.
struct Item<'r> {
    reading: &'r Reading,
    view: &'r mut RequestView,
    role_required: bool,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reading, view, role_required } = self;
        let mut role: Option<String> = None;
        let mut content: Option<Content> = None;
        while let Some(key) = map.next_key_seed(Key)? {
            let named = |result: Result<(), A::Error>| reading.within(result, || key.to_string());
            match key.as_ref() {
                "role" => {
                    let read = map.next_value::<String>().and_then(|text| twice(&mut role, text));
                    named(read)?;
                }
                "content" => {
                    let read = map.next_value_seed(ContentSeed(reading));
                    named(read.and_then(|read| twice(&mut content, read)))?;
                }
                "tool_calls" | "function_call" | "audio" | "encrypted_content" => {
                    if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                        view.has_other_parts = true;
                    }
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let Some(role) = role else {
            if role_required {
                let missing = Err(A::Error::custom("it is missing"));
                return reading.within(missing, || "role".to_owned());
            }
            view.has_other_parts = true;
            return Ok(());
        };
        let role = if role == "developer" { "system".to_owned() } else { role };
        let Content { text, has_other_parts } = content.unwrap_or_default();
        view.has_other_parts |=
            has_other_parts || !matches!(role.as_str(), "system" | "user" | "assistant");
        view.messages.push(Message { role, content: text });
        Ok(())
    }
}

fn twice<T, E: Error>(slot: &mut Option<T>, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("it is given twice")),
    }
}

/// What may be asked besides text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed {
    /// The Responses API: items of a conversation.
    Items,
    /// Completions and embeddings: prompts, or the tokens of one.
    Prompts,
}

/// What is asked: text, or a list.
pub(super) struct Asked<'r> {
    pub(super) reading: &'r Reading,
    pub(super) view: &'r mut RequestView,
    pub(super) listed: Listed,
}

impl<'de> DeserializeSeed<'de> for Asked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Asked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.listed {
            Listed::Items => "text or a list of items",
            Listed::Prompts => "text, a list of texts, or tokens",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.view.has_other_parts = true;
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        ask(self.view, text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let Self { reading, view, listed } = self;
        match listed {
            Listed::Items => MessageList { reading, view, role_required: false }.visit_seq(seq),
            Listed::Prompts => prompts(reading, view, seq),
        }
    }
}

/// Text without a role is the user's.
fn ask(view: &mut RequestView, text: &str) {
    view.messages.push(Message { role: "user".to_owned(), content: text.to_owned() });
}

/// A list of prompts, or the tokens of one.
fn prompts<'de, A: SeqAccess<'de>>(
    reading: &Reading,
    view: &mut RequestView,
    mut seq: A,
) -> Result<(), A::Error> {
    let (mut n_prompts, mut n_tokens) = (0, 0);
    for at in 0.. {
        let next = seq.next_element_seed(Prompt { reading, view });
        match reading.within(next, || format!("[{at}]"))? {
            Some(Counted::Prompt) => n_prompts += 1,
            Some(Counted::Token) => n_tokens += 1,
            None => break,
        }
    }
    if n_tokens > 0 {
        view.has_other_parts = true;
        view.prompt_token_ids += n_tokens;
        n_prompts += 1;
    }
    view.n_prompts = n_prompts;
    Ok(())
}

enum Counted {
    Prompt,
    Token,
}

/// An element of a list of prompts, or a token.
struct Prompt<'r> {
    reading: &'r Reading,
    view: &'r mut RequestView,
}

impl<'de> DeserializeSeed<'de> for Prompt<'_> {
    type Value = Counted;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Counted, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Prompt<'_> {
    type Value = Counted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or tokens")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Counted, E> {
        Ok(Counted::Token)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Counted, E> {
        ask(self.view, text);
        Ok(Counted::Prompt)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counted, A::Error> {
        // Inputs of several kinds, as multimodal embeddings have them.
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.view.has_other_parts = true;
        Ok(Counted::Prompt)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Counted, A::Error> {
        self.view.has_other_parts = true;
        for at in 0.. {
            match self.reading.within(seq.next_element::<u64>(), || format!("[{at}]"))? {
                Some(_) => self.view.prompt_token_ids += 1,
                None => break,
            }
        }
        Ok(Counted::Prompt)
    }
}
