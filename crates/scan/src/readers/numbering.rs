//! Numbers of lines in their files, for those that are shown.
//!
//! A unit in the middle of a file doesn't know how many lines lie before it, and counting them
//! for every unit would read every file twice. So readers number lines within their unit, and
//! whoever shows some of them asks here, once, for the units that they lie in.

use super::Unit;
use crate::input::{Location, NoObjects};
use std::collections::BTreeMap;
use std::io::{self, Read};
use stillwatch_evidence::ReadError;

const CHUNK_BYTES: usize = 1024 * 1024;

/// For each unit, the lines of its file that lie before its first. Each file is read once, up to
/// the last of its units.
///
/// # Errors
/// A file can't be read any more.
pub fn first_lines(units: &[&Unit]) -> Result<Vec<u64>, ReadError> {
    let mut starts: BTreeMap<&Location, Vec<(u64, usize)>> = BTreeMap::new();
    for (index, unit) in units.iter().enumerate() {
        if let Some(range) = unit.range.as_ref().filter(|range| range.start > 0) {
            starts.entry(&unit.file).or_default().push((range.start, index));
        }
    }
    let mut first = vec![0; units.len()];
    for (file, mut starts) in starts {
        starts.sort_unstable();
        let counts = count(file, &starts).map_err(|source| ReadError::Io {
            file: file.to_path(),
            line: None,
            source,
        })?;
        for ((_, index), lines) in starts.iter().zip(counts) {
            if let Some(slot) = first.get_mut(*index) {
                *slot = lines;
            }
        }
    }
    Ok(first)
}

/// Lines that begin before each start (sorted).
fn count(file: &Location, starts: &[(u64, usize)]) -> io::Result<Vec<u64>> {
    let mut reader = file.open(0, &NoObjects)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut at, mut lines, mut ends_line) = (0_u64, 0_u64, true);
    let mut counts = Vec::with_capacity(starts.len());
    for (start, _) in starts {
        while at < *start {
            let want = usize::try_from(start - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let n = reader.read(chunk.get_mut(..want).unwrap_or_default())?;
            if n == 0 {
                break;
            }
            let read = chunk.get(..n).unwrap_or_default();
            lines += read.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            ends_line = read.last() == Some(&b'\n');
            at += n as u64;
        }
        // A line that begins before the start but ends behind it is the last one before.
        counts.push(lines + u64::from(!ends_line));
    }
    Ok(counts)
}
