//! The log as its owner writes it: entries before and after each answer, epochs, heads.
//!
//! Every function that records returns only when the entry is on the disk. Randomness comes from
//! an [`Entropy`], times are passed in. What must stay secret (salts, slot, texts) is returned to
//! the caller, who keeps it outside the log *before* recording the outcome: an exposure that can't
//! be opened later counts against its owner.

use super::files::{
    Acknowledged, CosignatureLine, Lengths, Paths, append_lines, read_key, sync_dir,
    write_atomically, write_key,
};
use super::frames::{FILE_MAGIC, FrameWriter};
use super::opening::{ExposureRequest, Opening};
use super::view::{LogView, Trust};
use super::{
    AnchorLeaf, DeletionLeaf, Entropy, LEAF_VERSION, Leaf, LedgerError, LogIdentity, LogKey,
    OsEntropy, PlanLeaf, Receipt, Sha256Hash, SignedHead, TreeHead, WeightsLeaf,
};
use crate::Commitment;
use fs_err::{File, OpenOptions};
use jiff::Timestamp;
use std::fmt;
use std::io::{Seek as _, SeekFrom};
use std::ops::Deref;
use std::path::Path;

/// A log, open for writing. Reads like a [`LogView`].
pub struct Ledger {
    view: LogView,
    key: LogKey,
    entropy: Box<dyn Entropy>,
    writer: FrameWriter<File>,
    acknowledged: Acknowledged,
    /// Held, not used.
    _lock: WriterLock,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("view", &self.view).finish_non_exhaustive()
    }
}

impl Deref for Ledger {
    type Target = LogView;

    fn deref(&self) -> &LogView {
        &self.view
    }
}

/// The lock that one writer holds; the operating system releases it with the process.
#[derive(Debug)]
struct WriterLock(File);

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Explicitly: a child process that is just being started may still hold the descriptor.
        // A failure changes nothing, closing the file releases the lock too.
        self.0.unlock().ok();
    }
}

fn lock(paths: &Paths) -> Result<WriterLock, LedgerError> {
    let path = paths.lock();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(|e| LedgerError::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(WriterLock(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(LedgerError::Locked { path }),
        Err(std::fs::TryLockError::Error(e)) => Err(LedgerError::io(&path, e)),
    }
}

impl Ledger {
    /// Creates a ledger in `dir` (made if missing) with a new key from the operating system.
    ///
    /// # Errors
    /// A ledger exists there, or the folder can't be written.
    pub fn create(dir: &Path, time: Timestamp) -> Result<Self, LedgerError> {
        Self::create_with(dir, time, Box::new(OsEntropy))
    }

    /// [`Self::create`] with another random source.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_with(
        dir: &Path,
        time: Timestamp,
        mut entropy: Box<dyn Entropy>,
    ) -> Result<Self, LedgerError> {
        fs_err::create_dir_all(dir).map_err(|e| LedgerError::io(dir, e))?;
        let paths = Paths::new(dir);
        let lock = lock(&paths)?;
        if paths.identity().exists() {
            return Err(LedgerError::Exists { path: dir.to_path_buf() });
        }
        // A creation that was cut short left a key that signed nothing, and no entry.
        let entries = paths.entries();
        let leftover = fs_err::metadata(&entries).map_or(0, |metadata| metadata.len());
        if leftover > FILE_MAGIC.len() as u64 {
            let reason = "entries without log.json; restore log.json, or choose another folder";
            return Err(LedgerError::corrupt(&entries, 0, reason));
        }
        let key_path = paths.key();
        if key_path.exists() {
            fs_err::remove_file(&key_path).map_err(|e| LedgerError::io(&key_path, e))?;
        }
        let key = LogKey::generate(entropy.as_mut())?;
        write_key(&key_path, &key)?;
        write_atomically(&entries, FILE_MAGIC)?;
        // A fresh mark, at its full length: overwriting it later needs no space.
        Acknowledged::open(paths.acknowledged())?.write(Lengths::default())?;
        let identity = LogIdentity {
            version: 1,
            log_id: key.log_id(),
            public_key: key.public_key(),
            created: time,
        };
        let json = serde_json::to_vec_pretty(&identity)
            .map_err(|e| LedgerError::verification("log.json", e.to_string()))?;
        write_atomically(&paths.identity(), &[json.as_slice(), b"\n"].concat())?;
        Self::open_locked(dir, lock, entropy)
    }

    /// Opens the ledger in `dir` for writing; repairs the end of a file that a crash tore.
    ///
    /// # Errors
    /// No ledger, another writer, or something acknowledged was altered or is missing.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        Self::open_with(dir, Box::new(OsEntropy))
    }

    /// [`Self::open`] with another random source.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(dir: &Path, entropy: Box<dyn Entropy>) -> Result<Self, LedgerError> {
        let paths = Paths::new(dir);
        if !paths.identity().exists() {
            return Err(LedgerError::NotALedger { path: dir.to_path_buf() });
        }
        Self::open_locked(dir, lock(&paths)?, entropy)
    }

    fn open_locked(
        dir: &Path,
        lock: WriterLock,
        entropy: Box<dyn Entropy>,
    ) -> Result<Self, LedgerError> {
        let view = LogView::read(dir, Trust::Own)?;
        let key = read_key(&view.paths.key())?;
        if key.public_key() != view.identity.public_key {
            let reason = "it is the key of another log".to_owned();
            return Err(LedgerError::Key { path: view.paths.key(), reason });
        }
        let path = view.paths.entries();
        let valid_len = view.scan.valid_len;
        let mut acknowledged = Acknowledged::open(view.paths.acknowledged())?;
        let promised = acknowledged.read()?;
        for (path, promised, whole) in [
            (path.clone(), promised.entries, valid_len),
            (view.paths.heads(), promised.heads, view.heads_len),
            (view.paths.cosignatures(), promised.cosignatures, view.cosignatures_len),
        ] {
            if promised > whole {
                let reason = format!(
                    "everything up to byte {promised} was acknowledged, but the file is whole \
                     only up to here"
                );
                return Err(LedgerError::corrupt(&path, whole, reason));
            }
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| LedgerError::io(&path, e))?;
        // What is whole but perhaps not yet synced becomes acknowledged now.
        let repaired = file
            .set_len(valid_len)
            .and_then(|()| file.sync_all())
            .and_then(|()| file.seek(SeekFrom::Start(valid_len)));
        repaired.map_err(|e| LedgerError::io(&path, e))?;
        sync_dir(dir)?;
        let writer = FrameWriter::new(file, path, valid_len);
        let mut ledger = Self { view, key, entropy, writer, acknowledged, _lock: lock };
        ledger.acknowledge()?;
        Ok(ledger)
    }

    /// Marks as acknowledged what is on the disk.
    fn acknowledge(&mut self) -> Result<(), LedgerError> {
        self.acknowledged.write(Lengths {
            entries: self.writer.len(),
            heads: self.view.heads_len,
            cosignatures: self.view.cosignatures_len,
        })
    }

    /// Reads like a stranger.
    pub fn view(&self) -> &LogView {
        &self.view
    }

    /// Pseudonym of an account in this log.
    pub fn account_tag(&self, account: &str) -> Sha256Hash {
        self.key.account_tag(account)
    }

    pub(crate) fn key(&self) -> &LogKey {
        &self.key
    }

    /// Records entries that were checked, all in one batch; returns the first one's leaf.
    fn append(&mut self, leaves: Vec<Leaf>) -> Result<u64, LedgerError> {
        let first = self.view.tree_size();
        let data = leaves.iter().map(Leaf::encode).collect::<Result<Vec<_>, _>>()?;
        let offsets = self.writer.append(&data)?;
        for ((leaf, data), offset) in leaves.into_iter().zip(&data).zip(offsets) {
            self.view.replay.push(data, offset, leaf);
        }
        self.acknowledge()?;
        Ok(first)
    }

    /// First entry of an exposure, before anything is asked of the model: draws salts and coin.
    ///
    /// # Errors
    /// An id that exists, too few or many slots, a full disk.
    pub fn commit_exposure(
        &mut self,
        request: &ExposureRequest<'_>,
    ) -> Result<(Opening, Receipt), LedgerError> {
        let mut all = self.commit_exposures(std::slice::from_ref(request))?;
        all.pop().ok_or_else(|| LedgerError::refused(request.id, "nothing was recorded"))
    }

    /// [`Self::commit_exposure`] for many, with one write and one sync.
    ///
    /// # Errors
    /// As [`Self::commit_exposure`]; then nothing was recorded.
    pub fn commit_exposures(
        &mut self,
        requests: &[ExposureRequest<'_>],
    ) -> Result<Vec<(Opening, Receipt)>, LedgerError> {
        self.commit_exposures_keeping(requests, &mut |_| Ok(()))
    }

    /// [`Self::commit_exposures`] with a chance to keep the openings before the entries are
    /// written: then no crash can leave an entry that its owner can't open.
    ///
    /// # Errors
    /// As [`Self::commit_exposure`], or what `keep` returned; then nothing was recorded.
    pub fn commit_exposures_keeping(
        &mut self,
        requests: &[ExposureRequest<'_>],
        keep: &mut dyn FnMut(&[Opening]) -> Result<(), LedgerError>,
    ) -> Result<Vec<(Opening, Receipt)>, LedgerError> {
        let mut leaves = Vec::with_capacity(requests.len());
        let mut openings = Vec::with_capacity(requests.len());
        let mut ids = std::collections::BTreeSet::new();
        let next = self.view.n_sequences();
        for (request, sequence) in requests.iter().zip(next..) {
            let tag = request.account.map(|account| self.key.account_tag(account));
            if let Some(tag) = tag.filter(|tag| self.view.deleted_at(tag).is_some()) {
                let reason = format!("its account ({tag}) was deleted from this ledger");
                return Err(LedgerError::refused(request.id, reason));
            }
            let (opening, leaf) = Opening::draw(request, sequence, tag, self.entropy.as_mut())?;
            let leaf = Leaf::Commit(leaf);
            self.view.replay.check(&leaf, None).map_err(|r| LedgerError::refused(request.id, r))?;
            if !ids.insert(request.id) {
                return Err(LedgerError::refused(request.id, "twice in one batch; ids are unique"));
            }
            leaves.push(leaf);
            openings.push(opening);
        }
        keep(&openings)?;
        let first = self.append(leaves)?;
        openings
            .into_iter()
            .zip(first..)
            .map(|(opening, leaf)| {
                let receipt = self.receipt(opening.sequence, leaf)?;
                Ok((opening, receipt))
            })
            .collect()
    }

    /// Second entry, when all slots have ended: commits to the text of each, in slot order.
    ///
    /// # Errors
    /// No first entry, ended already, an opening that isn't that of the first entry, a full disk.
    pub fn record_outcome(
        &mut self,
        opening: &Opening,
        texts: &[&str],
    ) -> Result<Receipt, LedgerError> {
        let mut all = self.record_outcomes(&[(opening, texts)])?;
        all.pop().ok_or_else(|| LedgerError::refused(&opening.id, "nothing was recorded"))
    }

    /// [`Self::record_outcome`] for many, with one write and one sync.
    ///
    /// # Errors
    /// As [`Self::record_outcome`]; then nothing was recorded.
    pub fn record_outcomes(
        &mut self,
        outcomes: &[(&Opening, &[&str])],
    ) -> Result<Vec<Receipt>, LedgerError> {
        let mut leaves = Vec::with_capacity(outcomes.len());
        let mut sequences = Vec::with_capacity(outcomes.len());
        let mut ids = std::collections::BTreeSet::new();
        for (opening, texts) in outcomes {
            let refused = |reason: String| LedgerError::refused(&opening.id, reason);
            let position = self.view.position(&opening.id);
            let position = position.ok_or_else(|| refused("it has no first entry".to_owned()))?;
            let Leaf::Commit(first) = self.view.leaf(position.commit)? else {
                return Err(refused("it has no first entry".to_owned()));
            };
            opening.check_first(&first).map_err(refused)?;
            let leaf = Leaf::Outcome(opening.outcome(&first, texts).map_err(refused)?);
            self.view.replay.check(&leaf, Some(&first)).map_err(refused)?;
            if !ids.insert(opening.id.as_str()) {
                return Err(refused("twice in one batch".to_owned()));
            }
            leaves.push(leaf);
            sequences.push(position.sequence);
        }
        let first = self.append(leaves)?;
        let receipts = sequences.into_iter().zip(first..);
        receipts.map(|(sequence, leaf)| self.receipt(sequence, leaf)).collect()
    }

    fn receipt(&self, sequence: u64, leaf: u64) -> Result<Receipt, LedgerError> {
        let hash = self.view.leaf_hash(leaf).ok_or(LedgerError::OutOfRange {
            what: "leaf index",
            value: leaf,
            limit: self.view.tree_size(),
        })?;
        Receipt::sign(&self.key, &self.view.identity.log_id, sequence, leaf, hash)
    }

    /// Records that these weights exist now; returns the leaf. A reference or placebo counts as
    /// older than the coins only if this comes before the first of them.
    ///
    /// # Errors
    /// A full disk.
    pub fn record_weights(
        &mut self,
        model: &str,
        weights_hash: Sha256Hash,
    ) -> Result<u64, LedgerError> {
        let leaf = WeightsLeaf { version: LEAF_VERSION, id: model.to_owned(), weights_hash };
        self.append(vec![Leaf::Weights(leaf)])
    }

    /// Records that an account is deleted, with all its exposures; returns the leaf. Only
    /// deletions before the plan are honoured by an audit. `reason` must not name the account.
    ///
    /// # Errors
    /// A full disk.
    pub fn record_deletion(&mut self, account: &str, reason: &str) -> Result<u64, LedgerError> {
        let account_tag = self.key.account_tag(account);
        let leaf = DeletionLeaf { version: LEAF_VERSION, id: reason.to_owned(), account_tag };
        self.append(vec![Leaf::Deletion(leaf)])
    }

    /// Records heads of other logs, each of which is checked first.
    ///
    /// # Errors
    /// A head that doesn't verify or is this log's own, a full disk.
    pub fn record_heads(&mut self, heads: &[(&str, &SignedHead)]) -> Result<(), LedgerError> {
        let mut leaves = Vec::with_capacity(heads.len());
        for (whose, signed) in heads {
            signed.verify()?;
            if signed.head.log_id == self.view.identity.log_id {
                return Err(LedgerError::refused(whose, "it is this log's own head"));
            }
            leaves.push(Leaf::Anchor(AnchorLeaf {
                version: LEAF_VERSION,
                id: (*whose).to_owned(),
                log_id: signed.head.log_id.clone(),
                tree_size: signed.head.tree_size,
                head_hash: signed.head_hash()?,
            }));
        }
        if !leaves.is_empty() {
            self.append(leaves)?;
        }
        Ok(())
    }

    /// Records a plan's seal; returns the leaf. [`crate::plan`] makes the entry.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn record_plan(&mut self, plan: PlanLeaf) -> Result<u64, LedgerError> {
        self.append(vec![Leaf::Plan(plan)])
    }

    /// Closes the current epoch and signs the head over all entries so far.
    ///
    /// # Errors
    /// A time before the last head's, a full disk.
    pub fn close_epoch(&mut self, time: Timestamp) -> Result<SignedHead, LedgerError> {
        let last = self.view.heads.last().map(|last| &last.head);
        if let Some(last) = last.filter(|last| time < last.time) {
            let (given, last) = (time.to_string(), last.time.to_string());
            return Err(LedgerError::Clock { given, last });
        }
        let tree_size = self.view.tree_size();
        let before = last.map_or(0, |last| self.view.replay.n_sequences_at(last.tree_size));
        let head = TreeHead {
            log_id: self.view.identity.log_id.clone(),
            tree_size,
            root: self.view.root(tree_size)?,
            time,
            epoch: last.map_or(0, |last| last.epoch + 1),
            epoch_count: self.view.n_sequences() - before,
        };
        let signed = SignedHead::sign(&self.key, head)?;
        self.view.heads_len = append_lines(
            &self.view.paths.heads(),
            self.view.heads_len,
            std::slice::from_ref(&signed),
        )?;
        self.view.heads.push(signed.clone());
        self.acknowledge()?;
        Ok(signed)
    }

    /// Keeps witnesses' signatures that came back under a head of this log; returns how many
    /// were new.
    ///
    /// # Errors
    /// A signature that doesn't verify, a head that isn't this log's, a full disk.
    pub fn add_cosignatures(&mut self, cosigned: &SignedHead) -> Result<usize, LedgerError> {
        cosigned.verify()?;
        let head_hash = cosigned.head_hash()?;
        let own = self.view.heads.iter().position(|head| head.head == cosigned.head);
        let own = own.and_then(|at| self.view.heads.get_mut(at)).ok_or_else(|| {
            LedgerError::verification("cosignature", "it signs no head of this log")
        })?;
        let mut n_new = 0;
        for cosignature in &cosigned.cosignatures {
            if own.cosignatures.contains(cosignature) {
                continue;
            }
            let line = CosignatureLine { head_hash, cosignature: cosignature.clone() };
            let path = self.view.paths.cosignatures();
            self.view.cosignatures_len = append_lines(&path, self.view.cosignatures_len, &[line])?;
            own.cosignatures.push(cosignature.clone());
            n_new += 1;
        }
        self.acknowledge()?;
        Ok(n_new)
    }

    /// What an exposure says of its entries, under a head that covers both.
    ///
    /// # Errors
    /// The exposure hasn't ended, or ended after that head.
    pub fn commitment(
        &self,
        opening: &Opening,
        head: &SignedHead,
    ) -> Result<Commitment, LedgerError> {
        let position = self.view.position(&opening.id);
        let leaf_index = position
            .and_then(|position| position.outcome)
            .filter(|&leaf| leaf < head.head.tree_size)
            .ok_or_else(|| {
                let reason = "it hasn't ended under this head; record its outcome, close the epoch";
                LedgerError::refused(&opening.id, reason)
            })?;
        Ok(Commitment {
            log_id: self.view.identity.log_id.clone(),
            sequence: opening.sequence,
            leaf_index,
            tree_size: head.head.tree_size,
            root: head.head.root.to_string(),
            salts: opening.salts.clone(),
        })
    }
}
