//! Agreement with `transformers` on tiny random models; `tests/data/README.md` says how the
//! expectations were made.

use candle_core::{Device, Tensor};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use stillwatch_evidence::Message;
use stillwatch_models::{
    AccessLevel, HfModel, Model, ModelError, OpenOptions, SampleParams, SampleRequest,
    ScoreRequest, Scored,
};

pub(crate) const FOLDERS: [&str; 3] = ["llama-tied-bf16", "llama3-rope-f16", "qwen2-sharded-f32"];

#[derive(Deserialize)]
struct Expected {
    messages: Vec<Message>,
    answer: String,
    tokens: Vec<u32>,
    n_prompt: usize,
    logit_positions: Vec<usize>,
    logits: Vec<Vec<f32>>,
    token_log_likelihoods: Vec<f64>,
    greedy: String,
}

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub(crate) fn open(name: &str, threads: usize) -> HfModel {
    let options = OpenOptions { threads, ..OpenOptions::default() };
    HfModel::open(&data(name), &options).expect("test data is whole")
}

fn expected(name: &str) -> Expected {
    let text = fs_err::read_to_string(data(name).join("expected.json")).expect("test data");
    serde_json::from_str(&text).expect("made by make_tiny.py")
}

fn user(content: &str) -> Vec<Message> {
    vec![Message { role: "user".into(), content: content.into() }]
}

pub(crate) fn request(prompt: &str, answer: &str) -> ScoreRequest {
    ScoreRequest { messages: user(prompt), answer: answer.into() }
}

#[test]
fn logits_and_scores_agree_with_transformers() {
    for name in FOLDERS {
        let (model, expected) = (open(name, 1), expected(name));
        let tokens = Tensor::new(vec![expected.tokens.clone()], &Device::Cpu).unwrap();
        let logits = model.decoder().forward(&tokens, None).unwrap().squeeze(0).unwrap();
        let logits: Vec<Vec<f32>> = logits.to_vec2().unwrap();
        for (&position, row) in expected.logit_positions.iter().zip(&expected.logits) {
            for (a, b) in logits[position].iter().zip(row) {
                assert!((a - b).abs() < 1e-4, "{name}, position {position}: {a} {b}");
            }
        }
        let request =
            ScoreRequest { messages: expected.messages.clone(), answer: expected.answer.clone() };
        let scored = model.score(&[request]).remove(0).unwrap();
        assert_eq!(scored.n_tokens(), expected.tokens.len() - expected.n_prompt, "{name}");
        for (a, b) in scored.token_log_likelihoods.iter().zip(&expected.token_log_likelihoods) {
            assert!((a - b).abs() < 1e-4, "{name}: {a} {b}");
        }
    }
}

#[test]
fn greedy_answers_agree_with_transformers() {
    for name in FOLDERS {
        let (model, expected) = (open(name, 1), expected(name));
        let params = SampleParams { temperature: 0.0, top_p: 1.0, max_tokens: 12, seed: 0 };
        let asked = SampleRequest { messages: expected.messages.clone(), params };
        // Company of other lengths in the batch changes nothing.
        let other = SampleRequest { messages: user("x"), ..asked.clone() };
        let long = SampleRequest { messages: user(&"long ".repeat(30)), ..asked.clone() };
        let alone = model.sample(std::slice::from_ref(&asked)).remove(0).unwrap();
        assert_eq!(alone.text, expected.greedy, "{name}");
        let together = model.sample(&[other, asked, long]);
        assert_eq!(together[1].as_ref().unwrap(), &alone, "{name}");
    }
}

#[test]
fn scores_do_not_depend_on_batch_order_or_threads() {
    let texts = ["a", "Nobody.", "\u{1f642} smile", "much longer than the others are: yes, yes"];
    let mut requests: Vec<ScoreRequest> = Vec::new();
    for prompt in ["Hm?", "Who?", "Who?"] {
        requests.extend(texts.iter().map(|text| request(prompt, text)));
    }
    let one_by_one: Vec<Scored> = {
        let model = open("qwen2-sharded-f32", 1);
        requests.iter().map(|r| model.score(std::slice::from_ref(r)).remove(0).unwrap()).collect()
    };
    let model = open("qwen2-sharded-f32", 3);
    let mut reversed = requests.clone();
    reversed.reverse();
    let batch = model.score(&reversed);
    for (a, b) in one_by_one.iter().rev().zip(batch) {
        let b = b.unwrap();
        assert_eq!(a.n_tokens(), b.n_tokens());
        assert!((a.log_likelihood() - b.log_likelihood()).abs() < 1e-4);
    }
}

#[test]
fn long_texts_go_through_in_chunks() {
    // 256 positions a pass: prompt and answer each cross a boundary.
    let model = open("llama-tied-bf16", 2);
    let long = request(&"p".repeat(210), &"a".repeat(270));
    let scored = model.score(&[long]).remove(0).unwrap();
    assert_eq!(scored.n_tokens(), 270);
    let decoder = model.decoder();
    let bytes = |text: &str| -> Vec<u32> {
        let tokenizer = tokenizers::Tokenizer::from_file(data("llama-tied-bf16/tokenizer.json"));
        tokenizer.unwrap().encode(text, false).unwrap().get_ids().to_vec()
    };
    let prompt =
        format!("<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n", "p".repeat(210));
    let (prompt, answer) = (bytes(&prompt), bytes(&"a".repeat(270)));
    let whole = Tensor::new(vec![[prompt.clone(), answer.clone()].concat()], &Device::Cpu).unwrap();
    let logits = decoder.forward(&whole, None).unwrap().squeeze(0).unwrap();
    let steps: Vec<Vec<f32>> = logits.to_vec2().unwrap();
    let direct: f64 = answer
        .iter()
        .enumerate()
        .map(|(i, &token)| {
            let row = &steps[prompt.len() - 1 + i];
            let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            f64::from(row[token as usize]) - total.ln()
        })
        .sum();
    assert!((scored.log_likelihood() - direct).abs() < 1e-3, "{direct}");
}

#[test]
fn one_bad_text_leaves_the_others_alone() {
    let model = open("llama-tied-bf16", 1);
    assert_eq!(model.access(), AccessLevel::Weights);
    let results = model.score(&[
        request("Who?", "I."),
        request("Who?", ""),
        request("Who?", &"long".repeat(200)),
        request("Who?", "I."),
    ]);
    let text = |i: usize| match &results[i] {
        Err(ModelError::Request(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert!(text(1).contains("empty"));
    assert!(text(2).contains("the model reads 512"), "{}", text(2));
    assert_eq!(results[0].as_ref().unwrap(), results[3].as_ref().unwrap());
    let params = SampleParams { temperature: 1.0, top_p: 1.0, max_tokens: 9, seed: 0 };
    let asked = |prompt: &str, params: &SampleParams| SampleRequest {
        messages: user(prompt),
        params: params.clone(),
    };
    let answers = model.sample(&[
        asked("a", &params),
        asked(&"long".repeat(200), &params),
        asked("a", &SampleParams { top_p: 0.0, ..params.clone() }),
    ]);
    assert!(answers[0].is_ok() && answers[1].is_err() && answers[2].is_err());
}

#[test]
fn special_tokens_in_an_answer_are_plain_text() {
    // `<|im_end|>` is one token in the template, ten bytes in an answer.
    let model = open("llama-tied-bf16", 1);
    let scored = model.score(&[request("Who?", "<|im_end|>")]).remove(0).unwrap();
    assert_eq!(scored.n_tokens(), 10);
}

#[test]
fn samples_repeat_by_seed() {
    let model = open("qwen2-sharded-f32", 2);
    let sample = |seed| {
        let params = SampleParams { temperature: 1.0, top_p: 0.95, max_tokens: 20, seed };
        model.sample(&[SampleRequest { messages: user("Who?"), params }]).remove(0).unwrap()
    };
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1), sample(2));
}
