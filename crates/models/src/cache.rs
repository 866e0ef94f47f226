//! What models said, by the hash of what it depends on, in a file of the case folder.
//!
//! A second run costs nothing and an interrupted one goes on where it stopped: every batch is
//! appended and flushed before the next begins, and a last line that was cut off is dropped.
//! [`crate::scores`] and [`crate::answers`] say what is kept; what it is for is left to `audit`.

use crate::{Model, ModelError, ModelIdentity};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};
use stillwatch_evidence::Progress;

/// Requests handed to the model at a time: enough for endpoints with many connections, few
/// enough that an interruption loses seconds.
const BATCH: usize = 64;

/// What a cache can keep: one kind of reply of a model.
pub trait Kept: Clone {
    /// What it replies to.
    type Request: Clone;
    /// What its key is hashed from; serialises to JSON.
    type Key<'a>: Serialize;
    /// One line of the file, the key included.
    type Line: Serialize + DeserializeOwned;
    /// Its noun, and the verb for making it anew, for messages.
    const WORDS: (&'static str, &'static str);
    /// Longest line read back, bytes.
    const LINE_BYTES_MAX: u64;

    /// What the reply depends on.
    fn key<'a>(identity: &'a ModelIdentity, request: &'a Self::Request) -> Self::Key<'a>;
    /// The line to keep.
    fn to_line(&self, key: &str) -> Self::Line;
    /// Key and reply of a kept line.
    fn from_line(line: Self::Line) -> (String, Self);
    /// Asks the model; one reply per request, in order.
    fn ask(model: &dyn Model, requests: &[Self::Request]) -> Vec<Result<Self, ModelError>>;
}

/// Replies already known, and the file they are kept in.
#[derive(Debug)]
pub struct Cache<V> {
    known: BTreeMap<String, V>,
    file: Option<fs_err::File>,
}

impl<V: Kept> Cache<V> {
    /// Opens the file at `path`, creating it when absent, and reads what it holds. A torn last
    /// line is cut off; any other line that can't be read is an error.
    ///
    /// # Errors
    /// The file can't be opened, read or repaired, or a line isn't of this kind.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let mut file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let (known, end) = read_lines(&mut file, path)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self { known, file: Some(file) })
    }

    /// Keeps replies in memory only.
    pub fn in_memory() -> Self {
        Self { known: BTreeMap::new(), file: None }
    }

    /// Replies held.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Nothing held.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The reply to this request under this model, if known.
    pub fn get(&self, identity: &ModelIdentity, request: &V::Request) -> Option<V> {
        self.known.get(&key::<V>(identity, request)).cloned()
    }

    /// Appends; the caller flushes.
    fn insert(&mut self, key: &str, value: V) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let mut text = serde_json::to_string(&value.to_line(key)).map_err(io::Error::other)?;
            text.push('\n');
            file.write_all(text.as_bytes())?;
        }
        self.known.insert(key.to_owned(), value);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| {
            file.flush()?;
            file.sync_data()
        })
    }
}

/// Known replies and the offset after the last whole line.
fn read_lines<V: Kept>(
    file: &mut fs_err::File,
    path: &Path,
) -> io::Result<(BTreeMap<String, V>, u64)> {
    let mut reader = BufReader::new(file);
    let mut known = BTreeMap::new();
    let (mut end, mut number, mut line) = (0_u64, 0_u64, Vec::new());
    loop {
        line.clear();
        let n = reader.by_ref().take(V::LINE_BYTES_MAX).read_until(b'\n', &mut line)? as u64;
        number += 1;
        let is_torn = line.last() != Some(&b'\n') && n < V::LINE_BYTES_MAX;
        if is_torn {
            // Nothing is left, or the write was cut off: that reply is asked for again.
            return Ok((known, end));
        }
        let parsed = serde_json::from_slice::<V::Line>(&line).map_err(|error| {
            let (noun, verb) = V::WORDS;
            let text = format!(
                "{}: line {number} is no {noun} ({error}); delete the file to {verb} afresh",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let (key, value) = V::from_line(parsed);
        known.insert(key, value);
        end += n;
    }
}

fn key<V: Kept>(identity: &ModelIdentity, request: &V::Request) -> String {
    // Strings and numbers always serialise; an error would only cost a cache miss.
    hex(&Sha256::digest(serde_json::to_vec(&V::key(identity, request)).unwrap_or_default()))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// Replies to `requests` in their order, asking the model only for what the cache doesn't hold;
/// equal requests are asked once. Progress advances by one per request.
///
/// After a lost endpoint, a spent budget or a cache that can't be written, the model is asked
/// nothing more; what was replied is kept and the other requests get that error.
pub(crate) fn ask_cached<V: Kept>(
    model: &dyn Model,
    cache: &mut Cache<V>,
    requests: &[V::Request],
    progress: &dyn Progress,
) -> Vec<Result<V, ModelError>> {
    let keys: Vec<String> = requests.iter().map(|r| key::<V>(model.identity(), r)).collect();
    let mut missing: Vec<(&str, &V::Request)> = Vec::new();
    let mut asked = BTreeSet::new();
    for (key, request) in keys.iter().zip(requests) {
        if !cache.known.contains_key(key) && asked.insert(key) {
            missing.push((key, request));
        }
    }
    progress.advance((requests.len() - missing.len()) as u64);

    let mut failures: BTreeMap<&str, ModelError> = BTreeMap::new();
    let mut fatal: Option<ModelError> = None;
    for batch in missing.chunks(BATCH) {
        let asked: Vec<V::Request> = batch.iter().map(|(_, r)| (*r).clone()).collect();
        for (&(key, _), reply) in batch.iter().zip(V::ask(model, &asked)) {
            match reply {
                Ok(value) => {
                    if let Err(error) = cache.insert(key, value) {
                        fatal = Some(unwritable::<V>(&error));
                    }
                }
                Err(error) => {
                    if !matches!(error, ModelError::Request(_)) {
                        fatal.get_or_insert_with(|| copy(&error));
                    }
                    failures.insert(key, error);
                }
            }
        }
        if let Err(error) = cache.flush() {
            fatal = Some(unwritable::<V>(&error));
        }
        progress.advance(batch.len() as u64);
        if fatal.is_some() {
            break;
        }
    }
    let unanswered = || ModelError::Lost(format!("{} gave no answer", model.identity().spec));
    keys.iter()
        .map(|key| match (cache.known.get(key), failures.get(key.as_str()), &fatal) {
            (Some(value), ..) => Ok(value.clone()),
            (None, Some(error), _) | (None, None, Some(error)) => Err(copy(error)),
            (None, None, None) => Err(unanswered()),
        })
        .collect()
}

fn unwritable<V: Kept>(error: &io::Error) -> ModelError {
    ModelError::Store(format!("can't keep {}s: {error}", V::WORDS.0))
}

/// The same error again, for another request that met it.
pub(crate) fn copy(error: &ModelError) -> ModelError {
    match error {
        ModelError::Access { model, access, wanted } => {
            ModelError::Access { model: model.clone(), access: *access, wanted: *wanted }
        }
        ModelError::Request(text) => ModelError::Request(text.clone()),
        ModelError::Unusable { message, hint } => {
            ModelError::Unusable { message: message.clone(), hint: hint.clone() }
        }
        ModelError::Lost(text) => ModelError::Lost(text.clone()),
        ModelError::Budget(text) => ModelError::Budget(text.clone()),
        ModelError::Store(text) => ModelError::Store(text.clone()),
    }
}
