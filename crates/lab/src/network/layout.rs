//! The shape of the network and where each weight lies in one flat vector.
//!
//! Names and shapes are those of the Llama layout of Hugging Face, so that what is trained here
//! opens anywhere. `q`, `k`, `v` lie side by side, `gate` and `up` too: each group is one product.

#![expect(clippy::cast_possible_truncation, reason = "weights are f32: rounding to it is meant")]

use crate::LabError;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Sizes of the decoder: RMSNorm, RoPE, SwiGLU, tied embeddings, one key head per query head.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Attention heads; divides `hidden_size` into an even head size.
    pub n_heads: usize,
    /// Longest sequence, tokens.
    pub max_positions: usize,
}

/// Base of the rotary angles.
pub const ROPE_THETA: f64 = 10_000.0;
/// Added to the mean square in RMSNorm.
pub const NORM_EPSILON: f64 = 1e-5;

impl NetworkConfig {
    /// Refuses sizes that no network has.
    pub fn check(&self) -> Result<(), LabError> {
        let refuse = |field, value: usize, expected| {
            Err(LabError::Parameter { field, value: value.to_string(), expected })
        };
        if !(1..=1 << 20).contains(&self.vocab_size) {
            return refuse("vocab_size", self.vocab_size, "1 to 1048576");
        }
        if !(1..=256).contains(&self.n_layers) {
            return refuse("n_layers", self.n_layers, "1 to 256");
        }
        if !(1..=16_384).contains(&self.intermediate_size) {
            return refuse("intermediate_size", self.intermediate_size, "1 to 16384");
        }
        if !(1..=8_192).contains(&self.max_positions) {
            return refuse("max_positions", self.max_positions, "1 to 8192");
        }
        if self.n_heads == 0
            || self.hidden_size > 8_192
            || self.hidden_size == 0
            || !self.hidden_size.is_multiple_of(2 * self.n_heads)
        {
            return refuse(
                "hidden_size",
                self.hidden_size,
                "a multiple of 2 × n_heads, at most 8192",
            );
        }
        Ok(())
    }

    /// Size of one head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.n_heads
    }

    /// Number of weights.
    pub fn n_weights(&self) -> usize {
        let Self { vocab_size: v, hidden_size: h, intermediate_size: f, n_layers, .. } = *self;
        v * h + h + n_layers * (2 * h + 4 * h * h + 3 * h * f)
    }

    /// Every weight in the order of the flat vector.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let (h, f) = (self.hidden_size, self.intermediate_size);
        let mut start = 0;
        let mut tensors = Vec::new();
        let mut put = |name: String, shape: Vec<usize>| {
            let len: usize = shape.iter().product();
            tensors.push(NamedTensor { name, shape, range: start..start + len });
            start += len;
        };
        put("model.embed_tokens.weight".to_owned(), vec![self.vocab_size, h]);
        for layer in 0..self.n_layers {
            let mut put = |name: &str, shape: Vec<usize>| {
                put(format!("model.layers.{layer}.{name}.weight"), shape);
            };
            put("input_layernorm", vec![h]);
            put("self_attn.q_proj", vec![h, h]);
            put("self_attn.k_proj", vec![h, h]);
            put("self_attn.v_proj", vec![h, h]);
            put("self_attn.o_proj", vec![h, h]);
            put("post_attention_layernorm", vec![h]);
            put("mlp.gate_proj", vec![f, h]);
            put("mlp.up_proj", vec![f, h]);
            put("mlp.down_proj", vec![h, f]);
        }
        put("model.norm.weight".to_owned(), vec![h]);
        tensors
    }

    pub(crate) fn embedding(&self) -> Range<usize> {
        0..self.vocab_size * self.hidden_size
    }

    pub(crate) fn layer(&self, layer: usize) -> LayerRanges {
        let (h, f) = (self.hidden_size, self.intermediate_size);
        let mut start = self.vocab_size * h + layer * (2 * h + 4 * h * h + 3 * h * f);
        let mut take = |len: usize| {
            let range = start..start + len;
            start += len;
            range
        };
        LayerRanges {
            norm1: take(h),
            qkv: take(3 * h * h),
            out: take(h * h),
            norm2: take(h),
            gate_up: take(2 * f * h),
            down: take(h * f),
        }
    }

    pub(crate) fn final_norm(&self) -> Range<usize> {
        let end = self.n_weights();
        end - self.hidden_size..end
    }
}

/// One weight: its name, shape, and place in the flat vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTensor {
    /// Name in the Llama layout.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Place in the flat vector.
    pub range: Range<usize>,
}

/// Where one block's weights lie.
#[derive(Debug, Clone)]
pub(crate) struct LayerRanges {
    pub(crate) norm1: Range<usize>,
    /// `[3h, h]`: q, k, v.
    pub(crate) qkv: Range<usize>,
    pub(crate) out: Range<usize>,
    pub(crate) norm2: Range<usize>,
    /// `[2f, h]`: gate, up.
    pub(crate) gate_up: Range<usize>,
    pub(crate) down: Range<usize>,
}

/// Standard deviation of fresh weights, times 1/√(2 · layers) for what writes to the residual
/// stream (Radford et al. 2019, section 2.3, scaled up for small widths).
const INIT_STD: f64 = 0.05;

/// Fresh weights from a seed: normal matrices, gains of one.
pub fn fresh_weights(config: &NetworkConfig, seed: u64) -> Result<Vec<f32>, LabError> {
    config.check()?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Vec::with_capacity(config.n_weights());
    let residual = 1.0 / (2.0 * config.n_layers as f64).sqrt();
    for tensor in config.tensors() {
        let writes = tensor.name.contains("o_proj") || tensor.name.contains("down_proj");
        let std = INIT_STD * if writes { residual } else { 1.0 };
        for _ in tensor.range {
            weights.push(if tensor.shape.len() == 1 {
                1.0
            } else {
                (std * normal(&mut rng)) as f32
            });
        }
    }
    Ok(weights)
}

/// A standard normal variate (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u = 1.0 - rng.random::<f64>();
    let v = rng.random::<f64>();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
