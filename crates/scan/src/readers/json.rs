//! A line as a tree that borrows from it, and lenient looks into it.
//!
//! Logs spell one fact in many ways: a number as text, an object as JSON inside of a string. The
//! looks here accept all of them and give nothing where the fact isn't there. Our own exchanges
//! don't take this way; theirs is faster.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use std::borrow::Cow;
use std::fmt;

/// Deepest nesting that is read. Logs nest a dozen levels; deeper ones only exhaust the stack.
const DEPTH_MAX: usize = 100;

/// Any JSON value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Json<'a> {
    /// null, and whatever isn't there.
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Map(Vec<(Cow<'a, str>, Self)>),
}

static NULL: Json<'static> = Json::Null;

impl<'a> Json<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// It isn't JSON; where and why.
    pub(crate) fn parse(line: &'a [u8], ended: bool) -> Result<Self, String> {
        if is_too_deep(line) {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        match sonic_rs::from_slice(line) {
            Ok(json) => Ok(json),
            // The slow way says what is wrong in the words of all readers.
            Err(error) => {
                Err(stillwatch_evidence::parse_line::<serde::de::IgnoredAny>(line, ended)
                    .err()
                    .unwrap_or_else(|| format!("not valid JSON: {error}")))
            }
        }
    }

    /// Reads a text that may hold JSON.
    fn parse_text(text: &str) -> Option<Json<'_>> {
        let text = text.trim_start();
        if !text.starts_with(['{', '[']) || is_too_deep(text.as_bytes()) {
            return None;
        }
        sonic_rs::from_str(text).ok()
    }

    /// Reads the texts under these keys of an object as JSON, where they hold any.
    pub(crate) fn expand(&mut self, keys: &[&str]) {
        let Self::Map(entries) = self else { return };
        for (key, value) in entries {
            if keys.contains(&key.as_ref()) {
                value.expand_self();
            }
        }
    }

    /// Reads a text as JSON, where it holds any.
    pub(crate) fn expand_self(&mut self) {
        if let Self::Text(text) = self
            && let Some(inner) = Self::parse_text(text)
        {
            *self = inner.into_owned();
        }
    }

    /// The value with texts of its own.
    pub(crate) fn into_owned(self) -> Json<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Null => Json::Null,
            Self::Bool(b) => Json::Bool(b),
            Self::Int(n) => Json::Int(n),
            Self::Number(n) => Json::Number(n),
            Self::Text(text) => Json::Text(own(text)),
            Self::List(items) => Json::List(items.into_iter().map(Json::into_owned).collect()),
            Self::Map(entries) => Json::Map(
                entries.into_iter().map(|(key, value)| (own(key), value.into_owned())).collect(),
            ),
        }
    }
}

impl<'b> Json<'b> {
    /// The value under a key; null where there is none.
    pub(crate) fn get(&'b self, key: &str) -> &'b Json<'b> {
        let Self::Map(entries) = self else { return &NULL };
        entries.iter().find(|(name, _)| name == key).map_or(&NULL, |(_, value)| value)
    }

    /// The first of these keys whose value isn't null.
    pub(crate) fn first(&'b self, keys: &[&str]) -> &'b Json<'b> {
        keys.iter().map(|key| self.get(key)).find(|json| !json.is_null()).unwrap_or(&NULL)
    }

    /// The value at the end of a way of keys.
    pub(crate) fn at(&'b self, way: &[&str]) -> &'b Json<'b> {
        way.iter().fold(self, |json, key| json.get(key))
    }

    /// Whether an object has this key, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(self, Self::Map(entries) if entries.iter().any(|(name, _)| name == key))
    }

    /// Whether an object has all of these keys.
    pub(crate) fn has_all(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.has(key))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self, Self::Map(_))
    }

    pub(crate) fn list(&'b self) -> &'b [Json<'b>] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn entries(&'b self) -> &'b [(Cow<'b, str>, Json<'b>)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }

    /// A text, as it stands.
    pub(crate) fn str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A name: a text that isn't empty, or a number as text.
    pub(crate) fn name(&'b self) -> Option<Cow<'b, str>> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
            Self::Int(n) => Some(Cow::Owned(n.to_string())),
            _ => None,
        }
    }

    /// A name, or nothing.
    pub(crate) fn text(&'b self) -> Cow<'b, str> {
        self.name().unwrap_or_default()
    }

    pub(crate) fn f64(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Number(n) => Some(*n),
            Self::Text(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }

    pub(crate) fn f32(&self) -> Option<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "hundredths are looked at")]
        self.f64().map(|n| n as f32)
    }

    /// A count: whole, not negative; the largest where it is beyond it.
    pub(crate) fn count(&self) -> Option<u32> {
        match self {
            Self::Int(n) if *n < 0 => None,
            Self::Int(n) => Some(u32::try_from(*n).unwrap_or(u32::MAX)),
            #[expect(clippy::cast_possible_truncation, reason = "a cast of floats saturates")]
            #[expect(clippy::cast_sign_loss, reason = "it is not negative")]
            Self::Number(n) if *n >= 0.0 => Some(*n as u32),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// `true`, 1, "true", "True", "1".
    pub(crate) fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Int(n) => Some(*n != 0),
            Self::Text(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
            _ => None,
        }
    }

    /// Whether a list, an object or a text holds anything.
    pub(crate) fn is_filled(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            _ => true,
        }
    }

    /// As JSON text.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether brackets nest deeper than [`DEPTH_MAX`]: the parser skips unknown fields by recursion
/// without a bound. Most lines hold fewer brackets than that and are passed by counting.
pub(super) fn is_too_deep(line: &[u8]) -> bool {
    if brackets(line) <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in line {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Opening brackets of either kind. Pieces short enough for a byte to count them let the compiler
/// compare many bytes at once.
fn brackets(line: &[u8]) -> usize {
    // `[` and `{` differ by this bit only.
    let one = |byte: &u8| u8::from(*byte | 0x20 == b'{');
    line.chunks(128).map(|piece| usize::from(piece.iter().map(one).sum::<u8>())).sum()
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, b: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(b))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Self::Value, E> {
        Ok(Json::Int(n))
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(n).map_or(Json::Number(n as f64), Json::Int))
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<Self::Value, E> {
        Ok(Json::Number(n))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((super::text::Text(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(Json::Map(entries))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(n) => serializer.serialize_i64(*n),
            Self::Number(n) => serializer.serialize_f64(*n),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
