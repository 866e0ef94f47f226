//! Where each key of a configuration stands, so that an error can name its line.

use crate::GuardError;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};
use toml::de::{DeTable, DeValue};

/// Keys deeper than this are not looked up.
const DEPTH_MAX: usize = 8;

/// Where keys stand: dotted path (`upstream[1].url`, counted from 0) to line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The file; absent where the settings came from flags.
    pub file: Option<PathBuf>,
    lines: BTreeMap<String, u64>,
    /// Byte where a key or its value starts, to the key's path.
    starts: BTreeMap<usize, String>,
}

impl Places {
    /// Looks up all keys of a TOML text. Text that is no TOML has none.
    pub(super) fn new(text: &str, file: Option<&Path>) -> Self {
        let mut places = Self { file: file.map(Path::to_path_buf), ..Self::default() };
        if let Ok(root) = DeTable::parse(text) {
            places.table(text, "", root.get_ref(), 0);
        }
        places
    }

    fn table(&mut self, text: &str, path: &str, table: &DeTable<'_>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        for (key, value) in table {
            let mut path = path.to_owned();
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(key.get_ref());
            self.note(text, &path, key.span().start);
            self.starts.entry(value.span().start).or_insert_with(|| path.clone());
            self.value(text, &path, value.get_ref(), depth + 1);
        }
    }

    fn value(&mut self, text: &str, path: &str, value: &DeValue<'_>, depth: usize) {
        match value {
            DeValue::Table(table) => self.table(text, path, table, depth),
            DeValue::Array(items) if depth <= DEPTH_MAX => {
                for (at, item) in items.iter().enumerate() {
                    let mut path = path.to_owned();
                    // Writing into a string doesn't fail.
                    write!(path, "[{at}]").ok();
                    self.note(text, &path, item.span().start);
                    self.value(text, &path, item.get_ref(), depth + 1);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, text: &str, path: &str, start: usize) {
        self.lines.insert(path.to_owned(), line_at(text, start));
        self.starts.insert(start, path.to_owned());
    }

    /// The line of a key, or of the nearest table around it that stands in the file.
    pub fn line(&self, path: &str) -> Option<u64> {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }

    /// Gives a module's complaint about a setting the place of that setting.
    pub(crate) fn place(&self, error: GuardError) -> GuardError {
        match error {
            GuardError::Config { file: None, line: None, problem, hint } => {
                let key = problem.split(':').next().unwrap_or_default();
                let line = self.line(key);
                let file = line.and_then(|_| self.file.clone());
                GuardError::Config { file, line, problem, hint }
            }
            other => other,
        }
    }

    /// The key that stands, or whose value stands, at this byte.
    pub(super) fn at(&self, start: usize) -> Option<&str> {
        self.starts.get(&start).map(String::as_str)
    }
}

/// Line of a byte, counted from 1.
pub(super) fn line_at(text: &str, start: usize) -> u64 {
    1 + text.bytes().take(start).filter(|b| *b == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_all_ways_of_writing_them() {
        let text = "data = \"d\"\n[listen]\npublic = \"p\"\n\n[[upstream]]\nurl = \"a\"\n[[upstream]]\n\
                    url = \"b\"\nmodels = [\n  \"x\",\n  \"y\"]\n[limits]\nplan.free.requests_per_minute = 3\n";
        let places = Places::new(text, None);
        let expected = [
            ("data", 1),
            ("listen.public", 3),
            ("upstream[0].url", 6),
            ("upstream[1].url", 8),
            ("upstream[1].models[1]", 11),
            ("limits.plan.free.requests_per_minute", 13),
            ("upstream[1].weight", 7),
        ];
        for (path, line) in expected {
            assert_eq!(places.line(path), Some(line), "{path}");
        }
        assert_eq!(places.line("sharing.key_env"), None);
        assert_eq!(places.at(text.find("url").expect("a key")), Some("upstream[0].url"));
    }

    #[test]
    fn broken_text_has_no_places() {
        assert_eq!(Places::new("[", None), Places::default());
    }
}
