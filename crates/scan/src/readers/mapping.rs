//! Fields that the user says where to find: `account=$.user.id`.
//!
//! A mapped field replaces what the format's reader found, also by nothing: a mixture of two
//! meanings of one field would be worse than a gap. The way is a subset of JSONPath (RFC 9535):
//! `$`, `.name`, `['name']`, `[0]`. It leads through JSON inside of strings, and starts at the
//! line (or the record of a table), also where one line holds several exchanges.

use super::json::Json;
use super::times::time_ms;
use crate::row::LogRow;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::str::FromStr;

/// What is wrong with a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Not of the form `FIELD=PATH`.
    #[error("`{text}` is no mapping: expected FIELD=PATH, as in account=$.user.id")]
    Form {
        /// The mapping.
        text: String,
    },
    /// A field that exchanges don't have.
    #[error("no field is called `{name}`: expected one of {}", NAMES.join(", "))]
    Field {
        /// The name.
        name: String,
    },
    /// A path that can't be followed.
    #[error("`{path}` is no path: {problem}; expected something like $.user.id or $.a['b.c'][0]")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The fields that can be mapped.
const NAMES: [&str; 23] = [
    "id",
    "account",
    "plan",
    "time",
    "model",
    "system",
    "user",
    "response",
    "finish_reason",
    "n_messages",
    "prompt_tokens",
    "completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "logprobs",
    "stream",
    "tools",
    "failed",
    "ip",
    "user_agent",
    "messages",
    "params",
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Key(String),
    Index(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rule {
    field: String,
    way: Vec<Step>,
}

/// Fields that are found where the user says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    rules: Vec<Rule>,
}

impl Mapping {
    /// Reads rules, each of the form `FIELD=PATH`. The last one for a field counts.
    ///
    /// # Errors
    /// A rule that can't be understood.
    pub fn new<S: AsRef<str>>(rules: impl IntoIterator<Item = S>) -> Result<Self, MappingError> {
        let rules = rules.into_iter().map(|rule| rule.as_ref().parse());
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any mapped field is there.
    pub(super) fn finds_any(&self, line: &Json<'_>) -> bool {
        self.rules.iter().any(|rule| find(line, &rule.way).is_filled())
    }

    /// Hands out a row with the mapped fields replaced by what the line holds.
    pub(super) fn apply(
        &self,
        line: &Json<'_>,
        row: &LogRow<'_>,
        out: &mut dyn FnMut(&LogRow<'_>),
    ) {
        let found: Vec<(&str, Cow<'_, Json<'_>>)> =
            self.rules.iter().map(|rule| (rule.field.as_str(), find(line, &rule.way))).collect();
        let mut row: LogRow<'_> = row.clone();
        for (field, value) in &found {
            set(&mut row, field, value);
        }
        out(&row);
    }
}

impl FromStr for Rule {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let form = || MappingError::Form { text: text.to_owned() };
        let (field, path) = text.split_once('=').ok_or_else(form)?;
        let (field, path) = (field.trim(), path.trim());
        if !NAMES.contains(&field) {
            return Err(MappingError::Field { name: field.to_owned() });
        }
        let way =
            way(path).map_err(|problem| MappingError::Path { path: path.to_owned(), problem })?;
        Ok(Self { field: field.to_owned(), way })
    }
}

fn way(path: &str) -> Result<Vec<Step>, &'static str> {
    let mut rest = path.strip_prefix('$').ok_or("it doesn't begin with $")?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, next) = after.split_at_checked(end).unwrap_or((after, ""));
            if name.is_empty() || name == "*" {
                return Err("a dot without a name behind it");
            }
            steps.push(Step::Key(name.to_owned()));
            rest = next;
            continue;
        }
        let inside = rest.strip_prefix('[').ok_or("expected . or [ behind a step")?;
        let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
        if let Some(quote) = quote {
            let inside = inside.strip_prefix(quote).unwrap_or_default();
            let (name, after) = inside.split_once(quote).ok_or("a quote is never closed")?;
            steps.push(Step::Key(name.to_owned()));
            rest = after.strip_prefix(']').ok_or("a bracket is never closed")?;
        } else {
            let (index, after) = inside.split_once(']').ok_or("a bracket is never closed")?;
            let index = index.parse().map_err(|_| "expected a number or a quoted name in []")?;
            steps.push(Step::Index(index));
            rest = after;
        }
    }
    Ok(steps)
}

fn find<'b>(line: &'b Json<'b>, way: &[Step]) -> Cow<'b, Json<'b>> {
    let mut here = Cow::Borrowed(line);
    for step in way {
        if matches!(here.as_ref(), Json::Text(_)) {
            let mut inner = here.into_owned();
            inner.expand_self();
            here = Cow::Owned(inner);
        }
        here = match here {
            Cow::Borrowed(json) => Cow::Borrowed(follow(json, step)),
            Cow::Owned(json) => Cow::Owned(follow(&json, step).clone().into_owned()),
        };
    }
    here
}

fn follow<'b>(json: &'b Json<'b>, step: &Step) -> &'b Json<'b> {
    match step {
        Step::Key(key) => json.get(key),
        Step::Index(index) => json.list().get(*index).unwrap_or(json.get("")),
    }
}

/// A record whose keys are the fields of a row: our own table.
pub(super) fn flat(record: &Json<'_>, out: &mut dyn FnMut(&LogRow<'_>)) {
    let mut row = LogRow::default();
    for (key, value) in record.entries() {
        match key.as_ref() {
            "time_ms" => set(&mut row, "time", value),
            "messages_json" => row.messages_json = text_or_json(value),
            "params_json" => row.params_json = text_or_json(value),
            key => set(&mut row, key, value),
        }
    }
    out(&row);
}

/// Text for a field that may hold structure: a text as it stands, anything else as JSON.
fn text_or_json<'b>(value: &'b Json<'b>) -> Cow<'b, str> {
    match value {
        Json::Null => Cow::Borrowed(""),
        Json::Text(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_json()),
    }
}

fn set<'b>(row: &mut LogRow<'b>, field: &str, value: &'b Json<'b>) {
    match field {
        "id" => row.id = value.text(),
        "account" => row.account = value.name(),
        "plan" => row.plan = value.text(),
        "time" => row.time_ms = time_ms(value),
        "model" => row.model = value.text(),
        "system" => row.system = text_or_json(value),
        "user" => row.user = text_or_json(value),
        "response" => row.response = text_or_json(value),
        "finish_reason" => row.finish_reason = value.text(),
        "n_messages" => row.n_messages = value.count().unwrap_or_default(),
        "prompt_tokens" => row.prompt_tokens = value.count().unwrap_or_default(),
        "completion_tokens" => row.completion_tokens = value.count().unwrap_or_default(),
        "max_tokens" => row.max_tokens = value.count(),
        "temperature" => row.temperature = value.f32(),
        "top_p" => row.top_p = value.f32(),
        "logprobs" => row.logprobs = value.bool().unwrap_or(value.is_filled()),
        "stream" => row.stream = value.bool().unwrap_or_default(),
        "tools" => row.tools = value.bool().unwrap_or(value.is_filled()),
        "failed" => row.failed = value.bool().unwrap_or(value.is_filled()),
        "ip" => row.ip = value.text(),
        "user_agent" => row.user_agent = value.text(),
        "messages" => super::body::messages(row, value),
        "params" => super::body::params(row, value),
        _ => {}
    }
}
