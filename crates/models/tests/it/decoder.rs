//! The decoder: gradients, causality, cache. Agreement with `transformers` is in `parity`.

use candle_core::{D, Device, Tensor, Var};
use std::collections::BTreeMap;
use stillwatch_models::decoder::{
    Architecture, Decoder, DecoderConfig, RopeScaling, init_tensors, tensor_shapes,
};

/// A model small enough for finite differences, with every option on.
fn tiny(architecture: Architecture) -> DecoderConfig {
    DecoderConfig {
        architecture,
        intermediate_size: 24,
        num_key_value_heads: 2,
        tie_word_embeddings: architecture == Architecture::Llama,
        qkv_bias: architecture == Architecture::Qwen2,
        max_position_embeddings: 64,
        ..DecoderConfig::small(23, 16, 2, 4)
    }
}

/// Weights large enough that attention and gates are far from linear.
fn weights(config: &DecoderConfig) -> BTreeMap<String, Tensor> {
    let mut tensors = init_tensors(config, 7, &Device::Cpu).expect("fits in memory");
    for (name, tensor) in &mut tensors {
        let scaled = if name.ends_with("norm.weight") {
            tensor.affine(0.8, 0.1)
        } else if name.ends_with("bias") {
            let n = tensor.elem_count();
            let wave = (0..n).map(|i| (i as f32 * 0.7).sin() * 0.3).collect::<Vec<_>>();
            Tensor::from_vec(wave, n, &Device::Cpu)
        } else {
            tensor.affine(12.0, 0.0)
        };
        *tensor = scaled.expect("elementwise");
    }
    tensors
}

fn tokens(rows: &[&[u32]]) -> Tensor {
    Tensor::new(rows.to_vec(), &Device::Cpu).expect("rows of one length")
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|t| t.to_vec1()).expect("f32 tensor")
}

/// Mean cross-entropy of each next token, from logits at all positions.
fn loss(model: &Decoder, rows: &Tensor) -> Tensor {
    let inner = || {
        let (b, t) = rows.dims2()?;
        let logits = model.forward(rows, None)?.narrow(1, 0, t - 1)?.contiguous()?;
        let max = logits.max_keepdim(D::Minus1)?.detach();
        let normaliser = (logits.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?.log()? + max)?;
        let targets = rows.narrow(1, 1, t - 1)?.contiguous()?.reshape((b, t - 1, 1))?;
        (normaliser - logits.gather(&targets, 2)?)?.mean_all()
    };
    inner().expect("loss of a valid batch")
}

#[test]
fn every_tensor_gets_the_gradient_that_finite_differences_give() {
    for architecture in [Architecture::Llama, Architecture::Qwen2] {
        let config = tiny(architecture);
        let vars: BTreeMap<String, Var> = weights(&config)
            .into_iter()
            .map(|(name, t)| (name, Var::from_tensor(&t).unwrap()))
            .collect();
        let tensors = vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
        let model = Decoder::from_tensors(&config, &tensors).unwrap();
        let rows = tokens(&[&[1, 5, 9, 2, 22, 0], &[7, 7, 3, 11, 4, 19]]);
        let gradients = loss(&model, &rows).backward().unwrap();
        assert_eq!(vars.len(), tensor_shapes(&config).len());
        for (name, var) in &vars {
            let gradient = values(gradients.get(var).unwrap_or_else(|| panic!("{name}: none")));
            assert!(gradient.iter().any(|g| *g != 0.0), "{name}: gradient is zero");
            // Along the gradient's own direction the derivative is its norm; one direction
            // per tensor tests all its entries at once.
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let direction = gradients.get(var).unwrap().affine(1.0 / norm, 0.0).unwrap();
            let base = var.as_tensor().copy().unwrap();
            let at = |step: f64| {
                var.set(&(&base + direction.affine(step, 0.0).unwrap()).unwrap()).unwrap();
                f64::from(loss(&model, &rows).to_scalar::<f32>().unwrap())
            };
            let step = 5e-3;
            let numeric = (at(step) - at(-step)) / (2.0 * step);
            var.set(&base).unwrap();
            assert!(
                (numeric - norm).abs() <= 0.02 * norm + 1e-4,
                "{architecture:?} {name}: finite differences {numeric}, gradient {norm}"
            );
        }
    }
}

#[test]
fn later_tokens_change_nothing_before_them() {
    let config = tiny(Architecture::Qwen2);
    let model = Decoder::from_tensors(&config, &weights(&config)).unwrap();
    let short = values(&model.forward(&tokens(&[&[4, 8, 15]]), None).unwrap());
    let long = values(&model.forward(&tokens(&[&[4, 8, 15, 16, 22]]), None).unwrap());
    for (a, b) in short.iter().zip(&long) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn cache_padding_and_row_removal_give_what_the_whole_sequence_gives() {
    let config = tiny(Architecture::Llama);
    let model = Decoder::from_tensors(&config, &weights(&config)).unwrap();
    let whole = |row: &[u32]| {
        let logits = model.forward(&tokens(&[row]), None).unwrap();
        values(&logits.narrow(1, row.len() - 1, 1).unwrap())
    };
    let close = |a: &[f32], b: &[f32]| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 2e-5, "{a} {b}"));
    };
    // Row 0 begins with two tokens of padding.
    let mut cache = model.cache_padded(vec![2, 0]);
    let batch = tokens(&[&[0, 0, 4, 8], &[9, 3, 1, 6]]);
    let last = model.forward_last(&batch, Some(&mut cache)).unwrap();
    close(&values(&last.narrow(0, 0, 1).unwrap()), &whole(&[4, 8]));
    close(&values(&last.narrow(0, 1, 1).unwrap()), &whole(&[9, 3, 1, 6]));
    let last = model.forward_last(&tokens(&[&[15, 2], &[2, 2]]), Some(&mut cache)).unwrap();
    close(&values(&last.narrow(0, 0, 1).unwrap()), &whole(&[4, 8, 15, 2]));
    cache.keep_rows(&[0]).unwrap();
    let last = model.forward_last(&tokens(&[&[16]]), Some(&mut cache)).unwrap();
    close(&values(&last), &whole(&[4, 8, 15, 2, 16]));
    assert_eq!((cache.len(), cache.is_empty(), cache.pads()), (7, false, &[2][..]));
    assert!(cache.keep_rows(&[1]).is_err());
}

#[test]
fn bad_tokens_shapes_and_lengths_are_errors() {
    let config = tiny(Architecture::Llama);
    let mut tensors = weights(&config);
    let model = Decoder::from_tensors(&config, &tensors).unwrap();
    assert!(model.forward(&tokens(&[&[1, 23]]), None).is_err(), "token outside the vocabulary");
    let long = vec![1; 65];
    let error = model.forward(&tokens(&[&long]), None).unwrap_err().to_string();
    assert!(error.contains("65 tokens exceed the model's 64 positions"), "{error}");
    let mut cache = model.cache(3);
    assert!(model.forward(&tokens(&[&[1]]), Some(&mut cache)).is_err(), "another batch");
    tensors.insert(
        "model.norm.weight".into(),
        Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap(),
    );
    let error = Decoder::from_tensors(&config, &tensors).unwrap_err().to_string();
    assert!(error.contains("model.norm.weight has shape [3], expected [16]"), "{error}");
    tensors.remove("model.norm.weight");
    let error = Decoder::from_tensors(&config, &tensors).unwrap_err().to_string();
    assert!(error.contains("model.norm.weight is missing"), "{error}");
}

#[test]
fn first_weights_repeat_by_seed_and_count_as_declared() {
    let config = tiny(Architecture::Qwen2);
    let a = init_tensors(&config, 1, &Device::Cpu).unwrap();
    let b = init_tensors(&config, 1, &Device::Cpu).unwrap();
    let c = init_tensors(&config, 2, &Device::Cpu).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    assert_eq!(values(&a[name]), values(&b[name]));
    assert_ne!(values(&a[name]), values(&c[name]));
    let counted: usize = a.values().map(Tensor::elem_count).sum();
    assert_eq!(counted, config.n_parameters());
    let embedding = values(&a["model.embed_tokens.weight"]);
    let n = embedding.len() as f32;
    let sd = (embedding.iter().map(|x| x * x).sum::<f32>() / n).sqrt();
    assert!((sd - 0.02).abs() < 0.003, "{sd}");
}

#[test]
fn config_survives_its_own_json() {
    for architecture in [Architecture::Llama, Architecture::Qwen2] {
        for scaling in [
            RopeScaling::None,
            RopeScaling::Linear { factor: 2.0 },
            RopeScaling::Llama3 {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_positions: 8192,
            },
        ] {
            let config = DecoderConfig {
                rope_scaling: scaling,
                eos_token_ids: vec![2, 3],
                bos_token_id: Some(1),
                ..tiny(architecture)
            };
            let text = config.to_json().to_string();
            assert_eq!(DecoderConfig::from_json(&text).unwrap(), config);
        }
    }
}
