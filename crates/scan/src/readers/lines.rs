//! Lines of a unit, one by one.
//!
//! A line belongs to the unit that its first byte lies in, so units of any size read the same
//! lines as one. Blank lines mean nothing. A byte order mark counts into the first line.

use super::Unit;
use super::translate::Translator;
use crate::ScanError;
use stillwatch_evidence::{Lines, Source, Step};

/// The byte of the stream from which on lines belong to the next unit.
pub(super) type Stop = Option<u64>;

/// Lines between two questions whether to go on.
const ASK_EVERY: u64 = 1024;
/// A compressed stream may grow to this many times its size; logs shrink to a twentieth or so.
const RATIO_MAX: u64 = 1000;
/// Text that no ratio is asked of: short streams of one repeated line shrink a lot.
const FREE_BYTES: u64 = 64 * 1024 * 1024;

/// Text between two looks at the ratio.
const LOOK_BYTES: u64 = 8 * 1024 * 1024;

const BOM_BYTES: u64 = 3;

/// Reads lines. A source from the middle begins one byte before the unit, and everything up to
/// the first line end belongs to the unit before.
pub(super) fn read(
    source: Source<'_>,
    unit: &Unit,
    stop: Stop,
    translator: &mut Translator<'_>,
) -> Result<(), ScanError> {
    let compressed = source.compression().is_some();
    let in_middle = unit.range.as_ref().is_some_and(|range| range.start > 0);
    let bom = if source.has_bom() { BOM_BYTES } else { 0 };
    let mut lines = Lines::new(source, &unit.limits());
    let skipped = u64::from(in_middle);
    let mut next_look = FREE_BYTES;
    if in_middle {
        lines.step()?;
    }
    loop {
        if stop.is_some_and(|stop| bom + lines.taken() >= stop) && lines.taken() > 0 {
            break;
        }
        let step = lines.step()?;
        let number = lines.number() - skipped.min(lines.number());
        match step {
            Step::End => break,
            Step::Line { .. } if lines.bytes().iter().all(u8::is_ascii_whitespace) => {}
            Step::Line { ended } => translator.line(number, lines.bytes(), ended),
            Step::TooLong => {
                let reason = format!("line longer than {} bytes", lines.limit());
                translator.reject(number, reason, lines.bytes());
            }
            Step::Damaged(problem) => {
                let reason = format!("{problem}; what came before was read");
                translator.reject(number, reason, lines.bytes());
                translator.report.damages.push(format!("{}: {problem}", unit.file.display()));
            }
        }
        translator.report.n_lines = number;
        if number.is_multiple_of(ASK_EVERY) && !translator.goes_on() {
            break;
        }
        if compressed && lines.taken() >= next_look {
            next_look = lines.taken() + LOOK_BYTES;
            if is_bomb(&lines) {
                let problem = format!("it grows to more than {RATIO_MAX} times its size");
                translator.report.damages.push(format!("{}: {problem}", unit.file.display()));
                break;
            }
        }
    }
    translator.report.bytes_text += lines.taken();
    translator.report.bytes_on_disk += lines.source().bytes_on_disk();
    Ok(())
}

fn is_bomb(lines: &Lines<'_>) -> bool {
    let on_disk = lines.source().bytes_on_disk();
    lines.taken() > FREE_BYTES && lines.taken() / RATIO_MAX > on_disk
}
