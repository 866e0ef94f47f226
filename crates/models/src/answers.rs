//! Sampled answers by the hash of what was asked, in a file of the case folder.
//!
//! Answers cost money and an endpoint does not repeat them, so they are kept like scores are:
//! each batch is appended and flushed before the next begins, a last line that was cut off is
//! dropped, and a second run asks only for what is missing. What answers are for is left to
//! `audit`.

use crate::{
    Model, ModelError, ModelIdentity, SampleRequest, Sampled,
    cache::{copy, hex},
};
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
/// Longest line read back, bytes: an answer's body is limited to less than this.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Answers already known, and the file they are kept in.
#[derive(Debug)]
pub struct AnswerCache {
    known: BTreeMap<String, Sampled>,
    file: Option<fs_err::File>,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    text: String,
    finish_reason: String,
}

/// What an answer depends on; its JSON is hashed.
#[derive(Serialize)]
struct Key<'a> {
    version: u32,
    model_hash: &'a str,
    template_hash: &'a str,
    settings: &'a str,
    messages: &'a [Message],
    temperature: f64,
    top_p: f64,
    max_tokens: usize,
    seed: u64,
}

impl AnswerCache {
    /// Opens the file at `path`, creating it when absent, and reads what it holds. A torn last
    /// line is cut off; any other line that can't be read is an error.
    ///
    /// # Errors
    /// The file can't be opened, read or repaired, or a line is no answer.
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

    /// Keeps answers in memory only.
    pub fn in_memory() -> Self {
        Self { known: BTreeMap::new(), file: None }
    }

    /// Answers held.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Nothing held.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Appends; the caller flushes.
    fn insert(&mut self, key: &str, sampled: &Sampled) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let line = Line {
                key: key.to_owned(),
                text: sampled.text.clone(),
                finish_reason: sampled.finish_reason.clone(),
            };
            let mut text = serde_json::to_string(&line).map_err(io::Error::other)?;
            text.push('\n');
            file.write_all(text.as_bytes())?;
        }
        self.known.insert(key.to_owned(), sampled.clone());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| {
            file.flush()?;
            file.sync_data()
        })
    }
}

/// Known answers and the offset after the last whole line.
fn read_lines(
    file: &mut fs_err::File,
    path: &Path,
) -> io::Result<(BTreeMap<String, Sampled>, u64)> {
    let mut reader = BufReader::new(file);
    let mut known = BTreeMap::new();
    let (mut end, mut number, mut line) = (0_u64, 0_u64, Vec::new());
    loop {
        line.clear();
        let n = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? as u64;
        number += 1;
        let is_torn = line.last() != Some(&b'\n') && n < LINE_BYTES_MAX;
        if is_torn {
            // Nothing is left, or the write was cut off: that answer is asked for again.
            return Ok((known, end));
        }
        let parsed = serde_json::from_slice::<Line>(&line).map_err(|error| {
            let text = format!(
                "{}: line {number} is no answer ({error}); delete the file to ask afresh",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let sampled = Sampled { text: parsed.text, finish_reason: parsed.finish_reason };
        known.insert(parsed.key, sampled);
        end += n;
    }
}

fn key(identity: &ModelIdentity, request: &SampleRequest) -> String {
    let key = Key {
        version: 1,
        model_hash: &identity.model_hash,
        template_hash: &identity.template_hash,
        settings: &identity.settings,
        messages: &request.messages,
        temperature: request.params.temperature,
        top_p: request.params.top_p,
        max_tokens: request.params.max_tokens,
        seed: request.params.seed,
    };
    // Strings and numbers always serialise; an error would only cost a cache miss.
    hex(&Sha256::digest(serde_json::to_vec(&key).unwrap_or_default()))
}

/// Samples `requests` in their order, asking the model only for what the cache doesn't hold;
/// equal requests are asked once. Progress advances by one per request.
///
/// After a lost endpoint, a spent budget or a cache that can't be written, the model is asked
/// nothing more; what was answered is kept and the other requests get that error.
pub fn sample_cached(
    model: &dyn Model,
    cache: &mut AnswerCache,
    requests: &[SampleRequest],
    progress: &dyn Progress,
) -> Vec<Result<Sampled, ModelError>> {
    let keys: Vec<String> = requests.iter().map(|r| key(model.identity(), r)).collect();
    let mut missing: Vec<(&str, &SampleRequest)> = Vec::new();
    let mut asked = std::collections::BTreeSet::new();
    for (key, request) in keys.iter().zip(requests) {
        if !cache.known.contains_key(key) && asked.insert(key) {
            missing.push((key, request));
        }
    }
    progress.advance((requests.len() - missing.len()) as u64);

    let mut failures: BTreeMap<&str, ModelError> = BTreeMap::new();
    let mut fatal: Option<ModelError> = None;
    for batch in missing.chunks(BATCH) {
        let asked: Vec<SampleRequest> = batch.iter().map(|(_, r)| (*r).clone()).collect();
        for (&(key, _), answer) in batch.iter().zip(model.sample(&asked)) {
            match answer {
                Ok(sampled) => {
                    if let Err(error) = cache.insert(key, &sampled) {
                        fatal = Some(unwritable(&error));
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
            fatal = Some(unwritable(&error));
        }
        progress.advance(batch.len() as u64);
        if fatal.is_some() {
            break;
        }
    }
    let unanswered = || ModelError::Lost(format!("{} gave no answer", model.identity().spec));
    keys.iter()
        .map(|key| match (cache.known.get(key), failures.get(key.as_str()), &fatal) {
            (Some(sampled), ..) => Ok(sampled.clone()),
            (None, Some(error), _) | (None, None, Some(error)) => Err(copy(error)),
            (None, None, None) => Err(unanswered()),
        })
        .collect()
}

fn unwritable(error: &io::Error) -> ModelError {
    ModelError::Store(format!("can't keep answers: {error}"))
}
