//! `ledger`: keep a log, sign its heads, prove and check what it says.

mod read;
mod write;

pub use read::{checked_rounds, range_of};

use crate::{
    cli::ledger::{LedgerStep, LedgerVerb},
    outcome::{Exit, Failure},
    printer::Printer,
};
use serde::{Serialize, de::DeserializeOwned};
use std::path::Path;
use stillwatch_evidence::atomic;

/// Runs one step.
pub fn run(verb: &LedgerVerb, printer: Printer) -> Result<Exit, Failure> {
    match &verb.step {
        LedgerStep::Init(args) => write::init(args, printer),
        LedgerStep::Append(args) => write::append(args, printer),
        LedgerStep::Head(args) => write::head(args, printer),
        LedgerStep::Cosign(args) => write::cosign(args, printer),
        LedgerStep::Prove(args) => read::prove(args, printer),
        LedgerStep::Verify(args) => read::verify(args, printer),
    }
}

/// Longest JSON file that is read whole, bytes.
const JSON_BYTES_MAX: u64 = 16 << 20;

/// Reads one JSON value.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let input = |e: std::io::Error| Failure::input("io", e).file(path.display());
    let size = fs_err::metadata(path).map_err(input)?.len();
    if size > JSON_BYTES_MAX {
        let message = format!("{}: {size} bytes, expected one JSON value", path.display());
        return Err(Failure::input("bad_json", message).file(path.display()));
    }
    let bytes = fs_err::read(path).map_err(input)?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Failure::input("bad_json", format!("{}: {e}", path.display()))
            .file(path.display())
            .line(Some(e.line() as u64))
            .hint("give the file as it was written, one JSON value")
    })
}

/// Writes one JSON value, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|e| Failure::new(Exit::Internal, "json", e))?;
    text.push('\n');
    atomic::write(path, text.as_bytes()).map_err(|e| Failure::report(&e))
}
