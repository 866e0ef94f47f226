//! Reads a GGUF file's header: architecture, and whether all tensors are there.
//!
//! llama.cpp says only that it couldn't load a file; this says why. Layout after
//! `docs/gguf.md` of the ggml project, versions 2 and 3. Values other than the architecture
//! and the alignment are skipped, and everything is bounded by the size of the file.

use std::{
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

/// What is read from a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufHeader {
    /// `general.architecture`.
    pub architecture: String,
    /// Tensors declared.
    pub n_tensors: u64,
    /// Bytes that the declared tensors need the file to have.
    pub bytes_needed: u64,
}

/// Why a file is no whole GGUF file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// It can't be read; the text names the file.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It isn't laid out as GGUF says.
    #[error("{path}: no GGUF file: {what}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// What was found where.
        what: String,
    },
    /// It ends too early.
    #[error("{path}: cut off: {found} bytes, at least {needed} are declared")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The size that its header asks for.
        needed: u64,
    },
}

/// Longest name or text that is kept, bytes.
const TEXT_BYTES_MAX: u64 = 1 << 16;
const DIMENSIONS_MAX: u32 = 8;
/// Arrays of arrays of ...
const DEPTH_MAX: u32 = 4;
const ALIGNMENT_DEFAULT: u64 = 32;

/// Reads and checks the header of the file at `path`.
///
/// # Errors
/// The file can't be read, isn't GGUF, or is shorter than its tensors.
pub fn read_gguf_header(path: &Path) -> Result<GgufHeader, GgufError> {
    let file = fs_err::File::open(path)?;
    let size = file.metadata()?.len();
    let mut reader = Reader { path, source: BufReader::new(file), at: 0, size };
    let header = reader.header()?;
    if header.bytes_needed > size {
        return Err(reader.truncated(header.bytes_needed));
    }
    Ok(header)
}

struct Reader<'a> {
    path: &'a Path,
    source: BufReader<fs_err::File>,
    at: u64,
    size: u64,
}

impl Reader<'_> {
    fn layout(&self, what: impl Into<String>) -> GgufError {
        GgufError::Layout { path: self.path.to_owned(), what: what.into() }
    }

    fn truncated(&self, needed: u64) -> GgufError {
        GgufError::Truncated { path: self.path.to_owned(), found: self.size, needed }
    }

    /// Makes sure that `n` more bytes are there.
    fn ask(&mut self, n: u64) -> Result<(), GgufError> {
        let end = self.at.saturating_add(n);
        if end > self.size {
            return Err(self.truncated(end));
        }
        self.at = end;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.ask(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn skip(&mut self, n: u64) -> Result<(), GgufError> {
        self.ask(n)?;
        let n = i64::try_from(n).map_err(|_| self.truncated(u64::MAX))?;
        self.source.seek_relative(n)?;
        Ok(())
    }

    fn text(&mut self) -> Result<String, GgufError> {
        let at = self.at;
        let n = self.u64()?;
        if n > TEXT_BYTES_MAX {
            return Err(self.layout(format!("a name of {n} bytes at byte {at}")));
        }
        self.ask(n)?;
        let mut bytes = Vec::new();
        self.source.by_ref().take(n).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn header(&mut self) -> Result<GgufHeader, GgufError> {
        if &self.bytes::<4>()? != b"GGUF" {
            return Err(self.layout("it doesn't begin with GGUF"));
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(self.layout(format!("version {version}, read are 2 and 3")));
        }
        let (n_tensors, n_values) = (self.u64()?, self.u64()?);
        // Each takes more than a byte.
        if n_tensors.max(n_values) > self.size {
            return Err(self.layout(format!("{n_tensors} tensors and {n_values} values declared")));
        }
        let (mut architecture, mut alignment) = (None, ALIGNMENT_DEFAULT);
        for _ in 0..n_values {
            let key = self.text()?;
            let kind = self.u32()?;
            match (key.as_str(), kind) {
                ("general.architecture", STRING) => architecture = Some(self.text()?),
                ("general.alignment", U32) => alignment = u64::from(self.u32()?),
                _ => self.value(kind, 0)?,
            }
        }
        let architecture = architecture.ok_or_else(|| self.layout("no general.architecture"))?;
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            return Err(self.layout(format!("general.alignment is {alignment}")));
        }
        let mut end = 0;
        for _ in 0..n_tensors {
            end = end.max(self.tensor_end()?);
        }
        let data = self.at.next_multiple_of(alignment);
        Ok(GgufHeader { architecture, n_tensors, bytes_needed: data.saturating_add(end) })
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<(), GgufError> {
        match kind {
            STRING => {
                let n = self.u64()?;
                self.skip(n)
            }
            ARRAY if depth < DEPTH_MAX => {
                let (kind, n) = (self.u32()?, self.u64()?);
                if let Some(width) = width(kind) {
                    return self.skip(n.saturating_mul(width));
                }
                if n > self.size {
                    return Err(self.layout(format!("an array of {n} at byte {}", self.at)));
                }
                (0..n).try_for_each(|_| self.value(kind, depth + 1))
            }
            _ => {
                let width = width(kind).ok_or_else(|| {
                    self.layout(format!("a value of unknown type {kind} at byte {}", self.at))
                })?;
                self.skip(width)
            }
        }
    }

    /// Where the next declared tensor ends, from the start of the data.
    fn tensor_end(&mut self) -> Result<u64, GgufError> {
        let name = self.text()?;
        let n_dimensions = self.u32()?;
        if n_dimensions > DIMENSIONS_MAX {
            return Err(self.layout(format!("tensor {name:.80} has {n_dimensions} dimensions")));
        }
        let mut elements = 1_u64;
        for _ in 0..n_dimensions {
            elements = elements.saturating_mul(self.u64()?);
        }
        let (kind, offset) = (self.u32()?, self.u64()?);
        // Types that ggml adds later take at least nothing.
        let bytes = block(kind).map_or(0, |(n, bytes)| elements.div_ceil(n).saturating_mul(bytes));
        Ok(offset.saturating_add(bytes))
    }
}

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a metadata value of fixed width (`gguf_metadata_value_type`).
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Elements and bytes of a block of a tensor type (`ggml_type`, `type_traits` in ggml.c).
fn block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 | 26 => (1, 4),
        1 | 25 | 30 => (1, 2),
        27 | 28 => (1, 8),
        24 => (1, 1),
        2 | 20 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        39 => (32, 17),
        10 => (256, 84),
        11 | 21 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        16 | 35 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        22 => (256, 82),
        23 => (256, 136),
        29 => (256, 56),
        34 => (256, 54),
        _ => return None,
    })
}
