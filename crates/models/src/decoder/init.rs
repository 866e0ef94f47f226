//! Names and shapes of a decoder's tensors, and seeded first weights for training.

use super::config::DecoderConfig;
use candle_core::{Device, Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Standard deviation of first weights, as `transformers` (`initializer_range`).
const INIT_SD: f64 = 0.02;

/// Every tensor of a decoder of this shape, by its `transformers` name.
pub fn tensor_shapes(config: &DecoderConfig) -> BTreeMap<String, Vec<usize>> {
    let (d, wide, hd) = (config.hidden_size, config.intermediate_size, config.head_dim);
    let (q, kv) = (config.num_attention_heads * hd, config.num_key_value_heads * hd);
    let mut shapes = BTreeMap::new();
    let mut add = |name: String, shape: &[usize]| {
        shapes.insert(name, shape.to_vec());
    };
    add("model.embed_tokens.weight".to_owned(), &[config.vocab_size, d]);
    add("model.norm.weight".to_owned(), &[d]);
    if !config.tie_word_embeddings {
        add("lm_head.weight".to_owned(), &[config.vocab_size, d]);
    }
    for i in 0..config.num_hidden_layers {
        let name = |part: &str| format!("model.layers.{i}.{part}");
        add(name("input_layernorm.weight"), &[d]);
        add(name("post_attention_layernorm.weight"), &[d]);
        for (part, out_size) in [("q", q), ("k", kv), ("v", kv)] {
            add(name(&format!("self_attn.{part}_proj.weight")), &[out_size, d]);
            if config.qkv_bias {
                add(name(&format!("self_attn.{part}_proj.bias")), &[out_size]);
            }
        }
        add(name("self_attn.o_proj.weight"), &[d, q]);
        if config.out_bias {
            add(name("self_attn.o_proj.bias"), &[d]);
        }
        add(name("mlp.gate_proj.weight"), &[wide, d]);
        add(name("mlp.up_proj.weight"), &[wide, d]);
        add(name("mlp.down_proj.weight"), &[d, wide]);
    }
    shapes
}

/// First weights, f32: norms 1, biases 0, matrices normal with standard deviation 0.02, those
/// that write to the residual stream (`o_proj`, `down_proj`) divided by √(2 · layers) as in
/// GPT-2. The same seed gives the same bits; candle's own initialisers can't be seeded.
///
/// # Errors
/// Device out of memory.
pub fn init_tensors(
    config: &DecoderConfig,
    seed: u64,
    device: &Device,
) -> Result<BTreeMap<String, Tensor>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let residual = (2.0 * config.num_hidden_layers as f64).sqrt();
    let mut tensors = BTreeMap::new();
    for (name, shape) in tensor_shapes(config) {
        let n: usize = shape.iter().product();
        let values = if name.ends_with("norm.weight") {
            vec![1.0; n]
        } else if name.ends_with("bias") {
            vec![0.0; n]
        } else {
            let writes = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let sd = if writes { INIT_SD / residual } else { INIT_SD };
            normals(&mut rng, n, sd)
        };
        tensors.insert(name, Tensor::from_vec(values, shape, device)?);
    }
    Ok(tensors)
}

/// Normal draws by Box and Muller (1958).
fn normals(rng: &mut ChaCha8Rng, n: usize, sd: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(n + 1);
    while values.len() < n {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * sd;
        let (sin, cos) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(n);
    values
}
