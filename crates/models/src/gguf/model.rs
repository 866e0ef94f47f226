//! A GGUF model as the other rooms see it: a handle on the thread that runs llama.cpp.

use super::{
    GgufHeader, read_gguf_header,
    worker::{Job, Opened, Worker},
};
use crate::{
    AccessLevel, Model, ModelError, ModelIdentity, OpenOptions, SampleRequest, Sampled,
    ScoreRequest, Scored, cache::hex,
};
use sha2::{Digest, Sha256};
use std::{
    io::{self, Read},
    path::Path,
    sync::mpsc,
};

/// Architectures that give no next-token logits.
const NOT_DECODERS: [&str; 4] = ["bert", "t5", "clip", "wavtokenizer"];

/// A GGUF file, loaded.
#[derive(Debug)]
pub struct GgufModel {
    identity: ModelIdentity,
    worker: Worker,
}

impl GgufModel {
    /// Loads the file at `path`.
    ///
    /// # Errors
    /// [`ModelError::Unusable`]: the file can't be read, is cut off, isn't GGUF, or holds a
    /// model that llama.cpp doesn't run.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, ModelError> {
        let header = read_gguf_header(path)
            .map_err(|error| unusable(error.to_string(), "download it again"))?;
        Self::open_checked(path, &header, options)
    }

    pub(super) fn open_checked(
        path: &Path,
        header: &GgufHeader,
        options: &OpenOptions,
    ) -> Result<Self, ModelError> {
        let architecture = &header.architecture;
        if NOT_DECODERS.iter().any(|name| architecture.contains(name)) {
            let what = format!("{}: {architecture} is no decoder", path.display());
            return Err(unusable(what, "take a model that continues text"));
        }
        let model_hash =
            hash(path).map_err(|error| unusable(error.to_string(), "check the file"))?;
        let Opened { worker, template_hash, settings } =
            Worker::start(path, options).map_err(|what| {
                let text = format!("{}: {what} (architecture {architecture})", path.display());
                unusable(text, "check that llama.cpp knows the architecture and memory suffices")
            })?;
        let spec = format!("gguf:{}", path.display());
        Ok(Self { identity: ModelIdentity { spec, model_hash, template_hash, settings }, worker })
    }

    /// Sends a job and waits; `None` when llama.cpp's thread has died.
    fn ask<T>(&self, job: impl FnOnce(mpsc::Sender<T>) -> Job) -> Option<T> {
        let (answer, receive) = mpsc::channel();
        self.worker.send(job(answer))?;
        receive.recv().ok()
    }
}

impl Model for GgufModel {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn access(&self) -> AccessLevel {
        AccessLevel::Weights
    }

    fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>> {
        self.ask(|answer| Job::Score(requests.to_vec(), answer))
            .unwrap_or_else(|| requests.iter().map(|_| Err(died())).collect())
    }

    fn sample(&self, requests: &[SampleRequest]) -> Vec<Result<Sampled, ModelError>> {
        self.ask(|answer| Job::Sample(requests.to_vec(), answer))
            .unwrap_or_else(|| requests.iter().map(|_| Err(died())).collect())
    }
}

fn died() -> ModelError {
    ModelError::Lost("llama.cpp stopped working on this model".to_owned())
}

fn unusable(message: String, hint: &str) -> ModelError {
    ModelError::Unusable { message, hint: hint.to_owned() }
}

fn hash(path: &Path) -> io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        match buffer.get(..n) {
            None | Some([]) => return Ok(hex(&hash.finalize())),
            Some(bytes) => hash.update(bytes),
        }
    }
}
