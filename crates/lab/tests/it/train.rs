//! The training loop: it learns, repeats, resumes bit for bit, and stops at numbers that are none.

use stillwatch_evidence::Silent;
use stillwatch_lab::LabError;
use stillwatch_lab::network::{Network, NetworkConfig, fresh_weights};
use stillwatch_lab::optimizer::{AdamW, AdamWParams, cosine_schedule, norm};
use stillwatch_lab::train::{Example, KeepParams, TrainParams, Trainer, collate};

fn config() -> NetworkConfig {
    NetworkConfig {
        vocab_size: 32,
        hidden_size: 16,
        intermediate_size: 24,
        n_layers: 2,
        n_heads: 2,
        max_positions: 12,
    }
}

fn network() -> Network {
    Network::new(config(), fresh_weights(&config(), 3).expect("valid")).expect("valid")
}

fn examples() -> Vec<Example> {
    (0..21u32)
        .map(|i| Example {
            tokens: (0..6 + i % 5).map(|j| (i * 3 + j * j * 5 + i * j) % 32).collect(),
            learn_from: 1 + (i % 3) as usize,
        })
        .collect()
}

fn params() -> TrainParams {
    TrainParams { n_epochs: 3, batch_size: 4, learning_rate: 5e-3, seed: 11, ..Default::default() }
}

#[test]
fn every_tensor_has_a_gradient_and_moves_in_the_first_step() {
    let examples = examples();
    let mut trainer = Trainer::new(network(), &examples, params()).unwrap();
    let before = trainer.network().weights().to_vec();
    trainer.step().unwrap();
    for tensor in config().tensors() {
        let gradient = &trainer.network().gradient()[tensor.range.clone()];
        assert!(norm(gradient) > 0.0, "{} has no gradient", tensor.name);
        let after = &trainer.network().weights()[tensor.range.clone()];
        assert_ne!(after, &before[tensor.range], "{} did not move", tensor.name);
    }
}

#[test]
fn learns_its_examples_by_heart() {
    let examples = examples();
    let long = TrainParams { n_epochs: 150, ..params() };
    let mut trainer = Trainer::new(network(), &examples, long).unwrap();
    let report = trainer.run(&Silent).unwrap();
    assert_eq!(report.n_steps, 150 * 6);
    assert!(report.final_loss < 0.3, "{report:?}");
}

#[test]
fn same_seed_same_bits_other_seed_others() {
    let examples = examples();
    let run = |seed| {
        let mut trainer =
            Trainer::new(network(), &examples, TrainParams { seed, ..params() }).unwrap();
        trainer.run(&Silent).unwrap();
        trainer.into_network().weights().to_vec()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    // On another thread, beside another training.
    let beside = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(2));
        let one = scope.spawn(|| run(1)).join().unwrap();
        other.join().unwrap();
        one
    });
    assert_eq!(run(1), beside);
}

#[test]
fn resumes_bit_for_bit_from_any_step() {
    let examples = examples();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let mut whole = Trainer::new(network(), &examples, params()).unwrap();
    whole.run(&Silent).unwrap();
    for stop in [1, 5, 6, 7, 17] {
        let mut first = Trainer::new(network(), &examples, params()).unwrap();
        for _ in 0..stop {
            first.step().unwrap();
        }
        first.save(&path).unwrap();
        let mut second = Trainer::new(network(), &examples, params()).unwrap();
        second.resume(&path).unwrap();
        assert_eq!(second.n_done(), stop);
        second.run(&Silent).unwrap();
        assert_eq!(second.network().weights(), whole.network().weights(), "stopped at {stop}");
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let examples = examples();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    Trainer::new(network(), &examples, params()).unwrap().save(&path).unwrap();
    let mut other_data = examples.clone();
    other_data[20].tokens[0] ^= 1;
    let refused = |result: Result<(), LabError>, expected: &str| match result {
        Err(LabError::Checkpoint { field, .. }) => assert_eq!(field, expected),
        other => panic!("{other:?}"),
    };
    let mut trainer = Trainer::new(network(), &other_data, params()).unwrap();
    refused(trainer.resume(&path), "data_sha256");
    let other = TrainParams { seed: 12, ..params() };
    let mut trainer = Trainer::new(network(), &examples, other).unwrap();
    refused(trainer.resume(&path), "params");
    let other = NetworkConfig { n_heads: 4, ..config() };
    let weights = fresh_weights(&other, 3).unwrap();
    let mut trainer =
        Trainer::new(Network::new(other, weights).unwrap(), &examples, params()).unwrap();
    refused(trainer.resume(&path), "network");

    let mut trainer = Trainer::new(network(), &examples, params()).unwrap();
    let bytes = fs_err::read(&path).unwrap();
    for cut in [0, 7, 100, bytes.len() - 1] {
        fs_err::write(&path, &bytes[..cut]).unwrap();
        let error = trainer.resume(&path).unwrap_err();
        assert!(matches!(error, LabError::Format { .. }), "cut at {cut}: {error}");
    }
    let missing = trainer.resume(&folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, LabError::Io(_)));
}

#[test]
fn stops_at_the_last_good_step_when_the_loss_is_no_number() {
    let examples = examples();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let wild = TrainParams {
        learning_rate: 1e30,
        optimizer: AdamWParams { weight_decay: 0.0, ..AdamWParams::default() },
        ..params()
    };
    let keep = KeepParams { path: path.clone(), every_steps: 1000 };
    let mut trainer = Trainer::new(network(), &examples, wild.clone()).unwrap().keep(keep);
    let error = trainer.run(&Silent).unwrap_err();
    let LabError::NotFinite { step, checkpoint, .. } = &error else { panic!("{error}") };
    assert!(*step >= 1);
    assert_eq!(checkpoint.as_deref(), Some(path.as_path()));
    assert!(error.to_string().contains("state.safetensors"), "{error}");
    // The file holds the state before the step that failed.
    let mut again = Trainer::new(network(), &examples, wild).unwrap();
    again.resume(&path).unwrap();
    assert_eq!(again.n_done(), *step);
    assert_eq!(again.network().weights(), trainer.network().weights());
    assert!(again.network().weights().iter().all(|w| w.is_finite()));
}

#[test]
fn refuses_parameters_and_data_that_make_no_sense() {
    let examples = examples();
    let bad = [
        TrainParams { n_epochs: 0, ..params() },
        TrainParams { batch_size: 0, ..params() },
        TrainParams { learning_rate: 0.0, ..params() },
        TrainParams { learning_rate: f64::NAN, ..params() },
        TrainParams { warmup: 1.5, ..params() },
        TrainParams { floor: -0.1, ..params() },
        TrainParams { optimizer: AdamWParams { beta2: 1.0, ..AdamWParams::default() }, ..params() },
        TrainParams {
            optimizer: AdamWParams { clip_norm: f64::NAN, ..AdamWParams::default() },
            ..params()
        },
    ];
    for params in bad {
        let error = Trainer::new(network(), &examples, params.clone()).unwrap_err();
        assert!(matches!(error, LabError::Parameter { .. }), "{params:?}: {error}");
    }
    let bad = [
        vec![],
        vec![Example { tokens: vec![1], learn_from: 0 }],
        vec![Example { tokens: vec![1, 2], learn_from: 2 }],
        vec![Example { tokens: vec![1; 14], learn_from: 1 }],
    ];
    for examples in bad {
        assert!(matches!(Trainer::new(network(), &examples, params()), Err(LabError::Data(_))));
    }
    let foreign = vec![Example { tokens: vec![1, 32], learn_from: 1 }];
    let mut trainer = Trainer::new(network(), &foreign, params()).unwrap();
    assert!(matches!(trainer.step(), Err(LabError::Data(_))));
}

#[test]
fn batches_pad_at_the_end_and_learn_what_was_asked() {
    let batch = collate(
        [
            Example { tokens: vec![5, 6, 7], learn_from: 2 },
            Example { tokens: vec![1, 2, 3, 4, 5], learn_from: 1 },
        ]
        .iter(),
    );
    assert_eq!((batch.n_sequences, batch.length), (2, 4));
    assert_eq!(batch.tokens, [5, 6, 0, 0, 1, 2, 3, 4]);
    assert_eq!(batch.targets, [6, 7, 0, 0, 2, 3, 4, 5]);
    assert_eq!(batch.weights, [0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn adamw_follows_the_paper() {
    // Two updates of one weight by algorithm 2 of Loshchilov and Hutter (2019), in f64 by hand.
    let params =
        AdamWParams { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1, clip_norm: 1.0 };
    let mut adam = AdamW::new(1, params);
    let mut weights = [2.0f32];
    let (mut w, mut m, mut v) = (2.0f64, 0.0, 0.0);
    for (t, raw) in [(1, 0.5f32), (2, 4.0)] {
        let g = f64::from(raw);
        let clipped = g.min(1.0);
        m = 0.9 * m + 0.1 * clipped;
        v = 0.99 * v + 0.01 * clipped * clipped;
        let hat = (m / (1.0 - 0.9f64.powi(t))) / ((v / (1.0 - 0.99f64.powi(t))).sqrt() + 1e-8);
        w = w * (1.0 - 0.01 * 0.1) - 0.01 * hat;
        adam.update(&mut weights, &[raw], g, 0.01);
        assert!((f64::from(weights[0]) - w).abs() < 1e-6, "{} {w}", weights[0]);
    }
}

#[test]
fn the_schedule_warms_up_and_falls_along_a_cosine() {
    let at = |step| cosine_schedule(step, 110, 10, 1.0, 0.1);
    assert!((at(0) - 0.1).abs() < 1e-12);
    assert!((at(9) - 1.0).abs() < 1e-12);
    assert!((at(10) - 1.0).abs() < 1e-12);
    assert!((at(60) - 0.55).abs() < 1e-12);
    assert!((at(110) - 0.1).abs() < 1e-12);
}
