//! Scores by the hash of what they depend on, in a file of the case folder.
//!
//! A second run costs nothing and an interrupted one goes on where it stopped: every batch is
//! appended and flushed before the next begins, and a last line that was cut off is dropped.
//! What the scores are for is left to `audit`.

use crate::{Model, ModelError, ModelIdentity, ScoreRequest, Scored};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};
use stillwatch_evidence::{Message, Progress};

/// Requests handed to the model at a time: enough for endpoints with many connections, few
/// enough that an interruption loses seconds.
const BATCH: usize = 64;
/// Longest line read back: 1,000,000 tokens at 24 characters.
const LINE_BYTES_MAX: u64 = 24_000_000;

/// Scores already known, and the file they are kept in.
#[derive(Debug)]
pub struct ScoreCache {
    known: BTreeMap<String, Vec<f64>>,
    file: Option<fs_err::File>,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    token_log_likelihoods: Vec<f64>,
}

/// What a score depends on; its JSON is hashed.
#[derive(Serialize)]
struct Key<'a> {
    version: u32,
    model_hash: &'a str,
    template_hash: &'a str,
    settings: &'a str,
    messages: &'a [Message],
    text: &'a str,
}

impl ScoreCache {
    /// Opens the file at `path`, creating it when absent, and reads what it holds. A torn last
    /// line is cut off; any other line that can't be read is an error.
    ///
    /// # Errors
    /// The file can't be opened, read or repaired, or a line isn't a score.
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

    /// Keeps scores in memory only.
    pub fn in_memory() -> Self {
        Self { known: BTreeMap::new(), file: None }
    }

    /// Scores held.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Nothing held.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The score of this request under this model, if known.
    pub fn get(&self, identity: &ModelIdentity, request: &ScoreRequest) -> Option<Scored> {
        self.by_key(&key(identity, request))
    }

    fn by_key(&self, key: &str) -> Option<Scored> {
        let known = self.known.get(key)?;
        Some(Scored { token_log_likelihoods: known.clone() })
    }

    /// Appends; the caller flushes.
    fn insert(&mut self, key: &str, scored: &Scored) -> io::Result<()> {
        let values = scored.token_log_likelihoods.clone();
        if let Some(file) = &mut self.file {
            let line = Line { key: key.to_owned(), token_log_likelihoods: values.clone() };
            let mut text = serde_json::to_string(&line).map_err(io::Error::other)?;
            text.push('\n');
            file.write_all(text.as_bytes())?;
        }
        self.known.insert(key.to_owned(), values);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| {
            file.flush()?;
            file.sync_data()
        })
    }
}

/// Known scores and the offset after the last whole line.
fn read_lines(
    file: &mut fs_err::File,
    path: &Path,
) -> io::Result<(BTreeMap<String, Vec<f64>>, u64)> {
    let mut reader = BufReader::new(file);
    let mut known = BTreeMap::new();
    let (mut end, mut number, mut line) = (0_u64, 0_u64, Vec::new());
    loop {
        line.clear();
        let n = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? as u64;
        number += 1;
        if n == 0 {
            return Ok((known, end));
        }
        let whole = line.last() == Some(&b'\n');
        if !whole && n < LINE_BYTES_MAX {
            // The write was cut off; that score is computed again.
            return Ok((known, end));
        }
        let parsed = serde_json::from_slice::<Line>(&line).map_err(|error| {
            let text = format!(
                "{}: line {number} is no score ({error}); delete the file to score afresh",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        known.insert(parsed.key, parsed.token_log_likelihoods);
        end += n;
    }
}

fn key(identity: &ModelIdentity, request: &ScoreRequest) -> String {
    let key = Key {
        version: 1,
        model_hash: &identity.model_hash,
        template_hash: &identity.template_hash,
        settings: &identity.settings,
        messages: &request.messages,
        text: &request.answer,
    };
    // Strings and numbers always serialise; an error would only cost a cache miss.
    let text = serde_json::to_vec(&key).unwrap_or_default();
    hex(&Sha256::digest(text))
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

/// Scores `requests` in their order, asking the model only for what the cache doesn't hold;
/// equal requests are asked once. Progress advances by one per request.
///
/// After a lost endpoint, a spent budget or a cache that can't be written, the model is asked
/// nothing more; what was scored is kept and the other requests get that error.
pub fn score_cached(
    model: &dyn Model,
    cache: &mut ScoreCache,
    requests: &[ScoreRequest],
    progress: &dyn Progress,
) -> Vec<Result<Scored, ModelError>> {
    let keys: Vec<String> = requests.iter().map(|r| key(model.identity(), r)).collect();
    let mut first_use: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, key) in keys.iter().enumerate() {
        if !cache.known.contains_key(key) {
            first_use.entry(key).or_insert(i);
        }
    }
    let mut missing: Vec<usize> = first_use.into_values().collect();
    missing.sort_unstable();
    progress.advance((requests.len() - missing.len()) as u64);

    let mut failures: BTreeMap<&str, ModelError> = BTreeMap::new();
    let mut fatal: Option<ModelError> = None;
    for batch in missing.chunks(BATCH) {
        let asked: Vec<ScoreRequest> = batch.iter().map(|&i| requests[i].clone()).collect();
        let answers = model.score(&asked);
        for (&i, answer) in batch.iter().zip(answers) {
            match answer {
                Ok(scored) => {
                    if let Err(error) = cache.insert(&keys[i], &scored) {
                        fatal = Some(unwritable(&error));
                    }
                }
                Err(error) => {
                    if !matches!(error, ModelError::Request(_)) {
                        fatal.get_or_insert_with(|| copy(&error));
                    }
                    failures.insert(&keys[i], error);
                }
            }
        }
        if let Err(error) = cache.flush() {
            fatal = Some(unwritable(&error));
        }
        progress.advance(batch.len() as u64);
        if fatal.is_some() {
            break;
        }
    }
    let unanswered = || ModelError::Lost(format!("{} gave no answer", model.identity().spec));
    keys.iter()
        .map(|key| match (cache.by_key(key), failures.get(key.as_str()), &fatal) {
            (Some(scored), ..) => Ok(scored),
            (None, Some(error), _) | (None, None, Some(error)) => Err(copy(error)),
            (None, None, None) => Err(unanswered()),
        })
        .collect()
}

fn unwritable(error: &io::Error) -> ModelError {
    ModelError::Store(format!("can't keep scores: {error}"))
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
