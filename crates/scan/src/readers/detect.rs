//! What a file is, found out by looking at its head.
//!
//! The container shows in the first visible character; the format in the fields of the first
//! lines, each of which has a vote. Products are asked from the most telling fields to the least.

use super::json::Json;
use super::plan::ReadOptions;
use super::{Container, Format, parquet, products, tables};
use crate::input::{Location, Objects};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use stillwatch_evidence::{Limits, Lines, ReadError, Report as _, Source, Step};

/// Lines of a head that vote.
const VOTES_MAX: usize = 64;
/// Lines of a head: documents may spread one record over many.
const LINES_MAX: usize = 4096;
/// Bytes of a head, beyond the first line.
const HEAD_BYTES: u64 = 1024 * 1024;

const PARQUET_MAGIC: &[u8; 4] = b"PAR1";

/// What a log was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    /// The log.
    pub file: Location,
    /// What its records lie in.
    pub container: Container,
    /// How it is compressed.
    pub compression: Option<String>,
    /// Whose log it is.
    pub format: Format,
    /// What told so.
    pub why: String,
}

/// In which order products are asked: the ones with the most telling fields first.
const ORDER: [Format; 11] = [
    Format::OtelGenai,
    Format::LitellmSpend,
    Format::LitellmPayload,
    Format::Helicone,
    Format::Langfuse,
    Format::TensorZero,
    Format::Portkey,
    Format::Cloudflare,
    Format::Exchange,
    Format::Anthropic,
    Format::OpenAi,
];

/// Whether a record is of this format, and what tells so.
pub(super) fn is(format: Format, record: &Json<'_>) -> Option<&'static str> {
    products::looks(format, record)
}

/// Whose record it is, and what tells so.
pub(super) fn of(record: &Json<'_>) -> Option<(Format, &'static str)> {
    ORDER.into_iter().find_map(|format| Some((format, is(format, record)?)))
}

/// The fields that a format is known by.
pub(super) fn expected(format: Format) -> &'static str {
    match format {
        Format::Exchange | Format::ExchangeParquet => "it lacks id and messages",
        Format::OpenAi | Format::Anthropic => "it lacks request and response",
        Format::LitellmSpend => "it lacks call_type, startTime and request_id",
        Format::LitellmPayload => "it lacks call_type, startTime and id",
        Format::Helicone => "it lacks request_id and request_created_at",
        Format::Langfuse => "it lacks type, trace_id and start_time",
        Format::TensorZero => "it lacks episode_id and variant_name, or inference_id",
        Format::OtelGenai => "it lacks resourceSpans, resourceLogs and gen_ai attributes",
        Format::Portkey => "it lacks ai_model, and metrics",
        Format::Cloudflare => "it lacks RequestBody, and tokens_in with provider",
        Format::Mapped => "it lacks the mapped fields",
    }
}

/// Looks at a log; nothing where it is empty.
///
/// # Errors
/// Why it can't be read, or that nobody knows its format.
pub(super) fn look(
    location: &Location,
    options: &ReadOptions,
    objects: &dyn Objects,
) -> Result<Option<Detected>, String> {
    let mut reader = location.open(0, objects).map_err(|error| error.to_string())?;
    let mut magic = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut magic).map_err(|error| error.to_string())?;
    let detected = |container, compression: Option<&str>, format, why: &str| {
        let compression = compression.map(str::to_owned);
        Detected { file: location.clone(), container, compression, format, why: why.to_owned() }
    };
    if magic.is_empty() {
        return Ok(None);
    }
    if magic == PARQUET_MAGIC {
        let (format, why) = parquet::look(location, options)?;
        return Ok(Some(detected(Container::Parquet, None, format, &why)));
    }
    let path = location.to_path();
    let source = Source::unhashed(Cursor::new(magic).chain(reader), &path)
        .map_err(|error| in_words(&error))?;
    let compression = source.compression();
    let limits = Limits { line_bytes_max: options.line_bytes_max, ..Limits::default() };
    let Some(head) = Head::read(Lines::new(source, &limits)) else { return Ok(None) };
    let container = head.container();
    let (format, why) = match options.format {
        Some(format) => (format, "it was named".to_owned()),
        None => vote(&head.records(container), options)?,
    };
    Ok(Some(detected(container, compression, format, &why)))
}

fn in_words(error: &ReadError) -> String {
    let report = error.report();
    match report.hint {
        Some(hint) => format!("{}: {hint}", report.message),
        None => report.message,
    }
}

/// The first lines of a file.
struct Head {
    /// Lines that aren't blank.
    lines: Vec<Vec<u8>>,
}

impl Head {
    /// Nothing where there is nothing to see.
    fn read(mut lines: Lines<'_>) -> Option<Self> {
        let mut head = Self { lines: Vec::new() };
        while head.lines.len() < LINES_MAX && lines.taken() < HEAD_BYTES {
            match lines.step() {
                Ok(Step::Line { .. }) => {
                    if !lines.bytes().iter().all(u8::is_ascii_whitespace) {
                        head.lines.push(lines.bytes().to_vec());
                    }
                }
                Ok(Step::TooLong) => head.lines.push(lines.bytes().to_vec()),
                Ok(Step::Damaged(_) | Step::End) | Err(_) => break,
            }
        }
        (!head.lines.is_empty()).then_some(head)
    }

    fn container(&self) -> Container {
        let first = self.lines.first().map(Vec::as_slice).unwrap_or_default();
        let visible = first.iter().find(|byte| !byte.is_ascii_whitespace());
        // One look at a few lines tells lines from a document.
        let parses = |line: &[u8]| Json::parse(line, true).is_ok();
        let mut few = self.lines.iter().take(VOTES_MAX);
        match visible {
            Some(b'[') => Container::Json,
            // A line that is no object by itself, with another one behind it that isn't either.
            Some(b'{') if self.lines.len() > 1 && !few.any(|line| parses(line)) => Container::Json,
            Some(b'{') => Container::Lines,
            _ => match separator(first) {
                Some(separator) => Container::Csv(separator),
                None => Container::Lines,
            },
        }
    }

    fn records(&self, container: Container) -> Vec<Json<'static>> {
        let joined = || self.lines.join(&b'\n');
        match container {
            Container::Lines => {
                let first = self.lines.iter().take(VOTES_MAX);
                let parsed = first.filter_map(|line| Json::parse(line, true).ok());
                parsed.map(Json::into_owned).collect()
            }
            Container::Json => tables::values_of_head(&joined(), VOTES_MAX),
            Container::Csv(separator) => tables::records_of_head(&joined(), separator),
            Container::Parquet => Vec::new(),
        }
    }
}

/// What parts the columns of a header: the separator that occurs most, in a line of names.
fn separator(header: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(header).ok()?;
    let is_name = |c: char| c.is_alphanumeric() || "_-.:\"' ,;\t[]/()".contains(c);
    if !text.chars().all(is_name) {
        return None;
    }
    let times = |separator: u8| text.matches(char::from(separator)).count();
    let best = [b',', b'\t', b';'].into_iter().max_by_key(|separator| times(*separator))?;
    (times(best) > 0).then_some(best)
}

/// The format of most records.
///
/// # Errors
/// No product has such records.
pub(super) fn vote(
    records: &[Json<'_>],
    options: &ReadOptions,
) -> Result<(Format, String), String> {
    let mut votes: BTreeMap<Format, (usize, &'static str)> = BTreeMap::new();
    for record in records {
        let inner = record.get("data").list().first().filter(|first| first.is_map());
        if let Some((format, why)) = of(inner.unwrap_or(record)) {
            votes.entry(format).or_insert((0, why)).0 += 1;
        }
    }
    let rank = |format: &Format| ORDER.iter().position(|other| other == format);
    let best =
        votes.into_iter().max_by_key(|(format, (n, _))| (*n, std::cmp::Reverse(rank(format))));
    match best {
        Some((format, (_, why))) => Ok((format, why.to_owned())),
        None if !options.mapping.is_empty() => {
            Ok((Format::Mapped, "no known format, but fields are mapped".to_owned()))
        }
        None => Err(match records.first() {
            None => "no JSON objects and no table in its first lines".to_owned(),
            Some(record) => {
                let keys = record.entries().iter().map(|(key, _)| key.as_ref());
                let keys: Vec<&str> = keys.take(12).collect();
                format!("no product's log has these fields: {}", keys.join(", "))
            }
        }),
    }
}
