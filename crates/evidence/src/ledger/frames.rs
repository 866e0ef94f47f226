//! The file of entries: length, checksum, and what a crash may leave behind.
//!
//! ```text
//! file    = "stillwatch-log\0\x01"  frame*
//! frame   = "SWfr"  payload length: u32 LE  checksum: [u8; 8]  payload
//! payload = ( entry length: u32 LE  entry )+
//! ```
//!
//! The checksum is the beginning of SHA-256(length ‖ payload). A frame is one write and one
//! sync: it is whole or it was never acknowledged. Whether a bad end may be cut off is decided here from the file
//! alone: only if nothing valid follows it; the caller adds what it knows was acknowledged.

use super::{LEAF_BYTES_MAX, LedgerError};
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// First bytes of the file.
pub(crate) const FILE_MAGIC: &[u8; 16] = b"stillwatch-log\0\x01";
const FRAME_MAGIC: &[u8; 4] = b"SWfr";
const HEADER_BYTES: usize = 16;
/// Largest payload of a frame, bytes: bounds what a reader holds and what a crash can tear.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 8 << 20;

fn checksum(payload: &[u8]) -> [u8; 8] {
    let mut hasher = Sha256::new_with_prefix((payload.len() as u64).to_le_bytes());
    hasher.update(payload);
    let digest: [u8; 32] = hasher.finalize().into();
    let mut sum = [0; 8];
    sum.copy_from_slice(&digest[..8]);
    sum
}

/// What writing needs of a file; tests put failing ones in its place.
pub(crate) trait Media {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

impl Media for fs_err::File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Appends batches of entries; one batch, one write, one sync.
#[derive(Debug)]
pub(crate) struct FrameWriter<M> {
    media: M,
    path: PathBuf,
    /// Bytes that are whole and on the disk.
    len: u64,
    /// A failed sync leaves the page cache in an unknown state: nothing is written any more.
    poisoned: bool,
}

impl<M: Media> FrameWriter<M> {
    /// `len`: the valid bytes that the file has.
    pub(crate) fn new(media: M, path: PathBuf, len: u64) -> Self {
        Self { media, path, len, poisoned: false }
    }

    /// Bytes that are whole and on the disk.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Writes the entries and returns the file offset of each, once they are on the disk.
    ///
    /// After an error nothing of the batch is in the file, or the writer refuses to go on.
    pub(crate) fn append(&mut self, entries: &[Vec<u8>]) -> Result<Vec<u64>, LedgerError> {
        if self.poisoned {
            return Err(LedgerError::Poisoned { path: self.path.clone() });
        }
        let mut offsets = Vec::with_capacity(entries.len());
        let mut len = self.len;
        let mut rest = entries;
        while !rest.is_empty() {
            let (frame, n_taken) = encode(rest, len, &mut offsets);
            let written = self.media.append(&frame).and_then(|()| self.media.sync());
            if let Err(error) = written {
                // Whatever got into the file must not be there for the next one to follow.
                let undone = self.media.truncate(self.len).and_then(|()| self.media.sync());
                self.poisoned = undone.is_err();
                return Err(LedgerError::io(&self.path, error));
            }
            len += frame.len() as u64;
            rest = &rest[n_taken..];
        }
        self.len = len;
        Ok(offsets)
    }
}

/// Four little-endian bytes of length; entries and payloads are bounded far below 4 GiB.
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// One frame of the first entries, as many as fit, for a file of `start` bytes; adds the offset
/// of each entry's data and returns how many were taken.
fn encode(entries: &[Vec<u8>], start: u64, offsets: &mut Vec<u64>) -> (Vec<u8>, usize) {
    let mut payload = Vec::new();
    let mut n_taken = 0;
    for entry in entries {
        if n_taken > 0 && payload.len() + 4 + entry.len() > PAYLOAD_BYTES_MAX {
            break;
        }
        payload.extend_from_slice(&length(entry));
        offsets.push(start + (HEADER_BYTES + payload.len()) as u64);
        payload.extend_from_slice(entry);
        n_taken += 1;
    }
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(FRAME_MAGIC);
    frame.extend_from_slice(&length(&payload));
    frame.extend_from_slice(&checksum(&payload));
    frame.extend_from_slice(&payload);
    (frame, n_taken)
}

/// How a file of frames ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Bytes up to the end of the last whole frame.
    pub(crate) valid_len: u64,
    /// Bytes after it: a frame that a crash tore, never acknowledged.
    pub(crate) torn_bytes: u64,
}

/// Reads a file from its beginning and hands over each entry with its offset.
///
/// # Errors
/// The file begins otherwise, an entry is refused, or a bad frame has valid ones after it
/// (then it was acknowledged and altered since).
pub(crate) fn scan(
    path: &Path,
    reader: &mut dyn Read,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), LedgerError>,
) -> Result<Scan, LedgerError> {
    let mut magic = [0; FILE_MAGIC.len()];
    let n_read = read_up_to(reader, &mut magic).map_err(|e| LedgerError::io(path, e))?;
    if n_read < magic.len() || magic != *FILE_MAGIC {
        return Err(LedgerError::corrupt(path, 0, "not a file of ledger entries"));
    }
    let mut valid_len = FILE_MAGIC.len() as u64;
    let mut bytes = Vec::new();
    loop {
        bytes.resize(HEADER_BYTES, 0);
        let n_read = read_up_to(reader, &mut bytes).map_err(|e| LedgerError::io(path, e))?;
        bytes.truncate(n_read);
        if bytes.is_empty() {
            return Ok(Scan { valid_len, torn_bytes: 0 });
        }
        let Some((len, sum)) = header(&bytes) else { break };
        reader.take(len as u64).read_to_end(&mut bytes).map_err(|e| LedgerError::io(path, e))?;
        let payload = bytes.get(HEADER_BYTES..).unwrap_or_default();
        if payload.len() != len || checksum(payload) != sum {
            break;
        }
        let base = valid_len + HEADER_BYTES as u64;
        for (start, entry) in entries(payload)
            .ok_or_else(|| LedgerError::corrupt(path, base, "a frame with malformed entries"))?
        {
            visit(base + start as u64, entry)?;
        }
        valid_len += bytes.len() as u64;
    }
    // A bad frame. A torn one can't be longer than a batch, and nothing was written after it.
    let limit = HEADER_BYTES + PAYLOAD_BYTES_MAX;
    let room = (2 * limit + 1).saturating_sub(bytes.len());
    reader.take(room as u64).read_to_end(&mut bytes).map_err(|e| LedgerError::io(path, e))?;
    if bytes.len() > limit || holds_frame(&bytes) {
        let reason = "an entry was altered: its checksum differs, and others follow it";
        return Err(LedgerError::corrupt(path, valid_len, reason));
    }
    Ok(Scan { valid_len, torn_bytes: bytes.len() as u64 })
}

/// Payload length and checksum of a frame's header.
fn header(bytes: &[u8]) -> Option<(usize, [u8; 8])> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (sum, _) = rest.split_first_chunk::<8>()?;
    let len = u32::from_le_bytes(*len) as usize;
    (magic == FRAME_MAGIC && (1..=PAYLOAD_BYTES_MAX).contains(&len)).then_some((len, *sum))
}

/// The entries of a payload with their offsets in it.
fn entries(payload: &[u8]) -> Option<Vec<(usize, &[u8])>> {
    let mut found = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len) as usize;
        if len > LEAF_BYTES_MAX {
            return None;
        }
        let (entry, tail) = tail.split_at_checked(len)?;
        found.push((payload.len() - tail.len() - len, entry));
        rest = tail;
    }
    Some(found)
}

/// Whether a whole valid frame begins anywhere after the first byte.
fn holds_frame(bytes: &[u8]) -> bool {
    let starts = bytes.windows(FRAME_MAGIC.len()).enumerate().skip(1);
    starts.filter(|(_, window)| *window == FRAME_MAGIC).any(|(start, _)| {
        let frame = bytes.get(start..).unwrap_or_default();
        header(frame).is_some_and(|(len, sum)| {
            let payload = frame.get(HEADER_BYTES..HEADER_BYTES + len);
            payload.is_some_and(|payload| checksum(payload) == sum)
        })
    })
}

/// Fills `buffer` as far as the reader goes.
fn read_up_to(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
