//! SmolLM2-135M-Instruct through llama.cpp: what only a real model shows.

use super::parity::request;
use fs_err as fs;
use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use stillwatch_evidence::Message;
use stillwatch_models::{
    AccessLevel, GgufModel, Model, ModelError, OpenOptions, SampleParams, SampleRequest,
    ScoreRequest, Scored,
};

const FILE: &str = "smollm2-135m-instruct-q4_1.gguf";

/// Where `scripts/models` puts it; `None`, and a line that says so, when it isn't there.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn file() -> Option<PathBuf> {
    let folder = std::env::var_os("STILLWATCH_MODELS").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache/stillwatch/models"))
    })?;
    let path = folder.join(FILE);
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: no {}; run scripts/models", path.display());
    None
}

/// llama.cpp's threads wait by spinning: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(threads: usize) -> Option<GgufModel> {
    let options = OpenOptions { threads, context_max: 1024, ..OpenOptions::default() };
    Some(GgufModel::open(&file()?, &options).expect("a whole file"))
}

fn one(model: &GgufModel, request: &ScoreRequest) -> Scored {
    model.score(std::slice::from_ref(request)).remove(0).expect("a text that fits")
}

fn user(content: &str) -> Vec<Message> {
    vec![Message { role: "user".into(), content: content.into() }]
}

#[test]
fn real_likely_answers_score_higher() {
    let _turn = alone();
    let Some(model) = open(1) else { return };
    assert_eq!(model.access(), AccessLevel::Weights);
    assert!(model.identity().settings.contains("threads per slot 1"));
    let prompt = "What is the capital of France?";
    let good = one(&model, &request(prompt, "The capital of France is Paris."));
    let shuffled = one(&model, &request(prompt, "France of Paris is capital the."));
    assert!(good.log_likelihood() > -8.0, "{good:?}");
    assert!(good.log_likelihood() > shuffled.log_likelihood() + 20.0, "{shuffled:?}");
    assert!(good.token_log_likelihoods.iter().all(|x| x.is_finite() && *x <= 0.0));
}

#[test]
fn real_scores_are_bit_equal_in_any_order_and_company() {
    let _turn = alone();
    let Some(model) = open(1) else { return };
    let mut requests = Vec::new();
    for prompt in ["Name a colour.", "Tell me a story about a lighthouse, please."] {
        for answer in ["Blue.", "Once upon a time there was a light. ", "\u{1f642}", "<|im_end|>"] {
            requests.push(request(prompt, answer));
        }
    }
    let forward = model.score(&requests);
    let mut reversed = requests.clone();
    reversed.reverse();
    let mut backward = model.score(&reversed);
    backward.reverse();
    for ((a, b), r) in forward.iter().zip(&backward).zip(&requests) {
        assert_eq!(a.as_ref().unwrap(), b.as_ref().unwrap(), "{r:?}");
        assert_eq!(a.as_ref().unwrap(), &one(&model, r), "{r:?}");
    }
    let settings = model.identity().settings.clone();
    drop(model);
    let again = open(3).expect("the file is still there");
    assert_eq!(again.identity().settings, settings);
    for (a, b) in again.score(&requests).iter().zip(&forward) {
        assert_eq!(a.as_ref().unwrap(), b.as_ref().unwrap());
    }
}

#[test]
fn real_sum_of_steps_is_the_score() {
    let _turn = alone();
    let Some(model) = open(1) else { return };
    // The score of a whole answer against scores of one token each, where the tokens before
    // it are part of the prompt. A template keeps the prompt apart, so the step is made of
    // differences: log p(ab) - log p(a) is the score of b after a.
    let (a, ab) = ("The sky", "The sky is blue because of scattering.");
    let (a, ab) = (one(&model, &request("Why?", a)), one(&model, &request("Why?", ab)));
    let n = a.n_tokens();
    for (x, y) in a.token_log_likelihoods.iter().zip(&ab.token_log_likelihoods[..n]) {
        // Passes of other lengths round otherwise.
        assert!((x - y).abs() < 0.02, "{x} {y}");
    }
    assert!(ab.n_tokens() > n);
}

#[test]
fn real_long_texts_cross_chunks_and_too_long_ones_are_refused() {
    let _turn = alone();
    let Some(model) = open(1) else { return };
    let word = "light house sea wind ";
    let scored = one(&model, &request("Write.", word.repeat(90).trim_end()));
    assert!(scored.n_tokens() > 300, "{}", scored.n_tokens());
    // Repetition gets likely.
    let tail = &scored.token_log_likelihoods[scored.n_tokens() - 50..];
    assert!(tail.iter().sum::<f64>() / 50.0 > -0.7, "{tail:?}");
    match model.score(&[request("Write.", &word.repeat(400))]).remove(0) {
        Err(ModelError::Request(text)) => assert!(text.contains("the model reads 1024"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(model.score(&[request("a", "")]).remove(0), Err(ModelError::Request(_))));
}

#[test]
fn real_samples_follow_the_scores_and_their_seed() {
    let _turn = alone();
    let Some(model) = open(1) else { return };
    let prompt = "What is the capital of France?";
    let ask = |temperature, seed, max_tokens| {
        let params = SampleParams { temperature, top_p: 1.0, max_tokens, seed };
        SampleRequest { messages: user(prompt), params }
    };
    let sample = |request: SampleRequest| model.sample(&[request]).remove(0).unwrap();
    assert_eq!(sample(ask(1.0, 5, 12)), sample(ask(1.0, 5, 12)));
    assert_ne!(sample(ask(1.5, 5, 12)).text, sample(ask(1.5, 6, 12)).text);
    let first = sample(ask(0.0, 0, 1));
    assert_eq!(first.finish_reason, "length");
    // First tokens come as often as their score says; greedy takes the likeliest.
    let n = 200;
    let firsts = model.sample(&(0..n).map(|seed| ask(1.0, seed, 1)).collect::<Vec<_>>());
    let share = |text: &str| {
        firsts.iter().filter(|f| f.as_ref().unwrap().text == text).count() as f64 / n as f64
    };
    let p = |text: &str| one(&model, &request(prompt, text)).log_likelihood().exp();
    for text in ["The", first.text.as_str()] {
        let p = p(text);
        assert!(p > 0.05 && (share(text) - p).abs() < 4.0 * (p / n as f64).sqrt(), "{text} {p}");
    }
    assert!(p(&first.text) > p("The"));
    let params = SampleParams { temperature: 0.0, top_p: 1.0, max_tokens: 80, seed: 0 };
    let greeted = sample(SampleRequest { messages: user("Hello!"), params });
    assert_eq!(greeted.finish_reason, "stop", "{greeted:?}");
    assert!(!greeted.text.contains("<|im_end|>"), "{greeted:?}");
}

#[test]
fn real_cut_file_is_refused() {
    let _turn = alone();
    let Some(path) = file() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.gguf");
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(bytes.len() - 1000);
    fs::write(&cut, bytes).unwrap();
    match GgufModel::open(&cut, &OpenOptions::default()) {
        Err(ModelError::Unusable { message, .. }) => {
            assert!(message.contains("cut.gguf: cut off"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn real_speed_is_told() {
    let _turn = alone();
    let Some(model) = open(2) else { return };
    let requests: Vec<ScoreRequest> = (0..8)
        .map(|i| {
            request(&format!("Question {i}: why?"), &"Because the wind is in the west. ".repeat(8))
        })
        .collect();
    let start = Instant::now();
    let n: usize = model.score(&requests).into_iter().map(|r| r.unwrap().n_tokens()).sum();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "SmolLM2, two slots: {n} answer tokens in {seconds:.2} s, {:.0} tokens/s",
        n as f64 / seconds
    );
    assert!(n > 500);
}
