//! What must hold for any bytes whatever: the bodies of the fuzz targets.
//!
//! The tests replay the corpus through the same functions, so no special compiler is needed
//! to keep a bug that was found once from coming back. A violated assertion is a bug in a
//! reader, never in its input.

use crate::ledger::{Sha256Hash, check_entries};
use crate::source::Limits;
use crate::{read_exposures_from, read_scores_from, score_groups, units};
use std::path::Path;

/// Small limits, so that their edges are reached.
const LIMITS: Limits = Limits { line_bytes_max: 4096, rejects_max: 64 };

/// Reads exposures; whatever is read is well formed, and every unit is counted once.
pub fn exposures(bytes: &[u8]) {
    let Ok(file) = read_exposures_from(bytes, Path::new("fuzz"), &LIMITS) else { return };
    assert_eq!(file.bytes, bytes.len() as u64, "the hash covers every byte");
    assert_eq!(file.exposures.len(), file.lines.len(), "every exposure has a line");
    assert!(file.rejects.len() <= LIMITS.rejects_max, "rejects are bounded");
    assert!(file.exposures.iter().all(|one| !one.withheld.is_empty()), "K ≥ 1");
    let units = units(&file.exposures);
    let members: usize = units.units.iter().map(Vec::len).sum();
    assert_eq!(members + units.identical.len(), file.exposures.len(), "a partition");
}

/// Reads scores; whatever is read can be written.
pub fn scores(bytes: &[u8]) {
    let Ok(table) = read_scores_from(bytes, Path::new("fuzz"), &LIMITS) else { return };
    assert_eq!(table.check(), Ok(()), "what is read can be written");
    let members: usize = score_groups(&table).iter().map(Vec::len).sum();
    assert_eq!(members, table.rows.len(), "a partition");
}

/// Reads a ledger's entries; what passes is a tree, and passes again with the same root.
pub fn ledger(bytes: &[u8]) {
    let Ok((size, root)) = check_entries(bytes) else { return };
    assert_eq!(check_entries(bytes).ok(), Some((size, root)), "the same bytes, the same root");
    assert_eq!(size == 0, root == Sha256Hash::of(b""), "only nothing has the root of nothing");
}
