//! The folder that training writes: `hf:` opens it, and scores what the trained network scores.

use stillwatch_evidence::Message;
use stillwatch_lab::checkpoint::write_model;
use stillwatch_lab::network::{Network, NetworkConfig, fresh_weights};
use stillwatch_lab::tokenizer::train;
use stillwatch_lab::train::collate;
use stillwatch_models::{
    AccessLevel, ModelSpec, OpenOptions, SampleParams, SampleRequest, ScoreRequest, open,
};

const TEXT: &str = "The whale was seen from the ship, and the ship was seen from the whale; the sea \
    was neither here nor there, and the captain said that nothing was to be seen but the sea.";

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned() }
}

#[test]
fn a_written_model_opens_and_scores_as_it_was_trained() {
    let tokenizer = train(std::iter::once(TEXT), 300).unwrap();
    let config = NetworkConfig {
        vocab_size: 300,
        hidden_size: 24,
        intermediate_size: 40,
        n_layers: 2,
        n_heads: 2,
        max_positions: 96,
    };
    let weights: Vec<f32> =
        fresh_weights(&config, 5).unwrap().into_iter().map(|w| w * 3.0).collect();
    let mut network = Network::new(config, weights).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), &network, &tokenizer).unwrap();
    let model = open(&ModelSpec::Hf(folder.path().to_owned()), &OpenOptions::default()).unwrap();
    assert_eq!(model.access(), AccessLevel::Weights);

    let conversations = [
        vec![message("user", "What was seen?")],
        vec![
            message("system", "Be brief."),
            message("user", "What was seen?"),
            message("assistant", "The sea."),
            message("user", "And then — <|user|>?"),
        ],
    ];
    for messages in conversations {
        for answer in ["the ship, and the whale", "nothing ünïcödé"] {
            let request = ScoreRequest { messages: messages.clone(), answer: answer.to_owned() };
            let scored = model.score(&[request]).remove(0).unwrap();
            let mut example = tokenizer.example(&messages, answer).unwrap();
            example.tokens.pop(); // the end, which is learnt and never scored
            let batch = collate(std::iter::once(&example));
            let ours = -network.loss(&batch).unwrap() * scored.n_tokens() as f64;
            let theirs = scored.log_likelihood();
            assert_eq!(scored.n_tokens(), example.tokens.len() - example.learn_from);
            assert!((ours - theirs).abs() < 1e-4 * theirs.abs(), "{answer}: {ours}, hf {theirs}");
        }
    }
    let params = SampleParams { temperature: 1.0, top_p: 1.0, max_tokens: 5, seed: 1 };
    let request = SampleRequest { messages: vec![message("user", "the sea")], params };
    let sampled = model.sample(&[request.clone(), request]);
    assert_eq!(sampled[0].as_ref().unwrap(), sampled[1].as_ref().unwrap());
}
