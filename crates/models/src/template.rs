//! Chat templates: from messages to the text that a model continues.
//!
//! Templates are Jinja as Hugging Face writes it (in `tokenizer_config.json` and in GGUF
//! metadata), rendered by minijinja with the environment that `transformers` gives them:
//! `trim_blocks`, `lstrip_blocks`, Python's string methods, `raise_exception`, `strftime_now`,
//! `tojson` without HTML escapes. The clock stands still ([`TEMPLATE_DATE`]), so that a score
//! doesn't depend on the day. Tokenising is left to the back-ends.

use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig};
use std::fmt::Write as _;
use stillwatch_evidence::Message;

/// What templates that ask for today's date are told: the default of Llama 3.x's own.
pub const TEMPLATE_DATE: jiff::civil::Date = jiff::civil::date(2024, 7, 26);

/// The template of models that bring none: the contents, each on a line of its own.
pub const PLAIN_TEMPLATE: &str =
    "{% for message in messages %}{{ message.content + '\\n' }}{% endfor %}";

/// Longest template read, bytes; published ones stay below 30,000.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// Instructions that one rendering may take.
const FUEL: u64 = 50_000_000;

/// A chat template with the special tokens that it may name.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Where it came from, for errors.
    origin: String,
    source: String,
    bos_token: String,
    eos_token: String,
    plain: bool,
}

/// Why a template can't be used, or refused these messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("chat template of {origin}: {reason}")]
pub struct TemplateError {
    origin: String,
    reason: String,
}

const NAME: &str = "chat_template";

impl ChatTemplate {
    /// Compiles `source`, which came from `origin` (a file, for errors).
    ///
    /// # Errors
    /// The template is too long or isn't valid Jinja.
    pub fn new(
        origin: impl Into<String>,
        source: &str,
        bos_token: &str,
        eos_token: &str,
    ) -> Result<Self, TemplateError> {
        let origin = origin.into();
        if source.len() > TEMPLATE_BYTES_MAX {
            let reason = format!("{} bytes, longer than {TEMPLATE_BYTES_MAX} bytes", source.len());
            return Err(TemplateError { origin, reason });
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(
            syntax
                .map_err(|error| TemplateError { origin: origin.clone(), reason: told(&error) })?,
        );
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .map_err(|error| TemplateError { origin: origin.clone(), reason: told(&error) })?;
        Ok(Self {
            environment,
            origin,
            source: source.to_owned(),
            bos_token: bos_token.to_owned(),
            eos_token: eos_token.to_owned(),
            plain: false,
        })
    }

    /// The template of a model that brings none ([`PLAIN_TEMPLATE`]).
    ///
    /// # Errors
    /// None in practice: the template is a constant.
    pub fn plain(origin: impl Into<String>) -> Result<Self, TemplateError> {
        Self::new(origin, PLAIN_TEMPLATE, "", "").map(|template| Self { plain: true, ..template })
    }

    /// The model brought no template: the tokeniser must add what begins a sequence.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// All that decides its output, for hashing.
    pub fn fingerprint(&self) -> String {
        format!("{}\0{}\0{}\0{TEMPLATE_DATE}", self.source, self.bos_token, self.eos_token)
    }

    /// The text up to where the answer begins.
    ///
    /// # Errors
    /// The template refused the messages (a role it doesn't know, an order it doesn't allow).
    pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|m| context! { role => m.role.as_str(), content => m.content.as_str() })
            .collect();
        let values = context! {
            messages,
            bos_token => self.bos_token.as_str(),
            eos_token => self.eos_token.as_str(),
            add_generation_prompt => true,
            tools => Value::from(()),
            documents => Value::from(()),
        };
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(values))
            .map_err(|error| TemplateError { origin: self.origin.clone(), reason: told(&error) })
    }
}

/// One line: what happened and where.
fn told(error: &Error) -> String {
    let mut text = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    if let Some(line) = error.line() {
        write!(text, " (line {line})").unwrap_or_default();
    }
    text.replace('\n', " ")
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, TEMPLATE_DATE.at(0, 0, 0, 0)).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now({format:?}): {error}"))
    })
}

/// JSON with Python's separators and no HTML escapes, as `transformers` prints it.
#[expect(clippy::needless_pass_by_value, reason = "the signature of a filter")]
fn to_json(value: Value, kwargs: minijinja::value::Kwargs) -> Result<String, Error> {
    use serde::Serialize as _;
    let fail =
        |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    let indent: Option<usize> = kwargs.get("indent")?;
    let mut bytes = Vec::new();
    if let Some(width) = indent {
        let spaces = " ".repeat(width.min(16));
        let pretty = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, pretty);
        value.serialize(&mut serializer).map_err(fail)?;
    } else {
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PythonSpaces);
        value.serialize(&mut serializer).map_err(fail)?;
    }
    String::from_utf8(bytes)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// `{"a": 1, "b": 2}`.
struct PythonSpaces;

impl serde_json::ser::Formatter for PythonSpaces {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// `{% generation %}` marks the assistant's part for training; it prints nothing, and minijinja
/// doesn't know it.
fn without_generation_tags(source: &str) -> String {
    let mut text = source.to_owned();
    for (tag, replacement) in [("generation", "if true"), ("endgeneration", "endif")] {
        for open in ["{%", "{%-", "{%+"] {
            for close in ["%}", "-%}", "+%}"] {
                text = text.replace(
                    &format!("{open} {tag} {close}"),
                    &format!("{open} {replacement} {close}"),
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(pairs: &[(&str, &str)]) -> Vec<Message> {
        pairs
            .iter()
            .map(|(role, content)| Message { role: (*role).into(), content: (*content).into() })
            .collect()
    }

    #[track_caller]
    fn check(source: &str, pairs: &[(&str, &str)], expected: Result<&str, &str>) {
        let rendered = ChatTemplate::new("test.gguf", source, "<s>", "</s>")
            .and_then(|t| t.render(&messages(pairs)))
            .map_err(|e| e.to_string());
        match (rendered, expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(text), Err(part)) => {
                assert!(text.starts_with("chat template of test.gguf: "), "{text}");
                assert!(text.contains(part), "{text}");
            }
            (rendered, expected) => panic!("{rendered:?}, expected {expected:?}"),
        }
    }

    // SmolLM2-135M-Instruct; expectation by transformers 5.23 apply_chat_template.
    const SMOLLM2: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    #[test]
    fn renders_as_transformers_does() {
        check(
            SMOLLM2,
            &[("user", "Hi <b>\"you\"</b>")],
            Ok(
                "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nHi <b>\"you\"</b><|im_end|>\n<|im_start|>assistant\n",
            ),
        );
        check(
            "{{ bos_token }}{%- for m in messages -%}\n  {%- if m.role == 'user' -%}\n    [INST] {{ m['content'].strip().split('#')[0] | trim }} [/INST]\n  {%- endif -%}\n{%- endfor -%}",
            &[("user", "  q #x ")],
            Ok("<s>[INST] q [/INST]"),
        );
        check("{% if true %}\n  a\n{% endif %}\nb\n", &[], Ok("  a\nb"));
        check("{{ strftime_now('%d %b %Y') }}", &[], Ok("26 Jul 2024"));
        check("{% generation %}x{% endgeneration %}", &[], Ok("x"));
        check(
            "{{ messages | tojson }}",
            &[("user", "<é>'")],
            Ok("[{\"role\": \"user\", \"content\": \"<é>'\"}]"),
        );
        check("{% if not tools and tools is none %}n{% endif %}{{ missing }}", &[], Ok("n"));
        check("{% for m in messages %}{% break %}{% endfor %}ok", &[("user", "")], Ok("ok"));
        check(
            "{{ messages[0].content.startswith('a') }}{{ messages[1:] | length }}",
            &[("user", "ab"), ("user", "")],
            Ok("True1"),
        );
    }

    #[test]
    fn what_it_refuses_it_names() {
        check(
            "{{ raise_exception('System role not supported') }}",
            &[],
            Err("System role not supported"),
        );
        check("{% if %}", &[], Err("line 1"));
        check("{{ messages.nope() }}", &[], Err("line 1"));
        check(
            "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}",
            &[],
            Err("fuel"),
        );
        let long = "x".repeat(TEMPLATE_BYTES_MAX + 1);
        check(&long, &[], Err("longer than"));
    }

    #[test]
    fn without_a_template_each_content_has_its_line() {
        let plain = ChatTemplate::plain("model").expect("constant");
        let text = plain.render(&messages(&[("system", "a"), ("user", "b")]));
        assert_eq!(text.as_deref(), Ok("a\nb\n"));
        assert_eq!(plain.render(&[]).as_deref(), Ok(""));
        assert!(plain.is_plain());
    }
}
