//! Forward and backward pass against two oracles: candle's autograd through the decoder that
//! scores models, and finite differences in f64 steps.

use candle_core::{D, Device, Tensor, Var};
use std::collections::BTreeMap;
use stillwatch_lab::network::{
    Batch, NORM_EPSILON, Network, NetworkConfig, ROPE_THETA, fresh_weights,
};
use stillwatch_models::decoder::{Architecture, Decoder, DecoderConfig, RopeScaling};

fn config() -> NetworkConfig {
    NetworkConfig {
        vocab_size: 19,
        hidden_size: 12,
        intermediate_size: 20,
        n_layers: 2,
        n_heads: 3,
        max_positions: 8,
    }
}

/// Weights away from their symmetric start, so that no gradient is zero by accident.
fn weights(config: &NetworkConfig) -> Vec<f32> {
    let mut weights = fresh_weights(config, 7).expect("valid sizes");
    for (i, w) in weights.iter_mut().enumerate() {
        *w = *w * 4.0 + 0.05 * ((i % 13) as f32 - 6.0) / 6.0;
    }
    weights
}

fn batch() -> Batch {
    let (n_sequences, length) = (3, 6);
    let n = n_sequences * length;
    Batch {
        tokens: (0..18).map(|i| i * 7 % 19).collect(),
        targets: (0..18).map(|i| i * 5 % 19).collect(),
        weights: (0..n).map(|i| if i % 6 == 5 { 0.0 } else { 1.0 }).collect(),
        n_sequences,
        length,
    }
}

fn decoder_config(c: &NetworkConfig) -> DecoderConfig {
    DecoderConfig {
        architecture: Architecture::Llama,
        vocab_size: c.vocab_size,
        hidden_size: c.hidden_size,
        intermediate_size: c.intermediate_size,
        num_hidden_layers: c.n_layers,
        num_attention_heads: c.n_heads,
        num_key_value_heads: c.n_heads,
        head_dim: c.head_size(),
        max_position_embeddings: c.max_positions,
        rms_norm_eps: NORM_EPSILON,
        rope_theta: ROPE_THETA,
        rope_scaling: RopeScaling::None,
        tie_word_embeddings: true,
        qkv_bias: false,
        out_bias: false,
        bos_token_id: None,
        eos_token_ids: vec![],
    }
}

#[test]
fn agrees_with_candle_forward_and_backward() {
    let c = config();
    let weights = weights(&c);
    let mut vars = BTreeMap::new();
    for tensor in c.tensors() {
        let values = Tensor::from_slice(&weights[tensor.range], tensor.shape, &Device::Cpu);
        vars.insert(tensor.name, Var::from_tensor(&values.unwrap()).unwrap());
    }
    let tensors = vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
    let decoder = Decoder::from_tensors(&decoder_config(&c), &tensors).unwrap();
    let batch = batch();
    let tokens = Tensor::from_slice(&batch.tokens, (3, 6), &Device::Cpu).unwrap();
    let logits = decoder.forward(&tokens, None).unwrap().reshape((18, 19)).unwrap();

    let mut network = Network::new(c.clone(), weights).unwrap();
    let ours = network.logits(&batch).unwrap();
    let theirs: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() < 1e-4, "logit {a}, candle {b}");
    }

    let log_p = candle_nn::ops::log_softmax(&logits, D::Minus1).unwrap();
    let targets = Tensor::from_slice(&batch.targets, (18, 1), &Device::Cpu).unwrap();
    let wanted = log_p.gather(&targets, 1).unwrap().squeeze(1).unwrap();
    let mask = Tensor::from_slice(&batch.weights, 18, &Device::Cpu).unwrap();
    let loss = ((wanted * mask).unwrap().sum_all().unwrap() * (-1.0 / 15.0)).unwrap();
    let grads = loss.backward().unwrap();
    let ours = network.loss_and_gradient(&batch).unwrap();
    assert!((ours - f64::from(loss.to_scalar::<f32>().unwrap())).abs() < 1e-5);
    for tensor in c.tensors() {
        let grad = grads.get(vars[&tensor.name].as_tensor()).expect("candle has a gradient");
        let theirs: Vec<f32> = grad.flatten_all().unwrap().to_vec1().unwrap();
        let ours = &network.gradient()[tensor.range];
        let size = theirs.iter().fold(0f32, |m, g| m.max(g.abs()));
        assert!(size > 0.0, "{}: candle's gradient is zero", tensor.name);
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() < 1e-4 * size.max(1e-2), "{}: {a}, candle {b}", tensor.name);
        }
    }
}

#[test]
fn agrees_with_finite_differences_in_every_tensor() {
    let c = config();
    let weights = weights(&c);
    let batch = batch();
    let mut network = Network::new(c.clone(), weights.clone()).unwrap();
    network.loss_and_gradient(&batch).unwrap();
    let gradient = network.gradient().to_vec();
    let step = 4e-3f32;
    for tensor in c.tensors() {
        // The three weights of the tensor with the largest gradient, where f32 differences say most.
        let mut places: Vec<usize> = tensor.range.collect();
        places.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
        for &at in places.iter().take(3) {
            let mut loss_at = |delta: f32| {
                let mut moved = weights.clone();
                moved[at] += delta;
                network.set_weights(&moved).unwrap();
                network.loss(&batch).unwrap()
            };
            // Central difference of order 4.
            let slope = (8.0 * (loss_at(step) - loss_at(-step))
                - (loss_at(2.0 * step) - loss_at(-2.0 * step)))
                / (12.0 * f64::from(step));
            let ours = f64::from(gradient[at]);
            assert!(
                (slope - ours).abs() < 2e-2 * slope.abs().max(2e-3),
                "{} at {at}: {ours}, finite difference {slope}",
                tensor.name
            );
        }
    }
}

#[test]
fn padding_and_order_of_sequences_change_nothing() {
    let c = config();
    let mut network = Network::new(c.clone(), weights(&c)).unwrap();
    let short = Batch {
        tokens: vec![3, 1, 4, 1],
        targets: vec![1, 4, 1, 5],
        weights: vec![1.0; 4],
        n_sequences: 1,
        length: 4,
    };
    let padded = Batch {
        tokens: vec![3, 1, 4, 1, 0, 0],
        targets: vec![1, 4, 1, 5, 0, 0],
        weights: vec![1.0, 1.0, 1.0, 1.0, 0.0, 0.0],
        n_sequences: 1,
        length: 6,
    };
    let a = network.loss_and_gradient(&short).unwrap();
    let gradient = network.gradient().to_vec();
    let b = network.loss_and_gradient(&padded).unwrap();
    assert!((a - b).abs() < 1e-6);
    for (x, y) in gradient.iter().zip(network.gradient()) {
        assert!((x - y).abs() < 1e-5);
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let c = config();
    let bad = [
        NetworkConfig { vocab_size: 0, ..c.clone() },
        NetworkConfig { n_layers: 0, ..c.clone() },
        NetworkConfig { hidden_size: 13, ..c.clone() },
        NetworkConfig { n_heads: 0, ..c.clone() },
        NetworkConfig { max_positions: 0, ..c.clone() },
    ];
    for config in bad {
        assert!(fresh_weights(&config, 0).is_err(), "{config:?}");
    }
    assert!(Network::new(c.clone(), vec![0.0; 3]).is_err());
    let mut network = Network::new(c.clone(), weights(&c)).unwrap();
    let good = batch();
    let bad = [
        Batch { tokens: vec![99; 18], ..good.clone() },
        Batch { targets: vec![19; 18], ..good.clone() },
        Batch { targets: vec![0; 17], ..good.clone() },
        Batch { weights: vec![0.0; 18], ..good.clone() },
        Batch { n_sequences: 1, length: 18, ..good.clone() },
        Batch { n_sequences: 0, tokens: vec![], targets: vec![], weights: vec![], length: 0 },
    ];
    for batch in bad {
        assert!(network.loss_and_gradient(&batch).is_err());
    }
}
