//! A bounded set of 64-bit marks that survives a restart: which conversations were exposed, and
//! what passages of released texts look like.
//!
//! Two generations: marks go into the newer one until it is full, then the older one is
//! forgotten. The newest half of the bound is therefore always remembered. Marks are keyed
//! hashes, so the files say nothing about texts without the key beside them.

use crate::GuardError;
use fs_err::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

#[expect(clippy::disallowed_types, reason = "only asked whether it holds a mark, never listed")]
type Set = std::collections::HashSet<u64, std::hash::BuildHasherDefault<AsItIs>>;

/// Marks are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl std::hash::Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}

#[derive(Debug, Default)]
struct Generations {
    newer: Set,
    older: Set,
    /// Marks that aren't in the file yet.
    unwritten: Vec<u64>,
    /// Marks that other nodes don't know yet; absent where there are none.
    unshared: Option<std::collections::VecDeque<u64>>,
    /// The newer generation was full since the file was last written.
    has_turned: bool,
}

impl Generations {
    /// Whether the mark is new in the newer generation.
    fn put(&mut self, mark: u64, generation_max: usize) -> bool {
        if self.newer.contains(&mark) {
            return false;
        }
        if self.newer.len() >= generation_max {
            self.older = std::mem::take(&mut self.newer);
            self.unwritten.clear();
            self.has_turned = true;
        }
        self.newer.insert(mark);
        self.unwritten.push(mark);
        true
    }

    fn wait_to_be_shared(&mut self, mark: u64, bound: usize) {
        if let Some(unshared) = &mut self.unshared {
            // While the store is away for long, the oldest are forgotten.
            if unshared.len() >= bound {
                unshared.pop_front();
            }
            unshared.push_back(mark);
        }
    }
}

/// The set.
#[derive(Debug)]
pub(super) struct Marks {
    path: PathBuf,
    generation_max: usize,
    sets: Mutex<Generations>,
}

impl Marks {
    /// Reads the set from two files beside each other; `marks_max` bounds it.
    pub(super) fn open(path: PathBuf, marks_max: usize) -> Result<Self, GuardError> {
        let sets = Generations {
            newer: read(&path)?,
            older: read(&older(&path))?,
            ..Generations::default()
        };
        Ok(Self { path, generation_max: (marks_max / 2).max(1), sets: Mutex::new(sets) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any of these is in the set.
    pub(super) fn contains_any(&self, marks: &[u64]) -> bool {
        let sets = self.lock();
        marks.iter().any(|mark| sets.newer.contains(mark) || sets.older.contains(mark))
    }

    /// From now on, new marks wait for [`Self::take_unshared`].
    pub(super) fn share(&self) {
        self.lock().unshared.get_or_insert_default();
    }

    /// Up to `n` marks that other nodes don't know yet.
    pub(super) fn take_unshared(&self, n: usize) -> Vec<u64> {
        let mut sets = self.lock();
        let Some(unshared) = &mut sets.unshared else { return Vec::new() };
        let n = n.min(unshared.len());
        unshared.drain(..n).collect()
    }

    /// Gives back what couldn't be shared.
    pub(super) fn put_back_unshared(&self, marks: &[u64]) {
        if let Some(unshared) = &mut self.lock().unshared {
            marks.iter().rev().for_each(|&mark| unshared.push_front(mark));
        }
    }

    /// Puts marks of other nodes into the set.
    pub(super) fn insert_shared(&self, marks: &[u64]) {
        let sets = &mut *self.lock();
        for &mark in marks {
            if !sets.older.contains(&mark) {
                sets.put(mark, self.generation_max);
            }
        }
    }

    /// Puts marks into the set.
    pub(super) fn insert(&self, marks: &[u64]) {
        let sets = &mut *self.lock();
        for &mark in marks {
            if sets.put(mark, self.generation_max) {
                sets.wait_to_be_shared(mark, self.generation_max);
            }
        }
    }

    /// Puts one mark into the set, unless it or one of `others` is there: `false`.
    pub(super) fn insert_new(&self, mark: u64, others: &[u64]) -> bool {
        // Two locks would let two requests of one conversation through at once.
        let sets = &mut *self.lock();
        let known = |mark: &u64| sets.newer.contains(mark) || sets.older.contains(mark);
        if others.iter().chain([&mark]).any(known) {
            return false;
        }
        sets.put(mark, self.generation_max);
        sets.wait_to_be_shared(mark, self.generation_max);
        true
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let sets = self.lock();
        sets.newer.len() + sets.older.len()
    }

    /// Writes what isn't in the files yet. What can't be written is tried again next time.
    pub(super) fn flush(&self) -> std::io::Result<()> {
        let (unwritten, turned) = {
            let sets = &mut *self.lock();
            if sets.unwritten.is_empty() && !sets.has_turned {
                return Ok(());
            }
            let turned = std::mem::take(&mut sets.has_turned)
                .then(|| (to_bytes(&sets.older), to_bytes(&sets.newer)));
            (std::mem::take(&mut sets.unwritten), turned)
        };
        let written = match turned {
            Some((old, new)) => {
                fs_err::write(older(&self.path), old).and_then(|()| fs_err::write(&self.path, new))
            }
            None => append(&self.path, &unwritten),
        };
        if written.is_err() {
            self.lock().has_turned = true;
        }
        written
    }
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("older")
}

fn to_bytes(set: &Set) -> Vec<u8> {
    let mut marks: Vec<u64> = set.iter().copied().collect();
    marks.sort_unstable();
    marks.iter().flat_map(|mark| mark.to_le_bytes()).collect()
}

fn append(path: &Path, marks: &[u64]) -> std::io::Result<()> {
    let bytes: Vec<u8> = marks.iter().flat_map(|mark| mark.to_le_bytes()).collect();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&bytes)
}

fn read(path: &Path) -> Result<Set, GuardError> {
    let wrong = |source| GuardError::Io { what: format!("can't read {}", path.display()), source };
    if !path.exists() {
        return Ok(Set::default());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(wrong)?;
    // A crash may have left a part of the last mark.
    Ok(bytes.as_chunks::<8>().0.iter().map(|mark| u64::from_le_bytes(*mark)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_half_is_remembered_across_restarts() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("marks");
        let marks = Marks::open(path.clone(), 100).expect("opens");
        for mark in 0..1_000_u64 {
            marks.insert(&[mark]);
            if mark % 37 == 0 {
                marks.flush().expect("writes");
            }
            assert!(marks.len() <= 100);
            for recent in mark.saturating_sub(49)..=mark {
                assert!(marks.contains_any(&[recent]), "{recent} after {mark}");
            }
        }
        assert!(!marks.contains_any(&(0..900).collect::<Vec<_>>()));
        marks.flush().expect("writes");
        let again = Marks::open(path.clone(), 100).expect("opens");
        assert_eq!(again.len(), marks.len());
        for mark in 950..1_000 {
            assert!(again.contains_any(&[mark]));
        }
        // Half a mark at the end is no mark.
        append(&path, &[5]).expect("writes");
        let cut = fs_err::read(&path).expect("reads").len() - 3;
        OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("opens")
            .set_len(cut as u64)
            .expect("cuts");
        assert_eq!(Marks::open(path, 100).expect("opens").len(), marks.len());
    }

    #[test]
    fn one_of_a_conversation_gets_in() {
        let dir = tempfile::tempdir().expect("a folder");
        let marks = Marks::open(dir.path().join("marks"), 100).expect("opens");
        assert!(marks.insert_new(1, &[]));
        assert!(!marks.insert_new(1, &[]));
        assert!(!marks.insert_new(2, &[1]));
        assert!(marks.insert_new(2, &[3]));
    }
}
