//! The log as anyone reads it: entries, heads, proofs. Writes nothing and needs no key.
//!
//! Opening replays every entry, so what is returned is consistent with itself; whether it is the
//! log that one means, and the same that others saw, is for heads and witnesses to show.

use super::files::{CosignatureLine, Paths, read_lines};
use super::replay::{Position, Replay, agrees};
use super::{
    ConsistencyProof, ExposureLeaf, InclusionProof, LEAF_BYTES_MAX, Leaf, LedgerError, LogIdentity,
    PlanLeaf, Sha256Hash, SignedHead, frames,
};
use fs_err::File;
use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Read buffer of a scan, bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// A log, read.
#[derive(Debug)]
pub struct LogView {
    pub(crate) paths: Paths,
    pub(crate) identity: LogIdentity,
    pub(crate) replay: Replay,
    pub(crate) heads: Vec<SignedHead>,
    /// Bytes of whole lines in the files of heads and cosignatures.
    pub(crate) heads_len: u64,
    pub(crate) cosignatures_len: u64,
    pub(crate) scan: frames::Scan,
    file: Mutex<File>,
}

/// How much an opening checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// One's own file: checksums, order, heads.
    Own,
    /// A stranger's: besides, the spelling of each leaf and that both entries agree.
    Stranger,
}

impl LogView {
    /// Reads the log in `dir` and checks all of it: framing, leaves, that second entries agree
    /// with first ones, every head's signature, root, epoch and count.
    ///
    /// # Errors
    /// The first thing that is wrong, with file and place.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        Self::read(dir, Trust::Stranger)
    }

    pub(crate) fn read(dir: &Path, trust: Trust) -> Result<Self, LedgerError> {
        let paths = Paths::new(dir);
        let identity = LogIdentity::read(dir)?;
        let path = paths.entries();
        let file = File::open(&path).map_err(|e| LedgerError::io(&path, e))?;
        // Heads first: one that is signed while the entries are read must not look too long.
        let (heads, heads_len) = read_lines::<SignedHead>(&paths.heads())?;
        let (cosignatures, cosignatures_len) =
            read_lines::<CosignatureLine>(&paths.cosignatures())?;
        let mut replay = Replay::default();
        let mut open: BTreeMap<String, ExposureLeaf> = BTreeMap::new();
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, &file);
        let scan = frames::scan(&path, &mut reader, |offset, data| {
            take(&mut replay, &mut open, offset, data, trust)
        })?;
        let mut view = Self {
            paths,
            identity,
            replay,
            heads,
            heads_len,
            cosignatures_len,
            scan,
            file: Mutex::new(file),
        };
        view.check_heads()?;
        view.attach(cosignatures)?;
        Ok(view)
    }

    fn check_heads(&self) -> Result<(), LedgerError> {
        let path = self.paths.heads();
        let mut last: Option<&SignedHead> = None;
        for (number, signed) in self.heads.iter().enumerate() {
            let line = |reason: String| LedgerError::Line {
                path: path.clone(),
                line: number as u64 + 1,
                reason,
            };
            signed.verify().map_err(|e| line(e.to_string()))?;
            self.check_head(signed, last).map_err(line)?;
            last = Some(signed);
        }
        Ok(())
    }

    /// Whether a head that verifies is one of this log, after `last`.
    fn check_head(&self, signed: &SignedHead, last: Option<&SignedHead>) -> Result<(), String> {
        let head = &signed.head;
        let last = last.map(|last| &last.head);
        if head.log_id != self.identity.log_id {
            return Err("the head is of another log".to_owned());
        }
        let root = self.replay.tree.root(head.tree_size).map_err(|_| {
            format!(
                "the head was signed over {} entries, but entries.log holds {}: acknowledged \
                 entries are missing; restore it from a copy",
                head.tree_size,
                self.replay.tree.len()
            )
        })?;
        if root != head.root {
            return Err("the entries don't hash to the root that was signed".to_owned());
        }
        if head.epoch != last.map_or(0, |last| last.epoch + 1) {
            return Err(format!("epoch {} isn't the next one", head.epoch));
        }
        let before = last.map_or(0, |last| last.tree_size);
        if head.tree_size < before || last.is_some_and(|last| head.time < last.time) {
            return Err("tree size or time goes back".to_owned());
        }
        let count = self.replay.n_sequences_at(head.tree_size) - self.replay.n_sequences_at(before);
        if head.epoch_count != count {
            return Err(format!(
                "it counts {} exposures in its epoch, the entries hold {count}",
                head.epoch_count
            ));
        }
        Ok(())
    }

    fn attach(&mut self, cosignatures: Vec<CosignatureLine>) -> Result<(), LedgerError> {
        for (number, line) in cosignatures.into_iter().enumerate() {
            let wrong = |reason: String| LedgerError::Line {
                path: self.paths.cosignatures(),
                line: number as u64 + 1,
                reason,
            };
            line.cosignature.verify(&line.head_hash).map_err(|e| wrong(e.to_string()))?;
            let mut found = None;
            for head in &mut self.heads {
                if head.head_hash()? == line.head_hash {
                    found = Some(head);
                }
            }
            let head = found.ok_or_else(|| wrong("it signs no head of this log".to_owned()))?;
            head.cosignatures.push(line.cosignature);
        }
        Ok(())
    }

    /// Who the log is.
    pub fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    /// Number of leaves.
    pub fn tree_size(&self) -> u64 {
        self.replay.tree.len()
    }

    /// Number of exposures begun; their sequence numbers are `0..n`.
    pub fn n_sequences(&self) -> u64 {
        self.replay.n_sequences()
    }

    /// Number of exposures begun under a head of this log.
    pub fn n_sequences_under(&self, head: &SignedHead) -> u64 {
        self.replay.n_sequences_at(head.head.tree_size)
    }

    /// Root of the first `tree_size` leaves.
    ///
    /// # Errors
    /// The log is shorter.
    pub fn root(&self, tree_size: u64) -> Result<Sha256Hash, LedgerError> {
        self.replay.tree.root(tree_size)
    }

    /// Hash of the leaf at `index`.
    pub fn leaf_hash(&self, index: u64) -> Option<Sha256Hash> {
        self.replay.tree.leaf(index)
    }

    /// Signed heads, oldest first, with the cosignatures that were handed in.
    pub fn heads(&self) -> &[SignedHead] {
        &self.heads
    }

    /// Sealed plans with their leaves, oldest first.
    pub fn plans(&self) -> &[(u64, PlanLeaf)] {
        &self.replay.plans
    }

    /// Leaf at which these weights were first recorded.
    pub fn weights_recorded_at(&self, weights_hash: &Sha256Hash) -> Option<u64> {
        let mut weights = self.replay.weights.iter();
        weights.find(|(_, leaf)| leaf.weights_hash == *weights_hash).map(|(index, _)| *index)
    }

    /// Leaf at which an account was first deleted.
    pub fn deleted_at(&self, account_tag: &Sha256Hash) -> Option<u64> {
        self.replay.deletions.get(account_tag).copied()
    }

    /// Where the exposure with this id stands.
    pub fn position(&self, id: &str) -> Option<Position> {
        self.replay.position(id)
    }

    /// Where the exposure with this sequence number stands.
    pub fn position_of_sequence(&self, sequence: u64) -> Option<Position> {
        self.replay.position_of_sequence(sequence)
    }

    /// Bytes at the end of `entries.log` that a crash left unfinished.
    pub fn torn_bytes(&self) -> u64 {
        self.scan.torn_bytes
    }

    /// Data of the leaf at `index`.
    ///
    /// # Errors
    /// No such leaf, or the file changed since it was opened.
    pub fn leaf_data(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let missing = || LedgerError::OutOfRange {
            what: "leaf index",
            value: index,
            limit: self.tree_size(),
        };
        let offset = self.replay.offset(index).ok_or_else(missing)?;
        let path = self.paths.entries();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut len = [0; 4];
        let mut data = Vec::new();
        file.seek(SeekFrom::Start(offset.saturating_sub(4)))
            .and_then(|_| file.read_exact(&mut len))
            .and_then(|()| {
                let len = (u32::from_le_bytes(len) as usize).min(LEAF_BYTES_MAX);
                (&mut *file).take(len as u64).read_to_end(&mut data)
            })
            .map_err(|e| LedgerError::io(&path, e))?;
        if Some(super::leaf_hash(&data)) != self.replay.tree.leaf(index) {
            return Err(LedgerError::corrupt(&path, offset, "the entry changed since it was read"));
        }
        Ok(data)
    }

    /// The leaf at `index`.
    ///
    /// # Errors
    /// As [`Self::leaf_data`].
    pub fn leaf(&self, index: u64) -> Result<Leaf, LedgerError> {
        Leaf::decode(&self.leaf_data(index)?, index)
    }

    /// Proof that the leaf at `index` is in the tree of `tree_size` leaves.
    ///
    /// # Errors
    /// Index or size lie beyond the log.
    pub fn prove_inclusion(
        &self,
        index: u64,
        tree_size: u64,
    ) -> Result<InclusionProof, LedgerError> {
        let hashes = self.replay.tree.prove_inclusion(index, tree_size)?;
        let leaf = String::from_utf8(self.leaf_data(index)?)
            .map_err(|e| LedgerError::Leaf { index, reason: e.to_string() })?;
        let (log_id, root) = (self.identity.log_id.clone(), self.root(tree_size)?);
        Ok(InclusionProof { log_id, leaf_index: index, tree_size, root, leaf, hashes })
    }

    /// Proof that the tree of `first_size` leaves is the beginning of that of `second_size`.
    ///
    /// # Errors
    /// The sizes lie beyond the log or in the wrong order.
    pub fn prove_consistency(
        &self,
        first_size: u64,
        second_size: u64,
    ) -> Result<ConsistencyProof, LedgerError> {
        let hashes = self.replay.tree.prove_consistency(first_size, second_size)?;
        let log_id = self.identity.log_id.clone();
        Ok(ConsistencyProof { log_id, first_size, second_size, hashes })
    }
}

/// Takes one entry of the file into the replay.
fn take(
    replay: &mut Replay,
    open: &mut BTreeMap<String, ExposureLeaf>,
    offset: u64,
    data: &[u8],
    trust: Trust,
) -> Result<(), LedgerError> {
    let index = replay.tree.len();
    let wrong = |reason: String| LedgerError::Leaf { index, reason };
    let leaf = match trust {
        Trust::Own => Leaf::decode(data, index)?,
        Trust::Stranger => Leaf::decode_strict(data, index)?,
    };
    replay.check(&leaf, None).map_err(wrong)?;
    if trust == Trust::Stranger {
        match &leaf {
            Leaf::Commit(commit) => {
                open.insert(commit.id.clone(), commit.clone());
            }
            Leaf::Outcome(outcome) => {
                let first = open.remove(&outcome.id);
                let first = first.ok_or_else(|| wrong("it has no first entry".to_owned()))?;
                agrees(&first, outcome).map_err(wrong)?;
            }
            _ => {}
        }
    }
    replay.push(data, offset, leaf);
    Ok(())
}

/// Reads the bytes of a file of entries, as a stranger's: for fuzzing and for tools that hold
/// only the file. Returns the number of leaves and the root.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_entries(bytes: &[u8]) -> Result<(u64, Sha256Hash), LedgerError> {
    let mut replay = Replay::default();
    let mut open = BTreeMap::new();
    let mut reader = bytes;
    frames::scan(Path::new("entries.log"), &mut reader, |offset, data| {
        take(&mut replay, &mut open, offset, data, Trust::Stranger)
    })?;
    let size = replay.tree.len();
    Ok((size, replay.tree.root(size)?))
}
