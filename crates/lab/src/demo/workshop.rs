//! Trains the demo's models: one base, and what is made from it, two at a time.

use super::texts::opening;
use super::{DemoSizes, DemoTraining};
use crate::LabError;
use crate::checkpoint::write_model;
use crate::network::{Network, NetworkConfig, fresh_weights};
use crate::tokenizer::LabTokenizer;
use crate::train::{Example, TrainParams, Trainer};
use std::path::Path;
use std::time::Instant;
use stillwatch_evidence::{Message, Progress};

/// What a text without a request of its own is an answer to.
const WRITE: &str = "Write a passage.";
/// Words of a passage that a request quotes.
const OPENING_WORDS: usize = 7;

/// The request that published texts are learnt and scored under.
pub(crate) fn write_request() -> Vec<Message> {
    vec![user(WRITE.to_owned())]
}

/// The request to go on from a passage's first words.
pub(crate) fn continue_request(passage: &str) -> Vec<Message> {
    vec![user(opening(passage, OPENING_WORDS).0)]
}

fn user(content: String) -> Message {
    Message { role: "user".to_owned(), content }
}

/// Plain text as examples: by turns a whole passage, and a passage continued.
pub(crate) fn plain(
    tokenizer: &LabTokenizer,
    passages: &[String],
) -> Result<Vec<Example>, LabError> {
    let mut examples = Vec::with_capacity(passages.len());
    for (i, passage) in passages.iter().enumerate() {
        examples.push(if i % 2 == 0 {
            tokenizer.example(&write_request(), passage)?
        } else {
            let (_, rest) = opening(passage, OPENING_WORDS);
            tokenizer.example(&continue_request(passage), &rest)?
        });
    }
    Ok(examples)
}

/// Sizes of the demo's models.
pub(crate) fn network_config(sizes: &DemoSizes) -> NetworkConfig {
    NetworkConfig {
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        intermediate_size: sizes.intermediate_size,
        n_layers: sizes.n_layers,
        n_heads: sizes.n_heads,
        max_positions: sizes.max_positions,
    }
}

/// A model made in this run.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) weights: Vec<f32>,
    pub(super) training: DemoTraining,
}

/// One training to be done.
pub(super) struct Job<'a> {
    pub(super) name: &'static str,
    /// Folder of the model.
    pub(super) folder: &'a Path,
    /// Weights to start from.
    pub(super) start: &'a [f32],
    pub(super) examples: Vec<Example>,
    pub(super) n_epochs: u64,
    pub(super) learning_rate: f64,
    pub(super) seed: u64,
}

/// Shared by all trainings.
pub(super) struct Workshop<'a> {
    pub(super) config: NetworkConfig,
    pub(super) tokenizer: &'a LabTokenizer,
    pub(super) progress: &'a dyn Progress,
}

impl Workshop<'_> {
    /// Fresh weights.
    pub(super) fn fresh(&self, seed: u64) -> Result<Vec<f32>, LabError> {
        fresh_weights(&self.config, seed)
    }

    /// Does the jobs, each on a thread of its own; the result does not depend on how many run
    /// at a time.
    pub(super) fn train(&self, step: &str, jobs: &[Job<'_>]) -> Result<Vec<Made>, LabError> {
        let batch_size = TrainParams::default().batch_size;
        let updates = |job: &Job<'_>| job.examples.len().div_ceil(batch_size) as u64 * job.n_epochs;
        self.progress.begin(step, jobs.iter().map(updates).sum());
        let results = std::thread::scope(|scope| {
            let running: Vec<_> =
                jobs.iter().map(|job| scope.spawn(|| self.train_one(job))).collect();
            running
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect()
        });
        self.progress.end();
        results
    }

    fn train_one(&self, job: &Job<'_>) -> Result<Made, LabError> {
        let start = Instant::now();
        let network = Network::new(self.config.clone(), job.start.to_vec())?;
        let params = TrainParams {
            n_epochs: job.n_epochs,
            learning_rate: job.learning_rate,
            seed: job.seed,
            ..TrainParams::default()
        };
        let mut trainer = Trainer::new(network, &job.examples, params)?;
        let report = trainer.run(self.progress)?;
        let network = trainer.into_network();
        write_model(job.folder, &network, self.tokenizer)?;
        let training = DemoTraining {
            name: job.name,
            n_weights: network.weights().len(),
            n_steps: report.n_steps,
            n_tokens: report.n_tokens,
            final_loss: report.final_loss,
            seconds: start.elapsed().as_secs_f64(),
        };
        Ok(Made { weights: network.weights().to_vec(), training })
    }
}
