//! What must hold for any bytes whatever: the bodies of the fuzz targets.
//!
//! The tests replay the corpus through the same functions, so no special compiler is needed to
//! keep a bug that was found once from coming back. A violated assertion is a bug in a reader,
//! never in its input.

use crate::input::{Inputs, Location, Log, Object, Objects};
use crate::readers::{
    Container, Format, Mapping, ReadOptions, Sink, Unit, UnitReport, plan_with, read_unit_from,
};
use crate::row::LogRow;
use std::io::{self, Cursor, Read};
use stillwatch_evidence::Reject;

/// A store that holds one object, whatever it is called.
#[derive(Debug, Clone)]
pub struct Memory(pub Vec<u8>);

impl Objects for Memory {
    fn list(&self, url: &str) -> io::Result<Vec<Object>> {
        Ok(vec![Object { url: url.to_owned(), bytes: self.0.len() as u64 }])
    }

    fn open(&self, _url: &str, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(Box::new(Cursor::new(self.0.get(from..).unwrap_or_default().to_vec())))
    }
}

/// Keeps all that is read.
#[derive(Debug, Default)]
pub struct Kept {
    /// Rows, with their lines.
    pub rows: Vec<(u64, LogRow<'static>)>,
    /// Bad lines.
    pub rejects: Vec<Reject>,
}

impl Sink for Kept {
    fn row(&mut self, line: u64, row: &LogRow<'_>) {
        self.rows.push((line, row.to_owned_row()));
    }

    fn reject(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }
}

/// Plans and reads bytes as if they were a log. Nothing where no product's log is found.
pub fn read_bytes(bytes: &[u8], options: &ReadOptions) -> Option<(Kept, UnitReport, Vec<Unit>)> {
    let memory = Memory(bytes.to_vec());
    let location = Location::Object("memory://log".to_owned());
    let logs = vec![Log { location, bytes: bytes.len() as u64 }];
    let plan = plan_with(&Inputs { logs, ..Inputs::default() }, options, &memory).ok()?;
    let mut kept = Kept::default();
    let mut report = UnitReport::default();
    for unit in &plan.units {
        report.merge(read_unit_from(unit, &memory, &mut kept).ok()?);
    }
    Some((kept, report, plan.units))
}

const NOW_MS: i64 = 1_800_000_000_000;

/// Any bytes as a log whose format is to be found out: what is counted is what came, times are
/// plausible, and units of any size read the same rows.
pub fn log(bytes: &[u8]) {
    let whole =
        ReadOptions { line_bytes_max: 4096, now_ms: Some(NOW_MS), ..ReadOptions::default() };
    let Some((kept, report, units)) = read_bytes(bytes, &whole) else { return };
    consistent(&kept, &report);
    if units.iter().any(|unit| unit.container != Container::Lines) {
        return;
    }
    for unit_bytes in [13, 1000] {
        let options = ReadOptions { unit_bytes, ..whole.clone() };
        let cut = read_bytes(bytes, &options);
        assert!(cut.is_some(), "what is found in one piece is found in several");
        let Some((cut, sum, _)) = cut else { return };
        let rows = |kept: &Kept| kept.rows.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
        assert_eq!(rows(&kept), rows(&cut), "the same rows in pieces of {unit_bytes} bytes");
        let reasons =
            |kept: &Kept| kept.rejects.iter().map(|r| r.reason.clone()).collect::<Vec<_>>();
        assert_eq!(reasons(&kept), reasons(&cut), "the same rejects");
        assert_eq!(report.n_lines, sum.n_lines, "every line once");
    }
}

/// Any bytes as lines of each product in turn, by name.
pub fn products(bytes: &[u8]) {
    for format in Format::ALL {
        let options = ReadOptions {
            format: Some(format),
            line_bytes_max: 4096,
            now_ms: Some(NOW_MS),
            ..ReadOptions::default()
        };
        if let Some((kept, report, _)) = read_bytes(bytes, &options) {
            consistent(&kept, &report);
        }
    }
}

/// The first line as a mapping, the rest as a log that it is applied to.
pub fn mapping(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (rule, log) = bytes.split_at_checked(end).unwrap_or_default();
    let Ok(mapping) = Mapping::new([String::from_utf8_lossy(rule)]) else { return };
    let options = ReadOptions { mapping, now_ms: Some(NOW_MS), ..ReadOptions::default() };
    if let Some((kept, report, _)) = read_bytes(log, &options) {
        consistent(&kept, &report);
    }
}

fn consistent(kept: &Kept, report: &UnitReport) {
    assert_eq!(report.n_rows, kept.rows.len() as u64, "rows are counted");
    assert_eq!(report.n_rejected, kept.rejects.len() as u64, "rejects are counted");
    assert_eq!(report.n_by_format.values().sum::<u64>(), report.n_rows, "by format");
    let without_time = kept.rows.iter().filter(|(_, row)| row.time_ms.is_none()).count();
    assert_eq!(report.n_without_time, without_time as u64, "times are counted");
    assert!(report.n_implausible_time <= report.n_without_time, "no time of that kind is left");
    let without_account = kept.rows.iter().filter(|(_, row)| row.account.is_none()).count();
    assert_eq!(report.n_without_account, without_account as u64, "accounts are counted");
    let named = kept.rows.iter().filter_map(|(_, row)| row.account.as_deref());
    assert!(named.into_iter().all(|account| !account.is_empty()), "no account without a name");
}
