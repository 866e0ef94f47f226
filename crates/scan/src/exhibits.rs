//! What to look at: for each flagged campaign when its members asked, and some of their prompts.
//!
//! Sketches hold no text, so the logs are read once more, for the members of flagged campaigns
//! alone. Memory is bounded by campaigns, days and the few prompts kept of each.

use crate::ScanError;
use crate::readers::{Sink, Unit, first_lines, read_unit};
use crate::result::ScanResult;
use crate::row::LogRow;
use std::collections::{BTreeMap, BTreeSet};
use stillwatch_evidence::{Progress, Reject};

/// Prompts kept of a campaign, each of another account.
pub const EXAMPLES_MAX: usize = 6;
/// Bytes kept of a prompt.
const TEXT_BYTES_MAX: usize = 2_000;
/// Members of a campaign whose days are counted apart.
const TIMELINES_MAX: usize = 60;
const DAY_MS: i64 = 86_400_000;
/// Days that are counted at most; a log of broken clocks has more.
const DAYS_MAX: usize = 3_700;

/// A prompt of a member, where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Who asked.
    pub account: String,
    /// The log.
    pub file: String,
    /// Its line there, counted from 1; 0 where the file has no lines.
    pub line: u64,
    /// The exchange's name in the log.
    pub id: String,
    /// When, milliseconds since the epoch.
    pub time_ms: Option<i64>,
    /// The prompt, cut where it is long.
    pub prompt: String,
}

/// What to look at of one campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exhibit {
    /// The first prompts of the first members.
    pub examples: Vec<Example>,
    /// Exchanges by day since the epoch, all members together.
    pub days: BTreeMap<i64, u64>,
    /// The same by member (place in the campaign's accounts), of the first members.
    pub member_days: BTreeMap<usize, BTreeMap<i64, u64>>,
    /// Requests of the members.
    pub n: u64,
}

/// Reads the logs again for flagged campaigns. By campaign.
///
/// # Errors
/// A log that can't be read any more.
pub fn exhibits(
    result: &ScanResult,
    units: &[Unit],
    progress: &dyn Progress,
) -> Result<BTreeMap<String, Exhibit>, ScanError> {
    let mut wanted = BTreeMap::new();
    for campaign in result.flagged() {
        for (place, account) in campaign.accounts.iter().enumerate() {
            wanted.insert(account.as_str(), (campaign.id.as_str(), place));
        }
    }
    let mut sink = Collect {
        wanted,
        found: BTreeMap::new(),
        shown: BTreeSet::new(),
        file: String::new(),
        unit: 0,
        lines: Vec::new(),
    };
    if sink.wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    progress.begin("Looking up examples", units.len() as u64);
    for (i, unit) in units.iter().enumerate() {
        sink.file = unit.file.display().to_string();
        sink.unit = i;
        read_unit(unit, &mut sink)?;
        progress.advance(1);
        if progress.stop_requested() {
            break;
        }
    }
    progress.end();
    let firsts = first_lines(&units.iter().collect::<Vec<&Unit>>())?;
    for (campaign, at, unit) in &sink.lines {
        if let Some(example) = sink.found.get_mut(campaign).and_then(|e| e.examples.get_mut(*at))
            && example.line > 0
        {
            example.line += firsts.get(*unit).copied().unwrap_or(0);
        }
    }
    Ok(sink.found)
}

struct Collect<'a> {
    /// Campaign and place of each member.
    wanted: BTreeMap<&'a str, (&'a str, usize)>,
    found: BTreeMap<String, Exhibit>,
    shown: BTreeSet<String>,
    file: String,
    unit: usize,
    /// Campaign, place of the example, unit: lines of units become lines of files at the end.
    lines: Vec<(String, usize, usize)>,
}

impl Sink for Collect<'_> {
    fn row(&mut self, line: u64, row: &LogRow<'_>) {
        let Some(account) = row.account.as_deref() else { return };
        let Some((campaign, place)) = self.wanted.get(account).copied() else { return };
        let exhibit = self.found.entry(campaign.to_owned()).or_default();
        exhibit.n += 1;
        if let Some(time_ms) = row.time_ms {
            let day = time_ms.div_euclid(DAY_MS);
            count(&mut exhibit.days, day);
            if place < TIMELINES_MAX {
                count(exhibit.member_days.entry(place).or_default(), day);
            }
        }
        if exhibit.examples.len() < EXAMPLES_MAX && !self.shown.contains(account) {
            self.shown.insert(account.to_owned());
            self.lines.push((campaign.to_owned(), exhibit.examples.len(), self.unit));
            exhibit.examples.push(Example {
                account: account.to_owned(),
                file: self.file.clone(),
                line,
                id: row.id.to_string(),
                time_ms: row.time_ms,
                prompt: head(&row.user, TEXT_BYTES_MAX),
            });
        }
    }

    fn reject(&mut self, _reject: Reject) {}
}

fn count(days: &mut BTreeMap<i64, u64>, day: i64) {
    if days.len() < DAYS_MAX || days.contains_key(&day) {
        *days.entry(day).or_default() += 1;
    }
}

/// The first bytes of a text, cut between characters.
fn head(text: &str, bytes_max: usize) -> String {
    let end = (0..=bytes_max.min(text.len())).rev().find(|i| text.is_char_boundary(*i));
    let cut = text.get(..end.unwrap_or(0)).unwrap_or_default();
    if cut.len() < text.len() { format!("{cut}…") } else { cut.to_owned() }
}

/// A text with its words hidden, its shape left: letters become x, digits 0, the first bytes only.
pub fn redacted(text: &str, chars_max: usize) -> String {
    let hidden: String = text
        .chars()
        .take(chars_max)
        .map(|c| match c {
            c if c.is_alphabetic() => 'x',
            c if c.is_numeric() => '0',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    if text.chars().nth(chars_max).is_some() { hidden + "…" } else { hidden }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_redacted_keeps_its_shape_alone() {
        assert_eq!(redacted("Äh, 42 <b>\n", 99), "xx, 00 <x> ");
        assert_eq!(redacted("abc", 2), "xx…");
        assert_eq!(head("äöü", 3), "ä…");
    }
}
