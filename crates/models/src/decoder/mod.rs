//! A small decoder in Llama layout (RMSNorm, RoPE, SwiGLU, grouped queries), on candle.
//!
//! It scores (logits at *all* positions), samples (key-value cache, ragged batches) and is
//! trained by `lab` with the very same code. Hence only operations whose gradients candle
//! really computes: `ops::softmax_last_dim`, `rms_norm`, `rope` and `sdpa` lose them without
//! a word, so softmax, norm and rotation are written out here.
//!
//! Tensor names and `config.json` are those of Hugging Face `transformers` (Llama and Qwen2).
//! Not here: tokenising, loading of folders, sampling, the loss.

mod cache;
mod config;
mod init;
mod layers;
mod rope;

pub use cache::KvCache;
pub use config::{Architecture, ConfigError, DecoderConfig, RopeScaling};
pub use init::{init_tensors, tensor_shapes};

use candle_core::{DType, Device, IndexOp, Result, Tensor};
use candle_nn::VarBuilder;
use layers::{Layer, RmsNorm, Step, matmul_last};
use rope::Rope;
use std::collections::BTreeMap;

/// A decoder with its weights.
#[derive(Debug, Clone)]
pub struct Decoder {
    config: DecoderConfig,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// `None`: tied to the embedding.
    head: Option<Tensor>,
    rope: Rope,
    device: Device,
}

/// Where a tensor of a given name and shape comes from.
pub(crate) type Source<'a> = dyn Fn(&str, &[usize]) -> Result<Tensor> + 'a;

impl Decoder {
    /// Takes its weights from `weights` under their `transformers` names
    /// (`model.embed_tokens.weight`, ...).
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says.
    #[expect(clippy::needless_pass_by_value, reason = "builders are handed over, as in candle-nn")]
    pub fn new(config: &DecoderConfig, weights: VarBuilder<'_>) -> Result<Self> {
        let device = weights.device().clone();
        Self::build(config, &device, &|name, shape| weights.get(shape, name))
    }

    /// As [`Decoder::new`], from tensors by name; trained [`candle_core::Var`]s go in as
    /// `var.as_tensor().clone()` and keep their gradients.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says.
    pub fn from_tensors(
        config: &DecoderConfig,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let device = tensors.values().next().map_or(Device::Cpu, |t| t.device().clone());
        Self::build(config, &device, &|name, shape| {
            let tensor = tensors
                .get(name)
                .ok_or_else(|| candle_core::Error::Msg(format!("tensor {name} is missing")))?;
            if tensor.dims() != shape {
                candle_core::bail!(
                    "tensor {name} has shape {:?}, expected {shape:?}",
                    tensor.dims()
                );
            }
            Ok(tensor.clone())
        })
    }

    fn build(config: &DecoderConfig, device: &Device, source: &Source<'_>) -> Result<Self> {
        let (d, vocab) = (config.hidden_size, config.vocab_size);
        Ok(Self {
            embedding: source("model.embed_tokens.weight", &[vocab, d])?,
            layers: (0..config.num_hidden_layers)
                .map(|i| Layer::load(config, i, source))
                .collect::<Result<_>>()?,
            norm: RmsNorm::load("model.norm.weight", config, source)?,
            head: if config.tie_word_embeddings {
                None
            } else {
                Some(source("lm_head.weight", &[vocab, d])?)
            },
            rope: Rope::new(config),
            device: device.clone(),
            config: config.clone(),
        })
    }

    /// What it was built from.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The matrix `[vocab, hidden]` that turns hidden states into logits (the embedding
    /// itself when tied).
    pub fn head(&self) -> &Tensor {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Hidden states after the last norm, `[b, t, hidden]`, for tokens `[b, t]` (u32).
    ///
    /// Position `i` sees positions `0..=i` only. With a cache the tokens continue what the
    /// cache holds, and the cache grows by `t`.
    ///
    /// # Errors
    /// Tokens of the wrong rank, a token outside the vocabulary, a cache of another batch, or
    /// positions past `max_position_embeddings`.
    pub fn forward_hidden(
        &self,
        tokens: &Tensor,
        mut cache: Option<&mut KvCache>,
    ) -> Result<Tensor> {
        let (b, t) = tokens.dims2()?;
        let past = cache.as_deref().map_or(0, KvCache::len);
        let limit = self.config.max_position_embeddings;
        if past + t > limit {
            candle_core::bail!("{} tokens exceed the model's {limit} positions", past + t);
        }
        let pads = cache.as_deref().map_or(&[][..], KvCache::pads);
        if !pads.is_empty() && pads.len() != b {
            candle_core::bail!("cache holds {} rows, the batch has {b}", pads.len());
        }
        let step = Step {
            rotation: self.rope.rotation(past, t, pads, &self.device)?,
            mask: layers::causal_mask(past, t, pads, &self.device)?,
        };
        let mut x = self.embedding.index_select(&tokens.flatten_all()?, 0)?.reshape((
            b,
            t,
            self.config.hidden_size,
        ))?;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &step, cache.as_deref_mut().map(|c| c.layer(i)))?;
        }
        if let Some(cache) = cache {
            cache.grow(t);
        }
        self.norm.forward(&x)
    }

    /// Logits `[.., vocab]` (f32) of hidden states `[.., hidden]`.
    ///
    /// # Errors
    /// Hidden states of another width.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        matmul_last(hidden, self.head())
    }

    /// Logits at all positions, `[b, t, vocab]`; see [`Decoder::forward_hidden`].
    ///
    /// # Errors
    /// As [`Decoder::forward_hidden`].
    pub fn forward(&self, tokens: &Tensor, cache: Option<&mut KvCache>) -> Result<Tensor> {
        self.logits(&self.forward_hidden(tokens, cache)?)
    }

    /// Logits `[b, vocab]` of the last position only, for sampling.
    ///
    /// # Errors
    /// As [`Decoder::forward_hidden`]; no tokens.
    pub fn forward_last(&self, tokens: &Tensor, cache: Option<&mut KvCache>) -> Result<Tensor> {
        let hidden = self.forward_hidden(tokens, cache)?;
        let t = hidden.dim(1)?;
        if t == 0 {
            candle_core::bail!("no tokens given");
        }
        self.logits(&hidden.i((.., t - 1, ..))?.contiguous()?)
    }

    /// A cache for `rows` sequences that begin together.
    pub fn cache(&self, rows: usize) -> KvCache {
        self.cache_padded(vec![0; rows])
    }

    /// A cache for sequences of unequal length in one batch: row `i` begins with `pads[i]`
    /// tokens of padding (any token), which no real position attends to.
    pub fn cache_padded(&self, pads: Vec<usize>) -> KvCache {
        KvCache::new(self.config.num_hidden_layers, pads)
    }

    /// The type of its weights.
    pub fn dtype(&self) -> DType {
        self.embedding.dtype()
    }
}
