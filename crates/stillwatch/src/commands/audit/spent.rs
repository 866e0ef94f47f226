//! Texts that an outside endpoint has seen are spent: remembered beside the exposures' file.
//!
//! The note is `FILE.spent.jsonl`: one line per endpoint and run. A later audit of another model
//! says so, because that model may have learnt the texts from there.

use super::models::is_outside;
use crate::{cli::AuditArgs, outcome::Failure};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
};
use stillwatch_evidence::Progress;
use stillwatch_models::ModelSpec;

#[derive(Serialize, Deserialize)]
struct Spent {
    time: String,
    endpoint: String,
    exposures_at_most: Option<usize>,
}

/// Tells which endpoints have seen these texts before.
pub(super) fn warn(args: &AuditArgs, progress: &dyn Progress) -> Result<(), Failure> {
    let Some(note) = args.exposures.as_deref().map(note_path).filter(|p| p.exists()) else {
        return Ok(());
    };
    let text = fs_err::read_to_string(&note).map_err(|e| Failure::input("io", e))?;
    let asked: BTreeSet<String> = endpoints(args).into_iter().collect();
    let seen: BTreeSet<String> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Spent>(line).ok())
        .map(|spent| spent.endpoint)
        .filter(|endpoint| !asked.contains(endpoint))
        .collect();
    for endpoint in seen {
        progress.note(&format!(
            "warning: these texts are spent: {endpoint} has seen both sides of them ({})",
            note.display()
        ));
    }
    Ok(())
}

/// Remembers who has now seen the texts.
pub(super) fn mark(args: &AuditArgs, now: &str) -> Result<(), Failure> {
    let Some(exposures) = args.exposures.as_deref() else { return Ok(()) };
    let endpoints = endpoints(args);
    if endpoints.is_empty() {
        return Ok(());
    }
    let append = || -> std::io::Result<()> {
        let mut file =
            fs_err::OpenOptions::new().create(true).append(true).open(note_path(exposures))?;
        for endpoint in endpoints {
            let spent = Spent { time: now.to_owned(), endpoint, exposures_at_most: args.budget };
            writeln!(file, "{}", serde_json::to_string(&spent)?)?;
        }
        Ok(())
    };
    append().map_err(|e| Failure::input("io", e).hint("the texts were shown; note it yourself"))
}

fn note_path(exposures: &Path) -> PathBuf {
    let mut name = exposures.as_os_str().to_owned();
    name.push(".spent.jsonl");
    PathBuf::from(name)
}

/// The model strings that send texts to another machine.
fn endpoints(args: &AuditArgs) -> Vec<String> {
    args.suspect
        .iter()
        .chain(&args.reference)
        .chain(&args.placebo)
        .filter(|spec| spec.parse().is_ok_and(|s: ModelSpec| is_outside(&s)))
        .cloned()
        .collect()
}
