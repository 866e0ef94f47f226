//! Where the parts of a JSON text lie: members, elements, and edits of them by the byte.
//!
//! Answers are edited in place rather than parsed and written again, so that what isn't taken
//! out stays as the upstream wrote it: order, blanks, escapes, digits of numbers.

use std::ops::Range;

/// The deepest nesting that is looked into; deeper texts are left as they are.
const DEPTH_MAX: u32 = 96;

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its key, decoded.
    pub(super) key: String,
    /// From the key's quotation mark.
    pub(super) start: usize,
    /// The value.
    pub(super) value: Range<usize>,
}

/// The bytes of a span.
pub(super) fn at(text: &[u8], span: Range<usize>) -> &[u8] {
    text.get(span).unwrap_or_default()
}

/// A string's value; `None` for what isn't a string or holds half a surrogate pair.
pub(super) fn string(text: &[u8], span: Range<usize>) -> Option<String> {
    serde_json::from_slice(at(text, span)).ok()
}

/// A whole number's value.
pub(super) fn integer(text: &[u8], span: Range<usize>) -> Option<u64> {
    serde_json::from_slice(at(text, span)).ok()
}

/// The span of the whole text's one value, if it is JSON as far as its brackets and strings go.
pub(super) fn root(text: &[u8]) -> Option<Range<usize>> {
    let start = blanks(text, 0);
    let end = skip(text, start, 0)?;
    (blanks(text, end) == text.len()).then_some(start..end)
}

/// The members of the object at `span`.
pub(super) fn members(text: &[u8], span: Range<usize>) -> Option<Vec<Member>> {
    let mut here = open(text, &span, b'{')?;
    let mut found = Vec::new();
    if text.get(here) == Some(&b'}') {
        return Some(found);
    }
    loop {
        let start = here;
        let key_end = skip_string(text, start)?;
        let key = string(text, start..key_end).unwrap_or_default();
        here = blanks(text, key_end);
        if text.get(here) != Some(&b':') {
            return None;
        }
        let value = blanks(text, here + 1);
        let end = skip(text, value, 0)?;
        found.push(Member { key, start, value: value..end });
        here = blanks(text, end);
        match text.get(here)? {
            b',' => here = blanks(text, here + 1),
            b'}' => return Some(found),
            _ => return None,
        }
    }
}

/// The elements of the array at `span`.
pub(super) fn elements(text: &[u8], span: Range<usize>) -> Option<Vec<Range<usize>>> {
    let mut here = open(text, &span, b'[')?;
    let mut found = Vec::new();
    if text.get(here) == Some(&b']') {
        return Some(found);
    }
    loop {
        let end = skip(text, here, 0)?;
        found.push(here..end);
        here = blanks(text, end);
        match text.get(here)? {
            b',' => here = blanks(text, here + 1),
            b']' => return Some(found),
            _ => return None,
        }
    }
}

/// The value of the first member of this name.
pub(super) fn value_of(members: &[Member], key: &str) -> Option<Range<usize>> {
    members.iter().find(|member| member.key == key).map(|member| member.value.clone())
}

/// Whether the value holds nothing: `null`, `""`, `[]`, `{}`.
pub(super) fn is_nothing(text: &[u8], span: Range<usize>) -> bool {
    let value = at(text, span);
    let holds = |open: u8, close: u8| {
        value.first() == Some(&open)
            && value.last() == Some(&close)
            && value
                .get(1..value.len() - 1)
                .is_some_and(|inside| inside.iter().all(|byte| is_blank(*byte)))
    };
    value == b"null" || value == b"\"\"" || holds(b'[', b']') || holds(b'{', b'}')
}

/// Changes to a text, none of which overlap.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<(Range<usize>, Vec<u8>)>);

impl Edits {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts `new` in the place of a value.
    pub(super) fn replace(&mut self, span: Range<usize>, new: impl Into<Vec<u8>>) {
        self.0.push((span, new.into()));
    }

    /// Takes members or elements out, with the commas that they leave behind; `parts` are all
    /// of them in order: where each starts, where it ends, whether it goes.
    pub(super) fn remove(&mut self, parts: &[(usize, usize, bool)]) {
        let mut has_kept = false;
        for (i, &(start, end, goes)) in parts.iter().enumerate() {
            if !goes {
                has_kept = true;
                continue;
            }
            let before = i.checked_sub(1).and_then(|i| parts.get(i)).map(|part| part.1);
            let after = parts.get(i + 1).map(|part| part.0);
            let span = match (has_kept, before, after) {
                (true, Some(before), _) => before..end,
                (_, _, Some(after)) => start..after,
                _ => start..end,
            };
            self.0.push((span, Vec::new()));
        }
    }

    /// The text with all changes made.
    pub(super) fn apply(mut self, text: &[u8]) -> Vec<u8> {
        self.0.sort_by_key(|(span, _)| span.start);
        let mut out = Vec::with_capacity(text.len());
        let mut here = 0;
        for (span, new) in self.0 {
            if span.start < here {
                continue;
            }
            out.extend_from_slice(at(text, here..span.start));
            out.extend_from_slice(&new);
            here = span.end;
        }
        out.extend_from_slice(at(text, here..text.len()));
        out
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn blanks(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| is_blank(**byte)).count()
}

/// Past the opening bracket of `span` and the blanks behind it.
fn open(text: &[u8], span: &Range<usize>, bracket: u8) -> Option<usize> {
    (text.get(span.start) == Some(&bracket)).then(|| blanks(text, span.start + 1))
}

/// Past the string that starts here.
fn skip_string(text: &[u8], start: usize) -> Option<usize> {
    if text.get(start) != Some(&b'"') {
        return None;
    }
    let mut here = start + 1;
    loop {
        match text.get(here)? {
            b'"' => return Some(here + 1),
            b'\\' => here += 2,
            _ => here += 1,
        }
    }
}

/// Past the value that starts here.
fn skip(text: &[u8], start: usize, depth: u32) -> Option<usize> {
    if depth > DEPTH_MAX {
        return None;
    }
    match text.get(start)? {
        b'"' => skip_string(text, start),
        b'{' => skip_all(text, start, depth, b'}', true),
        b'[' => skip_all(text, start, depth, b']', false),
        b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
            let is_literal =
                |byte: &&u8| matches!(byte, b'-' | b'+' | b'.') || byte.is_ascii_alphanumeric();
            Some(start + text.get(start..)?.iter().take_while(is_literal).count())
        }
        _ => None,
    }
}

fn skip_all(text: &[u8], start: usize, depth: u32, close: u8, has_keys: bool) -> Option<usize> {
    let mut here = blanks(text, start + 1);
    if text.get(here) == Some(&close) {
        return Some(here + 1);
    }
    loop {
        if has_keys {
            here = blanks(text, skip_string(text, here)?);
            if text.get(here) != Some(&b':') {
                return None;
            }
            here = blanks(text, here + 1);
        }
        here = blanks(text, skip(text, here, depth + 1)?);
        let byte = *text.get(here)?;
        if byte == close {
            return Some(here + 1);
        }
        if byte != b',' {
            return None;
        }
        here = blanks(text, here + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_lie_where_they_are() {
        let text = br#" { "a" : [1, "x\"]", {}], "b\u0041":null } "#;
        let found = members(text, root(text).expect("JSON")).expect("an object");
        assert_eq!(found.iter().map(|m| m.key.as_str()).collect::<Vec<_>>(), ["a", "bA"]);
        let inside = elements(text, value_of(&found, "a").expect("there")).expect("an array");
        let parts: Vec<&[u8]> = inside.into_iter().map(|span| at(text, span)).collect();
        assert_eq!(parts, [&b"1"[..], br#""x\"]""#, b"{}"]);
    }

    #[test]
    fn what_is_no_json_has_no_root() {
        for text in ["", "{", "{\"a\"}", "[1,]x", "\"open", "{\"a\":1}}", "[1 2]", "{1:2}"] {
            assert!(root(text.as_bytes()).is_none(), "{text}");
        }
        assert!(root("[".repeat(1000).as_bytes()).is_none());
    }

    #[test]
    fn removed_parts_take_their_commas_along() {
        let text = br#"{"a":1, "b":2 ,"c":3}"#;
        let found = members(text, 0..text.len()).expect("an object");
        let left = |goes: [bool; 3]| {
            let parts: Vec<_> =
                found.iter().zip(goes).map(|(m, goes)| (m.start, m.value.end, goes)).collect();
            let mut edits = Edits::default();
            edits.remove(&parts);
            String::from_utf8(edits.apply(text)).expect("UTF-8")
        };
        for bits in 0..8_u8 {
            let goes = [bits & 1 > 0, bits & 2 > 0, bits & 4 > 0];
            let now = left(goes);
            let value: serde_json::Value = serde_json::from_str(&now).expect(&now);
            let keys: Vec<&String> = value.as_object().expect("an object").keys().collect();
            let kept: Vec<_> =
                ["a", "b", "c"].iter().zip(goes).filter(|(_, g)| !g).map(|(k, _)| k).collect();
            assert_eq!(keys, kept, "{now}");
        }
    }
}
