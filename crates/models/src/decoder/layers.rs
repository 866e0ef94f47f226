//! The parts of one decoder layer, from operations whose gradients candle computes.

use super::{Source, cache::LayerCache, config::DecoderConfig, rope::Rotation};
use candle_core::{D, Device, Result, Tensor};

/// What all layers of one forward pass share.
pub(super) struct Step {
    pub(super) rotation: Rotation,
    /// 0 where a query may look, minus infinity elsewhere; `None` when all is visible.
    pub(super) mask: Option<Tensor>,
}

/// `x · wᵀ` over the last axis, for `w` of shape `[out, in]`.
pub(super) fn matmul_last(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let Some(last) = shape.last_mut() else {
        candle_core::bail!("a scalar has no last axis");
    };
    let width = *last;
    *last = w.dim(0)?;
    x.reshape(((), width))?.matmul(&w.t()?)?.reshape(shape)
}

#[derive(Debug, Clone)]
struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    fn load(
        name: &str,
        out_size: usize,
        in_size: usize,
        bias: bool,
        source: &Source<'_>,
    ) -> Result<Self> {
        Ok(Self {
            weight: source(&format!("{name}.weight"), &[out_size, in_size])?,
            bias: if bias { Some(source(&format!("{name}.bias"), &[out_size])?) } else { None },
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = matmul_last(x, &self.weight)?;
        match &self.bias {
            None => Ok(y),
            Some(bias) => y.broadcast_add(bias),
        }
    }
}

/// Root-mean-square norm, written out so that gradients flow.
#[derive(Debug, Clone)]
pub(super) struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(super) fn load(name: &str, config: &DecoderConfig, source: &Source<'_>) -> Result<Self> {
        Ok(Self { weight: source(name, &[config.hidden_size])?, eps: config.rms_norm_eps })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
        x.broadcast_div(&(mean_square + self.eps)?.sqrt()?)?.broadcast_mul(&self.weight)
    }
}

/// Softmax over the last axis. The maximum is taken out of the gradient: the result doesn't
/// depend on it.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?.exp()?;
    let total = shifted.sum_keepdim(D::Minus1)?;
    shifted.broadcast_div(&total)
}

/// Which of `past + t` keys the `t` queries may see: those not later than themselves and not
/// in the row's padding. A query always sees itself, so that padding stays finite.
pub(super) fn causal_mask(
    past: usize,
    t: usize,
    pads: &[usize],
    device: &Device,
) -> Result<Option<Tensor>> {
    let padded = pads.iter().any(|&pad| pad > 0);
    if t == 1 && !padded {
        return Ok(None);
    }
    let rows: &[usize] = if padded { pads } else { &[0] };
    let total = past + t;
    let mut mask = Vec::new();
    mask.reserve_exact(rows.len() * t * total);
    for &pad in rows {
        for query in past..total {
            mask.extend((0..total).map(|key| {
                if key == query || (pad <= key && key < query) { 0.0 } else { f32::NEG_INFINITY }
            }));
        }
    }
    Tensor::from_vec(mask, (rows.len(), 1, t, total), device).map(Some)
}

#[derive(Debug, Clone)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Attention {
    fn load(config: &DecoderConfig, prefix: &str, source: &Source<'_>) -> Result<Self> {
        let (d, hd) = (config.hidden_size, config.head_dim);
        let (heads, kv_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let name = |part| format!("{prefix}.self_attn.{part}_proj");
        let (qkv, o) = (config.qkv_bias, config.out_bias);
        Ok(Self {
            query: Linear::load(&name("q"), heads * hd, d, qkv, source)?,
            key: Linear::load(&name("k"), kv_heads * hd, d, qkv, source)?,
            value: Linear::load(&name("v"), kv_heads * hd, d, qkv, source)?,
            out: Linear::load(&name("o"), d, heads * hd, o, source)?,
            heads,
            kv_heads,
            head_dim: hd,
        })
    }

    fn forward(&self, x: &Tensor, step: &Step, cache: Option<&mut LayerCache>) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let split = |y: Tensor, heads| y.reshape((b, t, heads, self.head_dim))?.transpose(1, 2);
        let q = step.rotation.apply(&split(self.query.forward(x)?, self.heads)?)?;
        let k = step.rotation.apply(&split(self.key.forward(x)?, self.kv_heads)?)?;
        let v = split(self.value.forward(x)?, self.kv_heads)?.contiguous()?;
        let (k, v) = match cache {
            None => (k, v),
            Some(cache) => cache.append(k, v)?,
        };
        let (k, v) = (self.repeat(k)?, self.repeat(v)?);
        // The scale goes on the smaller factor.
        let q = (q * (self.head_dim as f64).powf(-0.5))?;
        let mut scores = q.matmul(&k.t()?)?;
        if let Some(mask) = &step.mask {
            scores = scores.broadcast_add(mask)?;
        }
        let mixed = softmax(&scores)?.matmul(&v)?;
        let merged = mixed.transpose(1, 2)?.reshape((b, t, self.heads * self.head_dim))?;
        self.out.forward(&merged)
    }

    /// Each key or value head serves `heads / kv_heads` query heads.
    fn repeat(&self, x: Tensor) -> Result<Tensor> {
        let n = self.heads / self.kv_heads;
        if n == 1 {
            return Ok(x);
        }
        let (b, kv, t, hd) = x.dims4()?;
        x.unsqueeze(2)?.broadcast_as((b, kv, n, t, hd))?.reshape((b, kv * n, t, hd))
    }
}

/// SwiGLU.
#[derive(Debug, Clone)]
struct FeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl FeedForward {
    fn load(config: &DecoderConfig, prefix: &str, source: &Source<'_>) -> Result<Self> {
        let (d, wide) = (config.hidden_size, config.intermediate_size);
        let name = |part| format!("{prefix}.mlp.{part}_proj");
        Ok(Self {
            gate: Linear::load(&name("gate"), wide, d, false, source)?,
            up: Linear::load(&name("up"), wide, d, false, source)?,
            down: Linear::load(&name("down"), d, wide, false, source)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&(self.gate.forward(x)?.silu()? * self.up.forward(x)?)?)
    }
}

/// One layer: attention and feed-forward, each behind a norm and around a residual.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    attention_norm: RmsNorm,
    attention: Attention,
    feed_forward_norm: RmsNorm,
    feed_forward: FeedForward,
}

impl Layer {
    pub(super) fn load(config: &DecoderConfig, i: usize, source: &Source<'_>) -> Result<Self> {
        let prefix = format!("model.layers.{i}");
        let norm = |name| RmsNorm::load(&format!("{prefix}.{name}.weight"), config, source);
        Ok(Self {
            attention_norm: norm("input_layernorm")?,
            attention: Attention::load(config, &prefix, source)?,
            feed_forward_norm: norm("post_attention_layernorm")?,
            feed_forward: FeedForward::load(config, &prefix, source)?,
        })
    }

    pub(super) fn forward(
        &self,
        x: &Tensor,
        step: &Step,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor> {
        let x = (x + self.attention.forward(&self.attention_norm.forward(x)?, step, cache)?)?;
        let y = self.feed_forward.forward(&self.feed_forward_norm.forward(&x)?)?;
        x + y
    }
}
