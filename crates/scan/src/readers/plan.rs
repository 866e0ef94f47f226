//! From logs to units: what each file is, and how it is cut.

use super::detect::{self, Detected};
use super::{Container, Format, Mapping, Unit};
use crate::ScanError;
use crate::input::{Inputs, Log, NoObjects, Objects};
use std::path::PathBuf;
use stillwatch_evidence::Limits;

/// Plain files are cut into pieces of so many bytes: enough that opening a file doesn't show,
/// little enough that eight threads finish a file of 1 GiB together.
const UNIT_BYTES: u64 = 32 * 1024 * 1024;

/// How logs are read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The format of all logs; found out for each where none is named.
    pub format: Option<Format>,
    /// Fields that are found elsewhere than the format's reader looks.
    pub mapping: Mapping,
    /// The present, milliseconds since the epoch: times more than a day after it are no times.
    pub now_ms: Option<i64>,
    /// Longest line, bytes.
    pub line_bytes_max: usize,
    /// Plain files are cut into units of so many bytes.
    pub unit_bytes: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            mapping: Mapping::default(),
            now_ms: None,
            line_bytes_max: Limits::default().line_bytes_max,
            unit_bytes: UNIT_BYTES,
        }
    }
}

/// What is to be read.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Units, in the order of the files and of their bytes.
    pub units: Vec<Unit>,
    /// What each file was found to be.
    pub detected: Vec<Detected>,
    /// What can't be read, with the reason. A scan of the rest is partial.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Plans logs in the file system.
///
/// # Errors
/// No log can be read, or its format isn't known.
pub fn plan(inputs: &Inputs, options: &ReadOptions) -> Result<Plan, ScanError> {
    plan_with(inputs, options, &NoObjects)
}

/// Plans logs, also those in object stores.
///
/// # Errors
/// As [`plan`].
pub fn plan_with(
    inputs: &Inputs,
    options: &ReadOptions,
    objects: &dyn Objects,
) -> Result<Plan, ScanError> {
    let mut plan = Plan { unreadable: inputs.unreadable.clone(), ..Plan::default() };
    let mut unknown = None;
    for log in &inputs.logs {
        match detect::look(&log.location, options, objects) {
            Ok(None) => {}
            Ok(Some(detected)) => {
                cut(log, &detected, options, &mut plan.units);
                plan.detected.push(detected);
            }
            Err(reason) => {
                let file = log.location.to_path();
                unknown.get_or_insert((file.clone(), reason.clone()));
                plan.unreadable.push((file, reason));
            }
        }
    }
    if !plan.units.is_empty() {
        return Ok(plan);
    }
    Err(match unknown {
        Some((file, reason)) => ScanError::Format { file, reason },
        None => ScanError::Empty {
            paths: inputs.logs.iter().map(|log| log.location.display().to_string()).collect(),
        },
    })
}

fn cut(log: &Log, detected: &Detected, options: &ReadOptions, units: &mut Vec<Unit>) {
    let unit = |range| Unit {
        file: log.location.clone(),
        container: detected.container,
        format: detected.format,
        named: options.format.is_some(),
        range,
        mapping: options.mapping.clone(),
        now_ms: options.now_ms,
        line_bytes_max: options.line_bytes_max,
    };
    let step = options.unit_bytes.max(1);
    let whole = detected.compression.is_some() || detected.container != Container::Lines;
    if whole || log.bytes <= step {
        units.push(unit(None));
        return;
    }
    let mut start = 0;
    while start < log.bytes {
        let end = start.saturating_add(step).min(log.bytes);
        units.push(unit(Some(start..end)));
        start = end;
    }
}
