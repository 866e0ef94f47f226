//! From the words of the TOML reader to a key, what was expected, and what to do.

use super::{GuardConfig, Places, places::line_at};
use crate::GuardError;
use serde_json::Value;
use std::path::Path;

/// Names at most this many edits apart are taken for slips of the hand.
const EDITS_MAX: usize = 3;

/// Makes a reader's error one of ours.
pub(super) fn explain(
    error: &toml::de::Error,
    text: &str,
    file: Option<&Path>,
    places: &Places,
) -> GuardError {
    let start = error.span().map(|span| span.start);
    let key = start.and_then(|start| places.at(start));
    let message = error.message().trim_end_matches('\n');
    let (problem, hint) = if let Some(unknown) = quoted(message, "unknown field ").first() {
        let expected = names_after(message, "expected ");
        let key = key.map_or_else(|| unknown.clone(), str::to_owned);
        (format!("{key}: there is no such key"), known_keys(unknown, &expected))
    } else if let Some(missing) = quoted(message, "missing field ").first() {
        let problem = match key {
            Some(table) => format!("{table}: the key {missing} is missing"),
            None => format!("the key {missing} is missing"),
        };
        (problem, Some(format!("add a line `{missing} = ...` to that table")))
    } else if let Some(unknown) = quoted(message, "unknown variant ").first() {
        let expected = names_after(message, "expected ");
        let near = nearest(unknown, &expected).map(|name| format!("did you mean {name:?}?"));
        let hint = near.unwrap_or_else(|| format!("expected one of {}", expected.join(", ")));
        (format!("{}{unknown:?} is none of its values", prefix(key)), Some(hint))
    } else {
        (format!("{}{message}", prefix(key)), None)
    };
    let line = start.map(|start| line_at(text, start));
    GuardError::Config { file: file.map(Path::to_path_buf), line, problem, hint }
}

fn prefix(key: Option<&str>) -> String {
    key.map_or_else(String::new, |key| format!("{key}: "))
}

/// What to do about an unknown key: the nearest of its table, the same in another table, or all.
fn known_keys(unknown: &str, expected: &[String]) -> Option<String> {
    if let Some(near) = nearest(unknown, expected) {
        return Some(format!("did you mean {near}?"));
    }
    let schema = schemars::schema_for!(GuardConfig);
    let elsewhere = tables_with(schema.as_value(), unknown);
    if !elsewhere.is_empty() {
        let tables: Vec<String> = elsewhere.iter().map(|table| format!("[{table}]")).collect();
        return Some(format!("it belongs in {}", tables.join(" or ")));
    }
    (!expected.is_empty()).then(|| format!("the keys here are {}", expected.join(", ")))
}

/// Sections that have a key of this name.
fn tables_with(schema: &Value, key: &str) -> Vec<String> {
    let sections = schema.get("properties").and_then(Value::as_object);
    let has_key = |section: &Value| {
        let target = section.get("items").unwrap_or(section);
        let name = target.get("$ref").and_then(Value::as_str);
        let name = name.and_then(|name| name.strip_prefix("#/$defs/"));
        let section = name.and_then(|name| schema.get("$defs")?.get(name)).unwrap_or(target);
        section.get("properties").is_some_and(|keys| keys.get(key).is_some())
    };
    let sections = sections.into_iter().flatten().filter(|(_, section)| has_key(section));
    sections.map(|(name, _)| name.clone()).collect()
}

/// The first name in backquotes after `before`, where the message holds that.
fn quoted(message: &str, before: &str) -> Vec<String> {
    message.strip_prefix(before).map(|rest| backquoted(rest).take(1).collect()).unwrap_or_default()
}

/// All names in backquotes after `before`.
fn names_after(message: &str, before: &str) -> Vec<String> {
    message.split_once(before).map(|(_, rest)| backquoted(rest).collect()).unwrap_or_default()
}

fn backquoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The nearest name, if it is near.
pub(super) fn nearest<'a>(name: &str, among: &'a [String]) -> Option<&'a str> {
    let bound = EDITS_MAX.min(name.chars().count() / 2);
    let near = among.iter().map(|known| (edits(name, known), known.as_str()));
    near.filter(|(edits, _)| *edits <= bound).min().map(|(_, known)| known)
}

/// Edit distance (Levenshtein) of two short names.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (y, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let cost = (diagonal + usize::from(x != *y)).min(left + 1).min(*above + 1);
            diagonal = *above;
            *above = cost;
            left = cost;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, n) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("rate", "rate", 0)]
        {
            assert_eq!(edits(a, b), n, "{a} {b}");
            assert_eq!(edits(b, a), n, "{b} {a}");
        }
    }

    #[test]
    fn far_names_are_not_proposed() {
        let known = ["public".to_owned(), "admin".to_owned()];
        assert_eq!(nearest("pubilc", &known), Some("public"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &known), None);
    }
}
