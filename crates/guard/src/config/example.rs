//! The annotated example: every key, what it means, its default. Made from the types, so that it
//! can't fall behind them.

use super::GuardConfig;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Lines of the example are wrapped here.
const WIDTH: usize = 96;

/// Sections deeper than this are not written.
const DEPTH_MAX: usize = 6;

/// Values for keys that have no default.
const VALUES: [(&str, &str); 16] = [
    ("upstream.url", "\"http://127.0.0.1:8000\""),
    ("upstream.key_env", "\"UPSTREAM_API_KEY\""),
    ("upstream.models", "[\"smollm2\"]"),
    ("store.url_env", "\"DATABASE_URL\""),
    ("sharing.key_env", "\"STILLWATCH_SHARING_KEY\""),
    ("observe.otlp_endpoint", "\"http://127.0.0.1:4318\""),
    ("policy.name", "\"watch\""),
    ("limits.plan.default.requests_per_minute", "600"),
    ("limits.plan.default.tokens_per_minute", "200_000"),
    ("limits.plan.default.micros_per_day", "50_000_000"),
    ("listen.tls_cert", "\"/etc/stillwatch/tls.crt\""),
    ("listen.tls_key", "\"/etc/stillwatch/tls.key\""),
    ("policy.measure", "\"shadow\""),
    ("observe.otlp_headers_env", "\"OTLP_HEADERS\""),
    ("policy.webhook_key_env", "\"VERIFICATION_KEY\""),
    ("store.secret_env", "\"STILLWATCH_KEY_SECRET\""),
];

/// What a table of tables is written for.
const NAMES: [(&str, &str); 2] = [("limits.plan", "default"), ("limits.price", "smollm2")];

/// Tables that are in force as they stand in the example; of the others that needn't be there
/// every line is behind a #.
const SHOWN: [&str; 3] = ["upstream", "policy", "limits.plan"];

struct Writer {
    schema: Value,
    out: String,
    /// Whether lines are behind a #.
    is_off: bool,
}

/// The example.
pub(super) fn example() -> String {
    let schema = schemars::schema_for!(GuardConfig).to_value();
    let defaults = serde_json::to_value(GuardConfig::default()).unwrap_or_default();
    let mut writer = Writer { schema: schema.clone(), out: String::new(), is_off: false };
    writer.comment(
        "Configuration of the guard. Every key may be left out; what is written here is the \
         default. Keys behind a # have none: take the # away to set them.",
    );
    writer.line("");
    writer.table("", &schema, &defaults, 0);
    writer.out
}

impl Writer {
    fn resolve(&self, schema: &Value) -> Value {
        let own = schema.get("$ref").or_else(|| {
            let any = schema.get("anyOf").or_else(|| schema.get("allOf"))?.as_array()?;
            any.iter().find_map(|one| one.get("$ref"))
        });
        let name = own.and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
        let target = name.and_then(|name| self.schema.get("$defs")?.get(name));
        target.unwrap_or(schema).clone()
    }

    fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                self.line(&line);
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        // Writing into a string doesn't fail.
        writeln!(self.out, "{line}").ok();
    }

    /// A line that sets something.
    fn setting(&mut self, line: &str) {
        let off = if self.is_off { "# " } else { "" };
        self.line(&format!("{off}{line}"));
    }

    /// Keys with plain values first, as TOML wants it; then tables.
    fn table(&mut self, path: &str, schema: &Value, defaults: &Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        let empty = Map::new();
        let keys = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty).clone();
        let (tables, plain): (Vec<_>, Vec<_>) =
            keys.iter().partition(|(_, schema)| self.is_table(schema));
        for (name, schema) in plain {
            self.key(&join(path, name), name, schema, defaults.get(name));
        }
        for (name, schema) in tables {
            self.section(&join(path, name), schema, defaults.get(name), depth);
        }
    }

    fn is_table(&self, schema: &Value) -> bool {
        let target = self.resolve(schema);
        let items = target.get("items").map(|items| self.resolve(items));
        let has_keys = |schema: &Value| schema.get("properties").is_some();
        has_keys(&target)
            || items.as_ref().is_some_and(has_keys)
            || target
                .get("additionalProperties")
                .is_some_and(|values| has_keys(&self.resolve(values)))
    }

    fn section(&mut self, path: &str, schema: &Value, defaults: Option<&Value>, depth: usize) {
        self.line("");
        self.describe(schema);
        let target = self.resolve(schema);
        let null = Value::Null;
        let was_off = self.is_off;
        // A table that has a default stands with it.
        let has_default =
            target.get("properties").is_some() && defaults.is_some_and(Value::is_object);
        self.is_off |= !has_default && !SHOWN.contains(&path);
        if let Some(items) = target.get("items") {
            let items = self.resolve(items);
            self.setting(&format!("[[{path}]]"));
            self.table(path, &items, &item_defaults(&items), depth + 1);
        } else if let Some(values) = target.get("additionalProperties").filter(|v| v.is_object()) {
            let values = self.resolve(values);
            let name = NAMES.iter().find(|(table, _)| *table == path);
            let path = join(path, name.map_or("example", |(_, name)| *name));
            self.setting(&format!("[{path}]"));
            self.table(&path, &values, &item_defaults(&values), depth + 1);
        } else {
            self.setting(&format!("[{path}]"));
            self.table(path, &target, defaults.unwrap_or(&null), depth + 1);
        }
        self.is_off = was_off;
    }

    fn describe(&mut self, schema: &Value) {
        let own = schema.get("description").and_then(Value::as_str).map(str::to_owned);
        let target = self.resolve(schema);
        let text = own.or_else(|| Some(target.get("description")?.as_str()?.to_owned()));
        for paragraph in text.as_deref().unwrap_or_default().split("\n\n") {
            self.comment(paragraph);
        }
        let values = values_of(&target);
        if !values.is_empty() {
            self.comment(&format!("One of {}.", values.join(", ")));
        }
    }

    fn key(&mut self, path: &str, name: &str, schema: &Value, default: Option<&Value>) {
        self.describe(schema);
        let given = VALUES.iter().find(|(key, _)| *key == path).map(|(_, value)| *value);
        let default = default.filter(|value| !value.is_null()).and_then(toml_value);
        let is_required = matches!(path, "upstream.url" | "policy.name" | "policy.measure");
        match (default, given) {
            (_, Some(value)) if is_required => self.setting(&format!("{name} = {value}")),
            (Some(value), _) => self.setting(&format!("{name} = {value}")),
            (None, Some(value)) => self.line(&format!("# {name} = {value}")),
            (None, None) => {
                let value = self.by_type(schema);
                self.line(&format!("# {name} = {value}"));
            }
        }
    }

    /// Some value of the right type.
    fn by_type(&self, schema: &Value) -> String {
        let target = self.resolve(schema);
        if let Some(value) = values_of(&target).first() {
            return value.clone();
        }
        let kind = match target.get("type") {
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
            Some(kind) => kind.as_str(),
            None => None,
        };
        match kind {
            Some("integer") => "1",
            Some("number") => "0.5",
            Some("boolean") => "true",
            Some("array") => "[]",
            Some("object") => "{}",
            _ => "\"...\"",
        }
        .to_owned()
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Defaults of a table that stands in a list, as its schema has them.
fn item_defaults(schema: &Value) -> Value {
    let keys = schema.get("properties").and_then(Value::as_object);
    let defaults = keys
        .into_iter()
        .flatten()
        .filter_map(|(name, schema)| Some((name.clone(), schema.get("default")?.clone())));
    Value::Object(defaults.collect())
}

/// The values of an enumeration, as TOML.
fn values_of(schema: &Value) -> Vec<String> {
    let plain = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let described = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let described = described
        .filter_map(|one| one.get("const").or_else(|| one.get("enum")?.as_array()?.first()));
    plain.chain(described).filter_map(Value::as_str).map(|value| format!("{value:?}")).collect()
}

/// A value as TOML on one line; `None` for what TOML can't say.
fn toml_value(value: &Value) -> Option<String> {
    let value = toml::Value::try_from(value).ok()?;
    Some(value.to_string())
}
