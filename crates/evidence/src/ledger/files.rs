//! The folder of a ledger: names of its files, its identity, its key, the mark of what was
//! acknowledged, and lists of JSON lines that only grow.
//!
//! ```text
//! log.json          who the log is: its name and public key; written last, so it says "complete"
//! key               the secret, 64 hexadecimal digits, readable by the owner alone
//! entries.log       the entries (see `frames`)
//! acknowledged      lengths of the growing files that callers were told are safe
//! heads.jsonl       signed tree heads
//! cosignatures.jsonl  witnesses' signatures under them
//! lock              held by the one process that writes
//! ```

use super::{LedgerError, LogKey, Sha256Hash};
use crate::WriteError;
use fs_err::{File, OpenOptions};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Longest line of a JSON lines file of the ledger, bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Paths in a ledger's folder.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) dir: PathBuf,
}

impl Paths {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.dir.join("log.json")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    pub(crate) fn entries(&self) -> PathBuf {
        self.dir.join("entries.log")
    }

    pub(crate) fn acknowledged(&self) -> PathBuf {
        self.dir.join("acknowledged")
    }

    pub(crate) fn heads(&self) -> PathBuf {
        self.dir.join("heads.jsonl")
    }

    pub(crate) fn cosignatures(&self) -> PathBuf {
        self.dir.join("cosignatures.jsonl")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }
}

/// Who a log is: what auditors and witnesses need to know beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIdentity {
    /// Version of the folder's layout.
    pub version: u32,
    /// Name of the log, derived from its key.
    pub log_id: String,
    /// Ed25519 public key, hexadecimal.
    pub public_key: String,
    /// When it was created, by the owner's clock.
    #[schemars(with = "String")]
    pub created: Timestamp,
}

impl LogIdentity {
    /// Reads the identity of the ledger in `dir`.
    ///
    /// # Errors
    /// No ledger there, or an identity that contradicts itself.
    pub fn read(dir: &Path) -> Result<Self, LedgerError> {
        let path = Paths::new(dir).identity();
        if !path.exists() {
            return Err(LedgerError::NotALedger { path: dir.to_path_buf() });
        }
        let bytes = fs_err::read(&path).map_err(|e| LedgerError::io(&path, e))?;
        let line = |reason: String| LedgerError::Line { path: path.clone(), line: 1, reason };
        let identity: Self = serde_json::from_slice(&bytes).map_err(|e| line(e.to_string()))?;
        if identity.version != 1 {
            return Err(line(format!("version {} is unknown, expected 1", identity.version)));
        }
        if identity.log_id != super::log_id(&identity.public_key) {
            return Err(line("log_id isn't that of public_key".to_owned()));
        }
        Ok(identity)
    }
}

/// Makes what was created or renamed in a folder last.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|e| LedgerError::io(dir, e))
}

/// Writes a whole small file so that it is there completely or not at all.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    crate::atomic::write(path, bytes).map_err(|error| match error {
        WriteError::DiskFull { source, .. } | WriteError::Io { source, .. } => {
            LedgerError::io(path, source)
        }
        WriteError::Value { problem, .. } => LedgerError::verification("file", problem),
    })
}

/// Writes a secret key into a new file that only its owner can read.
///
/// # Errors
/// The file exists already, or can't be written.
pub fn write_key(path: &Path, key: &LogKey) -> Result<(), LedgerError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(format!("{}\n", key.secret_hex()).as_bytes())?;
        file.sync_all()
    });
    written.map_err(|e| LedgerError::io(path, e))
}

/// Reads a secret key; one that others can read is refused.
///
/// # Errors
/// Not readable, readable by others, or no key.
pub fn read_key(path: &Path) -> Result<LogKey, LedgerError> {
    let wrong = |reason: String| LedgerError::Key { path: path.to_path_buf(), reason };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs_err::metadata(path).map_err(|e| LedgerError::io(path, e))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(wrong(format!("others can read it (mode {mode:03o}); chmod 600 it")));
        }
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|e| LedgerError::io(path, e))?;
    file.take(1024).read_to_string(&mut text).map_err(|e| LedgerError::io(path, e))?;
    LogKey::from_secret_hex(&text).map_err(wrong)
}

/// Lengths of the growing files that callers were told are safe, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) entries: u64,
    pub(crate) heads: u64,
    pub(crate) cosignatures: u64,
}

/// The mark of what was acknowledged: three lengths and a checksum, overwritten in place.
///
/// It outlives the process but isn't synced: after a power cut it may lag behind, which only
/// makes it say less.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    file: File,
    path: PathBuf,
}

/// Three lengths of 8 bytes, and 8 of checksum.
const MARK_BYTES: usize = 32;

impl Acknowledged {
    pub(crate) fn open(path: PathBuf) -> Result<Self, LedgerError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(|e| LedgerError::io(&path, e))?;
        Ok(Self { file, path })
    }

    fn encode(lengths: Lengths) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        let Lengths { entries, heads, cosignatures } = lengths;
        for (chunk, length) in bytes.chunks_mut(8).zip([entries, heads, cosignatures]) {
            chunk.copy_from_slice(&length.to_le_bytes());
        }
        let sum = super::tagged("stillwatch/acknowledged/v1", &[&bytes[..24]]);
        bytes[24..].copy_from_slice(&sum.as_bytes()[..8]);
        bytes
    }

    /// What was acknowledged, nothing where the mark is missing or unreadable.
    pub(crate) fn read(&mut self) -> Result<Lengths, LedgerError> {
        let mut bytes = Vec::new();
        let read = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&mut self.file).take(MARK_BYTES as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|e| LedgerError::io(&self.path, e))?;
        let at = |index: usize| {
            let chunk = bytes.as_chunks::<8>().0.get(index);
            chunk.map_or(0, |length| u64::from_le_bytes(*length))
        };
        let lengths = Lengths { entries: at(0), heads: at(1), cosignatures: at(2) };
        Ok(if bytes == Self::encode(lengths) { lengths } else { Lengths::default() })
    }

    pub(crate) fn write(&mut self, lengths: Lengths) -> Result<(), LedgerError> {
        let written = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&Self::encode(lengths)));
        written.map_err(|e| LedgerError::io(&self.path, e))
    }
}

/// A line of `cosignatures.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CosignatureLine {
    pub(crate) head_hash: Sha256Hash,
    pub(crate) cosignature: super::Cosignature,
}

/// Reads JSON lines; a last line without its end was torn by a crash and never acknowledged.
/// Returns the values and the bytes of whole lines.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, u64), LedgerError> {
    if !path.exists() {
        return Ok((Vec::new(), 0));
    }
    let bytes = fs_err::read(path).map_err(|e| LedgerError::io(path, e))?;
    let mut values = Vec::new();
    let mut valid_len = 0;
    for (number, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        let Some(json) = line.strip_suffix(b"\n") else { break };
        let wrong = |reason: String| LedgerError::Line {
            path: path.to_path_buf(),
            line: number as u64 + 1,
            reason,
        };
        if json.len() > LINE_BYTES_MAX {
            return Err(wrong(format!("longer than {LINE_BYTES_MAX} bytes")));
        }
        values.push(serde_json::from_slice(json).map_err(|e| wrong(e.to_string()))?);
        valid_len += line.len() as u64;
    }
    Ok((values, valid_len))
}

/// Appends JSON lines and returns when they are on the disk. `len`: bytes of whole lines before.
pub(crate) fn append_lines<T: Serialize>(
    path: &Path,
    len: u64,
    values: &[T],
) -> Result<u64, LedgerError> {
    let mut lines = Vec::new();
    for value in values {
        serde_json::to_writer(&mut lines, value)
            .map_err(|e| LedgerError::verification("JSON line", e.to_string()))?;
        lines.push(b'\n');
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let mut file = options.open(path).map_err(|e| LedgerError::io(path, e))?;
    let written = file
        .set_len(len)
        .and_then(|()| file.seek(SeekFrom::Start(len)))
        .and_then(|_| file.write_all(&lines))
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a batch must not stay: whoever repeats it starts at the same place.
        file.set_len(len).map_err(|e| LedgerError::io(path, e))?;
        return Err(LedgerError::io(path, error));
    }
    Ok(len + lines.len() as u64)
}

/// Makes sure that a file exists, and that only its owner can read a new one.
pub(crate) fn create_private(path: &Path) -> Result<(), LedgerError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    private(&mut options);
    options.open(path).map(drop).map_err(|e| LedgerError::io(path, e))
}

/// New files are readable by their owner alone.
fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
}
