//! Trains what is not there yet: each model lies in a folder named by the hash of all that it is
//! made from, so a second run, or one after an interrupt, goes on from what it finds.

use crate::checkpoint::{bytes, read_weights, replace, write_model};
use crate::network::{Network, NetworkConfig, fresh_weights};
use crate::tokenizer::LabTokenizer;
use crate::train::{Example, TrainParams, Trainer, hash};
use crate::{LabError, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use stillwatch_evidence::Progress;

/// Raised when the arithmetic of training changes: kept models are then made again.
const RECIPE: u32 = 1;

/// One training to be done.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: String,
    /// Weights to start from.
    pub(super) start: Vec<f32>,
    pub(super) examples: Vec<Example>,
    pub(super) passes: u64,
    pub(super) learning_rate: f64,
    pub(super) seed: u64,
}

/// A model of the population.
#[derive(Debug, Clone)]
pub(super) struct Bred {
    /// Hash of all that it is made from, hexadecimal.
    pub(super) key: String,
    pub(super) folder: PathBuf,
    pub(super) weights: Vec<f32>,
    /// Whether it was found and not trained.
    pub(super) found: bool,
    pub(super) final_loss: f64,
}

/// What is written beside a model when it is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    name: String,
    key: String,
    n_steps: u64,
    n_tokens: u64,
    final_loss: f64,
}

/// Where models are bred.
pub(super) struct Stable<'a> {
    pub(super) folder: PathBuf,
    pub(super) config: NetworkConfig,
    pub(super) tokenizer: &'a LabTokenizer,
    pub(super) tokenizer_sha256: String,
    pub(super) n_threads: usize,
    pub(super) progress: &'a dyn Progress,
}

impl Stable<'_> {
    /// Fresh weights.
    pub(super) fn fresh(&self, seed: u64) -> Result<Vec<f32>, LabError> {
        fresh_weights(&self.config, seed)
    }

    /// Does the jobs on several threads; the models don't depend on how many.
    pub(super) fn breed(&self, step: &str, jobs: &[Job]) -> Result<Vec<Bred>, LabError> {
        let batch = TrainParams::default().batch_size;
        let updates = |job: &Job| job.examples.len().div_ceil(batch) as u64 * job.passes;
        self.progress.begin(step, jobs.iter().map(updates).sum());
        let next = AtomicUsize::new(0);
        let work = || {
            let mut mine = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(i) else { return Ok(mine) };
                if self.progress.stop_requested() {
                    return Err(LabError::Interrupted);
                }
                mine.push((i, self.one(job)?));
            }
        };
        let results: Result<Vec<Vec<(usize, Bred)>>, LabError> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.n_threads.max(1)).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect()
        });
        self.progress.end();
        let mut bred: Vec<(usize, Bred)> = results?.into_iter().flatten().collect();
        bred.sort_by_key(|(i, _)| *i);
        Ok(bred.into_iter().map(|(_, bred)| bred).collect())
    }

    fn one(&self, job: &Job) -> Result<Bred, LabError> {
        let params = TrainParams {
            n_epochs: job.passes,
            learning_rate: job.learning_rate,
            seed: job.seed,
            ..TrainParams::default()
        };
        let key = self.key(job, &params);
        let folder = self.folder.join(key.get(..16).unwrap_or(&key));
        if let Some(made) = read_made(&folder.join("made.json"), &key) {
            let weights = read_weights(&folder, &self.config)?;
            let n = job.examples.len().div_ceil(params.batch_size) as u64 * job.passes;
            self.progress.advance(n);
            return Ok(Bred { key, folder, weights, found: true, final_loss: made.final_loss });
        }
        let network = Network::new(self.config.clone(), job.start.clone())?;
        let mut trainer = Trainer::new(network, &job.examples, params)?;
        let report = trainer.run(self.progress)?;
        let network = trainer.into_network();
        write_model(&folder, &network, self.tokenizer)?;
        let made = Made {
            name: job.name.clone(),
            key: key.clone(),
            n_steps: report.n_steps,
            n_tokens: report.n_tokens,
            final_loss: report.final_loss,
        };
        write_json(&folder.join("made.json"), &made)?;
        let weights = network.weights().to_vec();
        Ok(Bred { key, folder, weights, found: false, final_loss: report.final_loss })
    }

    /// Hash of everything that decides the weights.
    fn key(&self, job: &Job, params: &TrainParams) -> String {
        let mut hasher = Sha256::new();
        hasher.update(RECIPE.to_le_bytes());
        hasher.update(format!("{:?}", self.config));
        hasher.update(&self.tokenizer_sha256);
        hasher.update(Sha256::digest(bytes(&job.start)));
        hasher.update(hash(&job.examples));
        hasher.update(serde_json::to_string(params).unwrap_or_default());
        hex(&hasher.finalize())
    }
}

/// What is kept beside a whole model; anything else counts as not there.
fn read_made(path: &Path, key: &str) -> Option<Made> {
    let made: Made = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
    (made.key == key).then_some(made)
}

/// Writes JSON in one move.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), LabError> {
    let json = serde_json::to_vec_pretty(value)
        .map_err(|e| LabError::Format { path: path.to_owned(), reason: e.to_string() })?;
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    replace(path, &json)
}

/// Reads JSON that is there and whole.
pub(super) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs_err::read(path).ok()?).ok()
}
