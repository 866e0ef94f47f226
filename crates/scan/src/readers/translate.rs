//! One line of any format to its rows, with the counts.
//!
//! A file has the format that was found in its head. A line that isn't of that format may be of
//! another, since logs get concatenated; it is read as what it is, and counted so. With a format
//! that was named there is no such search.

use super::json::Json;
use super::mapping::Mapping;
use super::report::UnitReport;
use super::times::{PLAUSIBLE_AHEAD_MS, PLAUSIBLE_FROM_MS};
use super::{Format, Sink, Unit, detect, native, products};
use crate::row::{LogRow, NoContent};
use stillwatch_evidence::Reject;

/// Translates the lines of one unit.
pub(super) struct Translator<'s> {
    format: Format,
    named: bool,
    mapping: Mapping,
    now_ms: Option<i64>,
    sink: &'s mut dyn Sink,
    pub(super) report: UnitReport,
}

impl<'s> Translator<'s> {
    pub(super) fn new(unit: &Unit, sink: &'s mut dyn Sink) -> Self {
        Self {
            format: unit.format,
            named: unit.named,
            mapping: unit.mapping.clone(),
            now_ms: unit.now_ms,
            sink,
            report: UnitReport::default(),
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        self.sink.goes_on()
    }

    pub(super) fn reject(&mut self, line: u64, reason: String, raw: &[u8]) {
        self.report.n_rejected += 1;
        let head = raw.get(..stillwatch_evidence::KEPT_BYTES).unwrap_or(raw);
        let raw = String::from_utf8_lossy(head).into_owned();
        self.sink.reject(Reject { line, reason, raw });
    }

    /// Takes a line. `ended`: whether it has its end.
    pub(super) fn line(&mut self, number: u64, line: &[u8], ended: bool) {
        let mut taken = Taken::new(self, number);
        let result = if self.format == Format::Exchange && self.mapping.is_empty() {
            let read = native::read(line, ended, &mut |row| {
                taken.row(Format::Exchange, row, &mut self.report, self.sink);
            });
            match read {
                Err(_) if !self.named => match Json::parse(line, ended) {
                    // The native reader's words on a broken line are the better ones.
                    Err(_) => read,
                    Ok(json) => match detect::of(&json) {
                        None | Some((Format::Exchange, _)) => read,
                        Some(_) => self.tree(json, &mut taken),
                    },
                },
                read => read,
            }
        } else {
            Json::parse(line, ended).and_then(|json| self.tree(json, &mut taken))
        };
        let n = taken.n;
        match result {
            Err(reason) => self.reject(number, reason, line),
            Ok(()) if n == 0 => self.report.n_passed_over += 1,
            Ok(()) => {}
        }
    }

    /// Takes an object that was no line: a record of a table.
    pub(super) fn record(&mut self, number: u64, record: Json<'_>) {
        let mut taken = Taken::new(self, number);
        let kept = record.clone();
        match self.tree(record, &mut taken) {
            Err(reason) => self.reject(number, reason, kept.to_json().as_bytes()),
            Ok(()) if taken.n == 0 => self.report.n_passed_over += 1,
            Ok(()) => {}
        }
    }

    /// Reads an object, or each object of a list of them.
    fn tree(&mut self, json: Json<'_>, taken: &mut Taken) -> Result<(), String> {
        match json {
            Json::List(items) => items.into_iter().try_for_each(|item| self.object(item, taken)),
            Json::Map(entries) => {
                // The wrapper of answers that list records: {"data": […]}.
                let wraps = |(key, value): &(std::borrow::Cow<'_, str>, Json<'_>)| {
                    key == "data" && value.list().first().is_some_and(Json::is_map)
                };
                if entries.iter().any(wraps) {
                    let data = entries.into_iter().find(|(key, _)| key == "data");
                    let items = data.map(|(_, items)| items).unwrap_or_default();
                    return self.tree(items, taken);
                }
                self.object(Json::Map(entries), taken)
            }
            _ => Err("expected a JSON object".to_owned()),
        }
    }

    fn object(&mut self, mut json: Json<'_>, taken: &mut Taken) -> Result<(), String> {
        if !json.is_map() {
            return Err("expected a JSON object".to_owned());
        }
        let mapped_only = self.format == Format::Mapped;
        let format = if self.named || mapped_only || detect::is(self.format, &json).is_some() {
            self.format
        } else {
            let found = detect::of(&json).map(|(format, _)| format);
            found.ok_or_else(|| {
                let why = detect::expected(self.format);
                format!("not a line of {}: {why}, nor of any other known format", self.format)
            })?
        };
        let (mapping, report, sink) = (&self.mapping, &mut self.report, &mut *self.sink);
        if mapping.is_empty() {
            return products::read(format, &mut json, &mut |row| {
                taken.row(format, row, report, sink);
            });
        }
        let line = json.clone();
        if mapped_only && !mapping.finds_any(&line) {
            return Err("none of the mapped fields is there".to_owned());
        }
        products::read(format, &mut json, &mut |row| {
            mapping.apply(&line, row, &mut |row| taken.row(format, row, report, sink));
        })
    }
}

/// The rows of one line.
struct Taken {
    number: u64,
    n: u64,
    now_ms: Option<i64>,
}

impl Taken {
    fn new(translator: &Translator<'_>, number: u64) -> Self {
        Self { number, n: 0, now_ms: translator.now_ms }
    }

    fn row(
        &mut self,
        format: Format,
        row: &LogRow<'_>,
        report: &mut UnitReport,
        sink: &mut dyn Sink,
    ) {
        self.n += 1;
        report.n_rows += 1;
        *report.n_by_format.entry(format).or_default() += 1;
        report.n_without_account += u64::from(row.account.is_none());
        if !row.has_content() {
            let reason = row.no_content.unwrap_or(NoContent::NotStored);
            *report.n_without_content.entry(reason).or_default() += 1;
        }
        let plausible = |ms: i64| {
            ms >= PLAUSIBLE_FROM_MS
                && self.now_ms.is_none_or(|now| ms <= now.saturating_add(PLAUSIBLE_AHEAD_MS))
        };
        match row.time_ms {
            Some(ms) if !plausible(ms) => {
                report.n_without_time += 1;
                report.n_implausible_time += 1;
                sink.row(self.number, &LogRow { time_ms: None, ..row.clone() });
            }
            time => {
                report.n_without_time += u64::from(time.is_none());
                sink.row(self.number, row);
            }
        }
    }
}
