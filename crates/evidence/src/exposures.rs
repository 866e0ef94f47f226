//! Files of exposures: reading, and what makes an exposure well formed.
//!
//! A bad line is set aside with its reason, whole: the rules here look at all texts of an
//! exposure alike, so that what is kept doesn't depend on which of them was released. Two
//! lines of one id are an error of the whole file.

use crate::error::{ReadError, WriteError, quoted};
use crate::jsonl::{JsonLines, Record, Reject, Validate, write_rejects};
use crate::source::Limits;
use crate::{Commitment, Exposure};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

const ROLES: [&str; 3] = ["system", "user", "assistant"];
/// Hexadecimal digits of a SHA-256 hash.
const HASH_DIGITS: usize = 64;

/// What a file of exposures holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ExposureFile {
    /// The exposures, in the order of the file.
    pub exposures: Vec<Exposure>,
    /// The line of each of them, counted from 1.
    pub lines: Vec<u64>,
    /// The lines that can't be read, in the order of the file.
    pub rejects: Vec<Reject>,
    /// Why the file ends before its end (a cut or corrupt compressed stream); also a reject.
    pub damage: Option<String>,
    /// SHA-256 of the bytes on disk, hexadecimal.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
}

impl ExposureFile {
    /// Writes the bad lines with their reasons as JSON lines.
    pub fn write_rejects(&self, path: &Path) -> Result<(), WriteError> {
        write_rejects(path, &self.rejects)
    }
}

/// Reads exposures from a plain, gzip or zstd file of JSON lines, with the usual [`Limits`].
///
/// Errors: the file can't be read, holds nothing readable, or uses one id twice.
pub fn read_exposures(path: &Path) -> Result<ExposureFile, ReadError> {
    let limits = Limits::default();
    collect(JsonLines::open(path, &limits)?, path, &limits)
}

/// Reads exposures from anything; `file` is what errors call it.
pub fn read_exposures_from<'a>(
    reader: impl Read + Send + 'a,
    file: &Path,
    limits: &Limits,
) -> Result<ExposureFile, ReadError> {
    collect(JsonLines::new(reader, file, limits)?, file, limits)
}

fn collect(
    mut records: JsonLines<'_, Exposure>,
    file: &Path,
    limits: &Limits,
) -> Result<ExposureFile, ReadError> {
    let mut exposures = Vec::new();
    let mut lines = Vec::new();
    let mut rejects = Vec::new();
    let mut line_of_id = BTreeMap::new();
    for record in &mut records {
        match record? {
            Record::Good { line, value } => {
                if let Some(first_line) = line_of_id.insert(value.id.clone(), line) {
                    let (file, id) = (file.to_owned(), value.id);
                    return Err(ReadError::DuplicateId { file, id, first_line, line });
                }
                exposures.push(value);
                lines.push(line);
            }
            Record::Bad(reject) if rejects.len() >= limits.rejects_max => {
                let (line, reason) = (reject.line, reject.reason);
                let limit = limits.rejects_max;
                return Err(ReadError::TooManyRejects {
                    file: file.to_owned(),
                    line,
                    limit,
                    reason,
                });
            }
            Record::Bad(reject) => rejects.push(reject),
        }
    }
    let damage = records.damage().map(str::to_owned);
    if exposures.is_empty() {
        let file = file.to_owned();
        return Err(match (rejects.as_slice(), damage) {
            ([only], Some(problem)) => ReadError::Damaged { file, line: only.line, problem },
            ([], _) => ReadError::Empty { file, what: "exposures" },
            ([first, ..], _) => ReadError::AllRejected {
                file,
                line: first.line,
                count: rejects.len() as u64,
                what: "an exposure",
                reason: first.reason.clone(),
            },
        });
    }
    let digest = records.finish()?;
    let (sha256, bytes) = (digest.sha256, digest.bytes);
    Ok(ExposureFile { exposures, lines, rejects, damage, sha256, bytes })
}

impl Validate for Exposure {
    fn validate(&self) -> Result<(), String> {
        not_empty("id", &self.id)?;
        for (i, message) in self.messages.iter().enumerate() {
            if !ROLES.contains(&message.role.as_str()) {
                let role = quoted(&message.role);
                return Err(format!(
                    "field `messages[{i}].role`: {role} is no role, expected system, user or assistant"
                ));
            }
        }
        not_empty("released", &self.released)?;
        if self.withheld.is_empty() {
            return Err("field `withheld`: empty list, expected one to K texts".into());
        }
        for (i, text) in self.withheld.iter().enumerate() {
            not_empty(&format!("withheld[{i}]"), text)?;
        }
        for (field, value) in
            [("account", &self.account), ("model", &self.model), ("time", &self.time)]
        {
            if let Some(value) = value {
                not_empty(field, value)?;
            }
        }
        if let Some(time) = &self.time
            && time.parse::<jiff::Timestamp>().is_err()
        {
            let time = quoted(time);
            return Err(format!(
                "field `time`: {time} is no time, expected RFC 3339 such as 2025-01-31T12:00:00Z"
            ));
        }
        let slots = self.withheld.len() + 1;
        if let Some(slot) = self.slot
            && slot >= slots
        {
            return Err(format!(
                "field `slot`: {slot} is out of range, expected 0 to {} ({slots} texts)",
                slots - 1
            ));
        }
        self.commitment.as_ref().map_or(Ok(()), |commitment| check_commitment(commitment, slots))
    }
}

fn check_commitment(commitment: &Commitment, slots: usize) -> Result<(), String> {
    not_empty("commitment.log_id", &commitment.log_id)?;
    if commitment.leaf_index >= commitment.tree_size {
        return Err(format!(
            "field `commitment.leaf_index`: {} is out of range, expected less than tree_size {}",
            commitment.leaf_index, commitment.tree_size
        ));
    }
    if commitment.root.len() != HASH_DIGITS || !is_hex(&commitment.root) {
        let root = quoted(&commitment.root);
        return Err(format!(
            "field `commitment.root`: {root} is no hash, expected {HASH_DIGITS} hexadecimal digits"
        ));
    }
    if commitment.salts.len() != slots {
        return Err(format!(
            "field `commitment.salts`: {} salts, expected {slots}, one for each text",
            commitment.salts.len()
        ));
    }
    match commitment.salts.iter().position(|salt| salt.is_empty() || !is_hex(salt)) {
        Some(i) => Err(format!("field `commitment.salts[{i}]`: expected hexadecimal digits")),
        None => Ok(()),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn not_empty(field: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("field `{field}`: empty, expected text"));
    }
    Ok(())
}
