//! A file as a stream of text: decompressed by its magic bytes, hashed as it lies on disk where
//! that is asked for.
//!
//! Plain, gzip (also of several members) and zstd. Memory is bounded by the line limit, so a
//! decompression bomb costs time but no memory. Parsing is left to the readers.

use crate::error::ReadError;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of decompressed text looked at before reading begins.
const HEAD_BYTES: u64 = 4096;
/// Bytes moved at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a line that is over the limit that are kept, for the rejects file.
pub const KEPT_BYTES: usize = 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const UTF8_BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
const UTF16_BOMS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

/// Bounds on what a reader takes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest line (JSON) or record (CSV), bytes without its end.
    pub line_bytes_max: usize,
    /// Bad lines kept before reading is given up.
    pub rejects_max: usize,
}

impl Default for Limits {
    /// 64 MiB a line, 100,000 bad lines.
    fn default() -> Self {
        Self { line_bytes_max: 64 * 1024 * 1024, rejects_max: 100_000 }
    }
}

/// What a file is, whatever its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// SHA-256 of the bytes on disk, hexadecimal.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
}

/// Hashes a file as it lies on disk.
pub fn digest_file(path: &Path) -> Result<FileDigest, ReadError> {
    let raw = Raw::new(open(path)?);
    raw.finish().map_err(|source| ReadError::Io { file: path.to_owned(), line: None, source })
}

/// The digest of bytes in memory.
pub fn digest_bytes(bytes: &[u8]) -> FileDigest {
    FileDigest { sha256: hex(&Sha256::digest(bytes)), bytes: bytes.len() as u64 }
}

/// Reads a small file whole; one over the limit is an error.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    let failed = |source| ReadError::Io { file: path.to_owned(), line: None, source };
    match read {
        Err(source) => Err(failed(source)),
        Ok(n) if n as u64 > bytes_max => Err(failed(io::ErrorKind::FileTooLarge.into())),
        Ok(_) => Ok(bytes),
    }
}

/// A stream of text with its name, and the hash of what lies below it.
pub struct Source<'a> {
    file: PathBuf,
    reader: BufReader<Replay<'a>>,
    raw: Raw<'a>,
    compression: Option<&'static str>,
    begins_json: bool,
    has_bom: bool,
}

impl<'a> Source<'a> {
    pub(crate) fn open(path: &Path) -> Result<Source<'static>, ReadError> {
        Source::new(open(path)?, path)
    }

    pub(crate) fn new(reader: impl Read + Send + 'a, file: &Path) -> Result<Self, ReadError> {
        Self::detect(Raw::new(reader), file)
    }

    /// A stream whose hash isn't asked for: plain, gzip or zstd. `file` is what errors call it.
    ///
    /// # Errors
    /// It can't be read, or is UTF-16.
    pub fn unhashed(reader: impl Read + Send + 'a, file: &Path) -> Result<Self, ReadError> {
        Self::detect(Raw::unhashed(reader), file)
    }

    /// Text from the middle of a plain file, whose first bytes mean nothing; not hashed.
    pub fn middle(reader: impl Read + Send + 'a, file: &Path) -> Self {
        let raw = Raw::unhashed(reader);
        let rest = Box::new(Raw { shared: Arc::clone(&raw.shared) });
        let replay = Replay { head: Cursor::new(Vec::new()), error: None, rest };
        Self {
            file: file.to_owned(),
            reader: BufReader::with_capacity(CHUNK_BYTES, replay),
            raw,
            compression: None,
            begins_json: false,
            has_bom: false,
        }
    }

    fn detect(mut raw: Raw<'a>, file: &Path) -> Result<Self, ReadError> {
        let unreadable = |source| ReadError::Io { file: file.to_owned(), line: None, source };
        let mut magic = Vec::new();
        raw.by_ref().take(4).read_to_end(&mut magic).map_err(unreadable)?;
        let whole = BufReader::with_capacity(
            CHUNK_BYTES,
            Cursor::new(magic.clone()).chain(Raw { shared: Arc::clone(&raw.shared) }),
        );
        let (mut text, compression): (Box<dyn Read + Send + 'a>, _) =
            if magic.starts_with(&GZIP_MAGIC) {
                (Box::new(MultiGzDecoder::new(whole)), Some("gzip"))
            } else if magic.starts_with(&ZSTD_MAGIC) {
                let decoder = zstd::Decoder::with_buffer(whole).map_err(unreadable)?;
                (Box::new(decoder), Some("zstd"))
            } else {
                (Box::new(whole), None)
            };
        let mut head = Vec::new();
        let error = text.by_ref().take(HEAD_BYTES).read_to_end(&mut head).err();
        if UTF16_BOMS.iter().any(|bom| head.starts_with(bom)) {
            return Err(ReadError::Encoding { file: file.to_owned(), encoding: "UTF-16" });
        }
        let has_bom = head.starts_with(&UTF8_BOM);
        if has_bom {
            head.drain(..UTF8_BOM.len());
        }
        let begins_json = head.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let replay = Replay { head: Cursor::new(head), error, rest: text };
        Ok(Self {
            file: file.to_owned(),
            reader: BufReader::with_capacity(CHUNK_BYTES, replay),
            raw,
            compression,
            begins_json,
            has_bom,
        })
    }

    /// What errors call it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How it is compressed: `gzip`, `zstd`, or not at all.
    pub fn compression(&self) -> Option<&'static str> {
        self.compression
    }

    /// Whether a byte order mark stood at its beginning; it is no part of the text.
    pub fn has_bom(&self) -> bool {
        self.has_bom
    }

    /// Bytes read so far of what lies on disk.
    pub fn bytes_on_disk(&self) -> u64 {
        self.raw.shared.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Whether its first visible character opens a JSON object.
    pub(crate) fn begins_json(&self) -> bool {
        self.begins_json
    }

    /// Sorts an error of reading into damage of the compressed stream (what came before it is
    /// good) and failures of the operating system.
    pub fn damage(&self, error: &io::Error) -> Option<String> {
        let compression = self.compression.filter(|_| error.raw_os_error().is_none())?;
        Some(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("the {compression} stream is cut short")
            }
            _ => {
                format!("the {compression} stream is damaged ({error})")
            }
        })
    }

    /// A failure of the operating system, with its place.
    pub fn failed(&self, line: u64, source: io::Error) -> ReadError {
        ReadError::Io { file: self.file.clone(), line: Some(line), source }
    }

    /// Reads what is left on disk and gives the hash of all of it.
    pub(crate) fn finish(self) -> Result<FileDigest, ReadError> {
        let file = self.file;
        self.raw.finish().map_err(|source| ReadError::Io { file, line: None, source })
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf)
    }
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What came when a line was asked for; its bytes are in [`Lines::bytes`].
#[derive(Debug)]
pub enum Step {
    /// A line; `ended` is false for a last line without a line end.
    Line {
        /// Whether a line end stands behind it.
        ended: bool,
    },
    /// A line over the limit, of which only the beginning was kept.
    TooLong,
    /// The compressed stream broke; whatever there is of the line is kept. Nothing follows.
    Damaged(String),
    /// Nothing is left.
    End,
}

/// Lines of a [`Source`], bounded, without their ends.
#[derive(Debug)]
pub struct Lines<'a> {
    source: Source<'a>,
    bytes: Vec<u8>,
    number: u64,
    /// Bytes of text taken, line ends included.
    taken: u64,
    limit: usize,
    over: bool,
}

impl<'a> Lines<'a> {
    /// The lines of a stream.
    pub fn new(source: Source<'a>, limits: &Limits) -> Self {
        let limit = limits.line_bytes_max;
        Self { source, bytes: Vec::new(), number: 0, taken: 0, limit, over: false }
    }

    /// The stream below.
    pub fn source(&self) -> &Source<'a> {
        &self.source
    }

    /// Bytes of text taken so far, line ends included, a byte order mark not.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) fn into_source(self) -> Source<'a> {
        self.source
    }

    /// The current line.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its number, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Longest line, bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// The operating system can't read on.
    pub fn step(&mut self) -> Result<Step, ReadError> {
        self.bytes.clear();
        if self.over {
            return Ok(Step::End);
        }
        self.number += 1;
        let budget = (self.limit as u64).saturating_add(1);
        let read = self.source.reader.by_ref().take(budget).read_until(b'\n', &mut self.bytes);
        self.taken += self.bytes.len() as u64;
        match read {
            Err(error) => self.broken(error),
            Ok(0) => {
                self.over = true;
                self.number -= 1;
                Ok(Step::End)
            }
            Ok(_) if self.bytes.last() == Some(&b'\n') => {
                self.bytes.pop();
                if self.bytes.last() == Some(&b'\r') {
                    self.bytes.pop();
                }
                Ok(Step::Line { ended: true })
            }
            Ok(_) if self.bytes.len() > self.limit => {
                self.bytes.truncate(KEPT_BYTES);
                match self.skip_line() {
                    Ok(()) => Ok(Step::TooLong),
                    Err(error) => self.broken(error),
                }
            }
            Ok(_) => Ok(Step::Line { ended: false }),
        }
    }

    fn broken(&mut self, error: io::Error) -> Result<Step, ReadError> {
        self.over = true;
        match self.source.damage(&error) {
            Some(problem) => Ok(Step::Damaged(problem)),
            None => Err(self.source.failed(self.number, error)),
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        let mut scrap = Vec::with_capacity(CHUNK_BYTES);
        loop {
            scrap.clear();
            let mut chunk = self.source.reader.by_ref().take(CHUNK_BYTES as u64);
            let n = chunk.read_until(b'\n', &mut scrap)?;
            self.taken += n as u64;
            if n == 0 || scrap.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }
}

/// A raw stream that is hashed as it is read; clones of the handle share one stream.
struct Raw<'a> {
    shared: Arc<Mutex<RawState<'a>>>,
}

struct RawState<'a> {
    reader: Box<dyn Read + Send + 'a>,
    /// Absent where nobody asks for it: hashing costs more than reading.
    hash: Option<Sha256>,
    bytes: u64,
}

impl<'a> Raw<'a> {
    fn new(reader: impl Read + Send + 'a) -> Self {
        Self::with(reader, Some(Sha256::new()))
    }

    fn unhashed(reader: impl Read + Send + 'a) -> Self {
        Self::with(reader, None)
    }

    fn with(reader: impl Read + Send + 'a, hash: Option<Sha256>) -> Self {
        let state = RawState { reader: Box::new(reader), hash, bytes: 0 };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    fn finish(mut self) -> io::Result<FileDigest> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match self.read(&mut chunk) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = state.hash.clone().unwrap_or_default();
        Ok(FileDigest { sha256: hex(&hash.finalize()), bytes: state.bytes })
    }
}

impl Read for Raw<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let n = state.reader.read(buf)?;
        let read = buf.get(..n).unwrap_or_default();
        if let Some(hash) = &mut state.hash {
            hash.update(read);
        }
        state.bytes += n as u64;
        Ok(n)
    }
}

/// The head that was looked at, the error that ended the look, then the rest.
struct Replay<'a> {
    head: Cursor<Vec<u8>>,
    error: Option<io::Error>,
    rest: Box<dyn Read + Send + 'a>,
}

impl Read for Replay<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.head.read(buf)?;
        if n > 0 || buf.is_empty() {
            return Ok(n);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.read(buf),
        }
    }
}

/// `OpenOptions` rather than fs-err: [`ReadError`] names the file already.
fn open(path: &Path) -> Result<std::fs::File, ReadError> {
    std::fs::OpenOptions::new()
        .read(true)
        .open(path)
        .map_err(|source| ReadError::Open { file: path.to_owned(), source })
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
