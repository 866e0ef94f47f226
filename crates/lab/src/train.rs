//! The training loop: batches in a seeded order, updates, and a state that resumes bit for bit.
//!
//! Responsible for: which example is seen when (a permutation per epoch, drawn from seed and
//! epoch alone, so that the position is the whole state), the schedule, and stopping at the last
//! good step when the loss or the gradient stops being a number. Runs on the calling thread
//! only. Leaves arithmetic to [`crate::network`], files to [`crate::checkpoint`].

use crate::network::{Batch, Network};
use crate::optimizer::{AdamW, AdamWParams, cosine_schedule, norm};
use crate::{LabError, checkpoint};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use stillwatch_evidence::Progress;

/// One sequence to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// All its tokens.
    pub tokens: Vec<u32>,
    /// Index of the first token that is to be learnt; those before it are context only.
    pub learn_from: usize,
}

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainParams {
    /// Passes over the examples.
    pub n_epochs: u64,
    /// Sequences in a batch.
    pub batch_size: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of all updates during which the learning rate rises.
    pub warmup: f64,
    /// Last learning rate as a share of the highest.
    pub floor: f64,
    /// The optimiser's constants.
    pub optimizer: AdamWParams,
    /// Seed of the order of the examples.
    pub seed: u64,
}

impl Default for TrainParams {
    fn default() -> Self {
        Self {
            n_epochs: 1,
            batch_size: 16,
            learning_rate: 3e-3,
            warmup: 0.05,
            floor: 0.1,
            optimizer: AdamWParams::default(),
            seed: 0,
        }
    }
}

/// Where and how often to keep the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepParams {
    /// The checkpoint file; replaced in one move.
    pub path: PathBuf,
    /// Updates between two checkpoints.
    pub every_steps: u64,
}

/// What one update did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Mean loss of the batch before the update, nats per token.
    pub loss: f64,
    /// Euclidean norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Tokens in the batch, padding included.
    pub n_tokens: usize,
}

/// What a whole training did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainReport {
    /// Updates done.
    pub n_steps: u64,
    /// Tokens processed by this call, padding included.
    pub n_tokens: u64,
    /// Mean loss over the last tenth of the updates, nats per token.
    pub final_loss: f64,
}

/// A training in progress.
#[derive(Debug)]
pub struct Trainer<'a> {
    pub(crate) network: Network,
    pub(crate) optimizer: AdamW,
    pub(crate) params: TrainParams,
    pub(crate) data_sha256: String,
    pub(crate) step: u64,
    examples: &'a [Example],
    /// The order of the epoch that was drawn last.
    order: Option<(u64, Vec<usize>)>,
    keep: Option<KeepParams>,
}

impl<'a> Trainer<'a> {
    /// Starts from the network's weights.
    ///
    /// # Errors
    /// Parameters that make no sense, no examples, or one without anything to learn.
    pub fn new(
        network: Network,
        examples: &'a [Example],
        params: TrainParams,
    ) -> Result<Self, LabError> {
        check(&params)?;
        if examples.is_empty() {
            return Err(LabError::Data("there is not one example".to_owned()));
        }
        let too_long = network.config().max_positions + 1;
        for (i, example) in examples.iter().enumerate() {
            let n = example.tokens.len();
            if n < 2 || n > too_long || example.learn_from >= n {
                return Err(LabError::Data(format!(
                    "example {i} has {n} tokens and is learnt from {}: 2 to {too_long} tokens are wanted, and something to learn",
                    example.learn_from
                )));
            }
        }
        let optimizer = AdamW::new(network.weights().len(), params.optimizer);
        let data_sha256 = hash(examples);
        Ok(Self {
            network,
            optimizer,
            params,
            data_sha256,
            step: 0,
            examples,
            order: None,
            keep: None,
        })
    }

    /// Goes on from a checkpoint of the same run: same examples, parameters and network sizes.
    ///
    /// # Errors
    /// A file that can't be read, or that belongs to another run.
    pub fn resume(&mut self, path: &std::path::Path) -> Result<(), LabError> {
        checkpoint::load(path, self)
    }

    /// Writes the state to a file, in one move.
    pub fn save(&self, path: &std::path::Path) -> Result<(), LabError> {
        checkpoint::save(path, self)
    }

    /// Keeps the state in a file while running.
    #[must_use]
    pub fn keep(mut self, keep: KeepParams) -> Self {
        self.keep = Some(keep);
        self
    }

    /// Updates of one pass over the examples.
    pub fn steps_per_epoch(&self) -> u64 {
        self.examples.len().div_ceil(self.params.batch_size) as u64
    }

    /// Updates of the whole training.
    pub fn n_steps(&self) -> u64 {
        self.steps_per_epoch() * self.params.n_epochs
    }

    /// Updates done.
    pub fn n_done(&self) -> u64 {
        self.step
    }

    /// The network as it stands.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Ends the training.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// One update.
    ///
    /// # Errors
    /// [`LabError::NotFinite`] before anything is changed, so the weights stay those of the last
    /// good step.
    pub fn step(&mut self) -> Result<Step, LabError> {
        let batch = self.batch();
        let n_steps = self.n_steps();
        let loss = self.network.loss_and_gradient(&batch)?;
        let (weights, gradient) = self.network.weights_and_gradient();
        let gradient_norm = norm(gradient);
        for (what, value) in [("loss", loss), ("gradient norm", gradient_norm)] {
            if !value.is_finite() {
                return Err(LabError::NotFinite { step: self.step, what, value, checkpoint: None });
            }
        }
        let n_warmup = warmup_steps(n_steps, self.params.warmup);
        let peak = self.params.learning_rate;
        let learning_rate = cosine_schedule(self.step, n_steps, n_warmup, peak, self.params.floor);
        self.optimizer.update(weights, gradient, gradient_norm, learning_rate);
        self.step += 1;
        Ok(Step { loss, gradient_norm, learning_rate, n_tokens: batch.tokens.len() })
    }

    /// Trains to the end, telling `progress` one unit per update; begin and end are the caller's.
    ///
    /// # Errors
    /// As [`Self::step`]; with [`Self::keep`] the last good state is then in the file.
    pub fn run(&mut self, progress: &dyn Progress) -> Result<TrainReport, LabError> {
        let n_steps = self.n_steps();
        let tail = n_steps - n_steps.div_ceil(10);
        let (mut n_tokens, mut sum, mut n) = (0, 0.0, 0u32);
        while self.step < n_steps {
            let done = match self.step() {
                Ok(done) => done,
                Err(LabError::NotFinite { step, what, value, .. }) => {
                    let checkpoint = self.keep.as_ref().map(|k| k.path.clone());
                    if let Some(path) = &checkpoint {
                        self.save(path)?;
                    }
                    return Err(LabError::NotFinite { step, what, value, checkpoint });
                }
                Err(other) => return Err(other),
            };
            n_tokens += done.n_tokens as u64;
            if self.step > tail {
                sum += done.loss;
                n += 1;
            }
            if let Some(keep) = &self.keep
                && (self.step.is_multiple_of(keep.every_steps.max(1)) || self.step == n_steps)
            {
                self.save(&keep.path)?;
            }
            progress.advance(1);
        }
        Ok(TrainReport { n_steps: self.step, n_tokens, final_loss: sum / f64::from(n.max(1)) })
    }

    /// The batch of the current step.
    fn batch(&mut self) -> Batch {
        let per_epoch = self.steps_per_epoch();
        let (epoch, index) = (self.step / per_epoch, self.step % per_epoch);
        if self.order.as_ref().is_none_or(|(drawn, _)| *drawn != epoch) {
            let mut rng = ChaCha8Rng::seed_from_u64(self.params.seed);
            rng.set_stream(epoch);
            let mut order: Vec<usize> = (0..self.examples.len()).collect();
            order.shuffle(&mut rng);
            self.order = Some((epoch, order));
        }
        let order = self.order.as_ref().map_or(&[][..], |(_, order)| order);
        let start =
            usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(self.params.batch_size);
        let chosen = order.iter().skip(start).take(self.params.batch_size);
        collate(chosen.filter_map(|&i| self.examples.get(i)))
    }
}

/// Updates during which the learning rate rises.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number of steps: not negative, no larger than it"
)]
fn warmup_steps(n_steps: u64, share: f64) -> u64 {
    (n_steps as f64 * share).ceil() as u64
}

/// Sequences side by side, padded at their end with token 0 of weight 0.
pub fn collate<'e>(examples: impl Iterator<Item = &'e Example>) -> Batch {
    let examples: Vec<&Example> = examples.collect();
    let length = examples.iter().map(|e| e.tokens.len().saturating_sub(1)).max().unwrap_or(0);
    let n = examples.len() * length;
    let mut batch = Batch {
        tokens: Vec::with_capacity(n),
        targets: Vec::with_capacity(n),
        weights: Vec::with_capacity(n),
        n_sequences: examples.len(),
        length,
    };
    for example in examples {
        for i in 0..length {
            let pair = (example.tokens.get(i), example.tokens.get(i + 1));
            let (token, target, weight) = match pair {
                (Some(&token), Some(&target)) => {
                    (token, target, if i + 1 >= example.learn_from { 1.0 } else { 0.0 })
                }
                _ => (0, 0, 0.0),
            };
            batch.tokens.push(token);
            batch.targets.push(target);
            batch.weights.push(weight);
        }
    }
    batch
}

/// SHA-256 of the examples in their order, hexadecimal.
pub(crate) fn hash(examples: &[Example]) -> String {
    let mut hasher = Sha256::new();
    for example in examples {
        hasher.update((example.tokens.len() as u64).to_le_bytes());
        hasher.update((example.learn_from as u64).to_le_bytes());
        for token in &example.tokens {
            hasher.update(token.to_le_bytes());
        }
    }
    crate::hex(&hasher.finalize())
}

fn check(params: &TrainParams) -> Result<(), LabError> {
    let refuse =
        |field, value: String, expected| Err(LabError::Parameter { field, value, expected });
    if !(1..=100_000).contains(&params.n_epochs) {
        return refuse("n_epochs", params.n_epochs.to_string(), "1 to 100000");
    }
    if !(1..=4096).contains(&params.batch_size) {
        return refuse("batch_size", params.batch_size.to_string(), "1 to 4096");
    }
    if !(params.learning_rate > 0.0 && params.learning_rate.is_finite()) {
        return refuse("learning_rate", params.learning_rate.to_string(), "a positive number");
    }
    if !(0.0..=1.0).contains(&params.warmup) {
        return refuse("warmup", params.warmup.to_string(), "a share, 0 to 1");
    }
    if !(0.0..=1.0).contains(&params.floor) {
        return refuse("floor", params.floor.to_string(), "a share, 0 to 1");
    }
    let AdamWParams { beta1, beta2, epsilon, weight_decay, clip_norm } = params.optimizer;
    if !((0.0..1.0).contains(&beta1) && (0.0..1.0).contains(&beta2)) {
        return refuse("beta1, beta2", format!("{beta1}, {beta2}"), "0 up to but not 1");
    }
    if !(epsilon > 0.0 && weight_decay >= 0.0 && clip_norm > 0.0) {
        let value = format!("{epsilon}, {weight_decay}, {clip_norm}");
        return refuse("epsilon, weight_decay, clip_norm", value, "positive numbers");
    }
    Ok(())
}
