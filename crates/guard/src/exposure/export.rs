//! From what was kept to a file of exposures, for `audit`.
//!
//! Every exposure that both ended under a signed head and can be opened is in the file, those
//! that were set aside too (as identical twins, which no test uses), so that the ledger's range
//! can be accounted for to the last entry. What is left out is counted, with the reason.

use super::keep::{Kept, Line, Place};
use super::{kept_dir, ledger_dir};
use crate::GuardError;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use stillwatch_evidence::ledger::{Ledger, LedgerError, LogView, Opening, SignedHead};
use stillwatch_evidence::{Commitment, Exposure};

/// Exposures that aren't in the file, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// They have no second entry: an audit counts them as adverse.
    pub unfinished: u64,
    /// Both entries are there, but no signed head covers them yet.
    pub not_under_a_head: u64,
    /// Their account was deleted.
    pub deleted: u64,
    /// Their texts aren't kept any more, or the kept lines are lost: an audit's range must begin
    /// after them, or it counts them as adverse.
    pub not_kept: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exported {
    /// Exposures in the file.
    pub n_exposures: u64,
    /// Those of them whose pair was set aside, by reason.
    pub set_aside: BTreeMap<String, u64>,
    /// Those of them whose texts are the same.
    pub n_identical: u64,
    /// What isn't in the file.
    pub left_out: LeftOut,
    /// First and last sequence number in the file.
    pub sequences: Option<[u64; 2]>,
    /// The head that covers them all.
    pub head: Option<SignedHead>,
    /// Whether another process, the guard, was writing meanwhile.
    pub is_running: bool,
}

/// Writes all captured exposures in ledger order as JSON lines. With `sign_at`, and unless a
/// guard is running, an epoch is closed first where entries lie under no head.
///
/// # Errors
/// No ledger, kept lines that can't be read, an `out` that can't be written.
pub fn export(
    data: &Path,
    out: &mut dyn Write,
    sign_at: Option<Timestamp>,
) -> Result<Exported, GuardError> {
    let is_running = match sign_at {
        Some(time) => sign(&ledger_dir(data), time)?,
        None => false,
    };
    // Kept lines before the ledger's: what is in the ledger then was kept before.
    let view = LogView::open(&ledger_dir(data))?;
    let kept = places(data)?;
    let mut exported = Exported {
        n_exposures: 0,
        set_aside: BTreeMap::new(),
        n_identical: 0,
        left_out: LeftOut::default(),
        sequences: None,
        head: view.heads().last().cloned(),
        is_running,
    };
    let covered = exported.head.as_ref().map_or(0, |signed| signed.head.tree_size);
    for sequence in 0..view.n_sequences() {
        let Some(at) = view.position_of_sequence(sequence) else { continue };
        let Some(outcome) = at.outcome else {
            exported.left_out.unfinished += 1;
            continue;
        };
        let (Some(head), true) = (&exported.head, outcome < covered) else {
            exported.left_out.not_under_a_head += 1;
            continue;
        };
        if is_deleted(&view, at.commit)? {
            exported.left_out.deleted += 1;
            continue;
        }
        let Some(Both { begun, ended: Some(ended) }) = kept.by_sequence.get(&sequence) else {
            exported.left_out.not_kept += 1;
            continue;
        };
        let lines = (kept.files.read(begun), kept.files.read(ended));
        let (
            Ok(Line::Begun { request, opening }),
            Ok(Line::Ended { texts, set_aside, stands_for_both, .. }),
        ) = lines
        else {
            exported.left_out.not_kept += 1;
            continue;
        };
        if let Some(reason) = set_aside {
            *exported.set_aside.entry(reason).or_default() += 1;
        } else if texts[0] == texts[1] {
            exported.n_identical += 1;
        }
        let texts = match stands_for_both {
            Some(text) => [text.clone(), text],
            None => texts,
        };
        let commitment = commitment(&view, head, &opening, outcome);
        let slot = opening.slot.unwrap_or(0);
        let texts = [texts[0].as_str(), texts[1].as_str()];
        let Some(exposure) = opening.exposure(&request.as_request(), &texts, slot, commitment)
        else {
            exported.left_out.not_kept += 1;
            continue;
        };
        write_line(out, &exposure)?;
        exported.n_exposures += 1;
        let first = exported.sequences.map_or(sequence, |[first, _]| first);
        exported.sequences = Some([first, sequence]);
    }
    out.flush().map_err(written)?;
    Ok(exported)
}

fn written(source: std::io::Error) -> GuardError {
    GuardError::Io { what: "can't write the exposures".to_owned(), source }
}

fn write_line(out: &mut dyn Write, exposure: &Exposure) -> Result<(), GuardError> {
    let mut line = serde_json::to_vec(exposure).map_err(|e| written(e.into()))?;
    line.push(b'\n');
    out.write_all(&line).map_err(written)
}

/// Closes an epoch where there is something to close; `true` where a guard is running.
fn sign(dir: &Path, time: Timestamp) -> Result<bool, GuardError> {
    let mut ledger = match Ledger::open(dir) {
        Ok(ledger) => ledger,
        Err(LedgerError::Locked { .. }) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let last = ledger.heads().last().map(|signed| (signed.head.tree_size, signed.head.time));
    if ledger.tree_size() > last.map_or(0, |(size, _)| size) {
        ledger.close_epoch(last.map_or(time, |(_, last)| last.max(time)))?;
    }
    Ok(false)
}

fn is_deleted(view: &LogView, commit: u64) -> Result<bool, GuardError> {
    use stillwatch_evidence::ledger::Leaf;
    let Leaf::Commit(leaf) = view.leaf(commit)? else { return Ok(false) };
    let deletion = leaf.account_tag.and_then(|tag| view.deleted_at(&tag));
    Ok(deletion.is_some_and(|at| commit < at))
}

fn commitment(view: &LogView, head: &SignedHead, opening: &Opening, leaf_index: u64) -> Commitment {
    Commitment {
        log_id: view.identity().log_id.clone(),
        sequence: opening.sequence,
        leaf_index,
        tree_size: head.head.tree_size,
        root: head.head.root.to_string(),
        salts: opening.salts.clone(),
    }
}

/// Where both lines of an exposure stand.
struct Both {
    begun: Place,
    ended: Option<Place>,
}

struct Places {
    files: Kept,
    by_sequence: BTreeMap<u64, Both>,
}

/// Finds the lines; a begun line without entry in the ledger is overwritten by the one that has
/// its sequence number, because only the latter was ever acknowledged.
fn places(data: &Path) -> Result<Places, GuardError> {
    let dir = kept_dir(data);
    let wrong = |source| GuardError::Io { what: "can't read kept exposures".to_owned(), source };
    let files = Kept::open(&dir).map_err(wrong)?;
    let mut by_sequence: BTreeMap<u64, Both> = BTreeMap::new();
    let mut sequence_of_id: BTreeMap<String, u64> = BTreeMap::new();
    files
        .each(&mut |line, place| match line {
            Line::Begun { opening, .. } => {
                sequence_of_id.insert(opening.id, opening.sequence);
                by_sequence.insert(opening.sequence, Both { begun: place, ended: None });
            }
            Line::Ended { id, .. } => {
                let both = sequence_of_id.remove(&id).and_then(|n| by_sequence.get_mut(&n));
                if let Some(both) = both {
                    both.ended = Some(place);
                }
            }
        })
        .map_err(wrong)?;
    Ok(Places { files, by_sequence })
}
