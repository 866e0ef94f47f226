//! The network that is trained: forward and backward pass written out, one thread, no graph.
//!
//! Responsible for: the loss of a batch and the gradient of every weight. It computes what
//! `stillwatch_models::decoder` computes (a test compares both, and the gradient with candle's);
//! an autograd graph of many small tensors costs several times the arithmetic at these sizes.
//! Leaves updating the weights to [`crate::optimizer`], files to [`crate::checkpoint`], scoring
//! and sampling to `stillwatch_models`.

mod backward;
mod forward;
mod kernels;
mod layout;
mod matmul;

pub use layout::{NORM_EPSILON, NamedTensor, NetworkConfig, ROPE_THETA, fresh_weights};

use crate::LabError;
use kernels::Rotary;

/// Token sequences of one length, padded at their end, with what is to be learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[n_sequences, length]`, row-major.
    pub tokens: Vec<u32>,
    /// The wanted next token at each position.
    pub targets: Vec<u32>,
    /// Weight of each position in the loss; 0 leaves it out (padding).
    pub weights: Vec<f32>,
    /// Sequences.
    pub n_sequences: usize,
    /// Tokens of each.
    pub length: usize,
}

/// A network: its sizes, its weights, and room for the intermediate results.
#[derive(Debug)]
pub struct Network {
    config: NetworkConfig,
    weights: Vec<f32>,
    gradient: Vec<f32>,
    rotary: Rotary,
    room: Room,
}

/// What the forward pass keeps for the backward pass; n rows = sequences × length.
#[derive(Debug, Default)]
struct Room {
    layers: Vec<LayerRoom>,
    /// `[n, h]`: the last block's output, its norm, and 1/rms.
    last: Vec<f32>,
    last_normed: Vec<f32>,
    last_rms: Vec<f32>,
    /// `[n, vocab]`: logits, then their gradient.
    logits: Vec<f32>,
    /// Gradients on the way down: residual stream, a `[n, h]`, a `[n, f]`, `[n, 3h]`, `[t, t]`.
    d_stream: Vec<f32>,
    d_hidden: Vec<f32>,
    d_act: Vec<f32>,
    d_qkv: Vec<f32>,
    d_scores: Vec<f32>,
}

#[derive(Debug, Default)]
struct LayerRoom {
    /// `[n, h]`: what enters the block.
    input: Vec<f32>,
    normed1: Vec<f32>,
    rms1: Vec<f32>,
    /// `[n, 3h]`, rotated.
    qkv: Vec<f32>,
    /// `[sequences, heads, t, t]`.
    attention: Vec<f32>,
    /// `[n, h]`: heads' outputs side by side.
    mixed: Vec<f32>,
    middle: Vec<f32>,
    normed2: Vec<f32>,
    rms2: Vec<f32>,
    gate_up: Vec<f32>,
    act: Vec<f32>,
}

impl Network {
    /// A network with these weights, flat, in the order of [`NetworkConfig::tensors`].
    pub fn new(config: NetworkConfig, weights: Vec<f32>) -> Result<Self, LabError> {
        config.check()?;
        if weights.len() != config.n_weights() {
            return Err(LabError::Data(format!(
                "{} weights given, the network has {}",
                weights.len(),
                config.n_weights()
            )));
        }
        let rotary = Rotary::new(config.max_positions, config.head_size());
        let gradient = vec![0.0; weights.len()];
        Ok(Self { config, weights, gradient, rotary, room: Room::default() })
    }

    /// Its sizes.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Its weights, flat.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The gradient that the last [`Self::loss_and_gradient`] left, flat.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Weights and gradient together, for an optimiser.
    pub fn weights_and_gradient(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.weights, &mut self.gradient)
    }

    /// Puts other weights in.
    pub fn set_weights(&mut self, weights: &[f32]) -> Result<(), LabError> {
        if weights.len() != self.weights.len() {
            return Err(LabError::Data(format!(
                "{} weights given, the network has {}",
                weights.len(),
                self.weights.len()
            )));
        }
        self.weights.copy_from_slice(weights);
        Ok(())
    }

    /// Mean loss of the batch, nats per weighted token; the gradient is left in
    /// [`Self::gradient`].
    pub fn loss_and_gradient(&mut self, batch: &Batch) -> Result<f64, LabError> {
        let total = self.check(batch)?;
        self.forward(batch);
        let vocab = self.config.vocab_size;
        let loss = kernels::cross_entropy(
            &mut self.room.logits,
            &batch.targets,
            &batch.weights,
            vocab,
            total,
        );
        self.backward(batch);
        Ok(loss / total)
    }

    /// Mean loss of the batch alone, nats per weighted token.
    pub fn loss(&mut self, batch: &Batch) -> Result<f64, LabError> {
        let total = self.check(batch)?;
        self.forward(batch);
        let vocab = self.config.vocab_size;
        let logits = &mut self.room.logits;
        Ok(kernels::cross_entropy(logits, &batch.targets, &batch.weights, vocab, total) / total)
    }

    /// Logits of the batch, `[n_sequences · length, vocab]`.
    pub fn logits(&mut self, batch: &Batch) -> Result<&[f32], LabError> {
        self.check(batch)?;
        self.forward(batch);
        Ok(&self.room.logits)
    }

    /// Refuses batches that don't fit; returns the sum of weights.
    fn check(&self, batch: &Batch) -> Result<f64, LabError> {
        let n = batch.n_sequences * batch.length;
        if batch.tokens.len() != n || batch.targets.len() != n || batch.weights.len() != n {
            return Err(LabError::Data(format!(
                "a batch of {n} positions with vectors of other lengths"
            )));
        }
        if batch.length > self.config.max_positions {
            return Err(LabError::Data(format!(
                "a sequence of {} tokens, the network takes {}",
                batch.length, self.config.max_positions
            )));
        }
        let vocab = self.config.vocab_size;
        let foreign = batch.tokens.iter().chain(&batch.targets).find(|&&t| t as usize >= vocab);
        if let Some(token) = foreign {
            return Err(LabError::Data(format!("token {token} outside a vocabulary of {vocab}")));
        }
        let total: f64 = batch.weights.iter().map(|&w| f64::from(w)).sum();
        if total > 0.0 {
            Ok(total)
        } else {
            Err(LabError::Data("a batch with nothing to learn".into()))
        }
    }
}
