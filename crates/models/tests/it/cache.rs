//! The score cache: a second run asks nothing, an interrupted one goes on.

use fs_err as fs;
use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use stillwatch_evidence::{Message, Progress, Silent};
use stillwatch_models::{
    AccessLevel, Model, ModelError, ModelIdentity, SampleRequest, Sampled, ScoreCache,
    ScoreRequest, Scored, score_cached,
};

/// A model that remembers what it was asked, and fails on demand. Real models don't.
struct Fake {
    identity: ModelIdentity,
    asked: Mutex<Vec<String>>,
    lost_at: usize,
}

impl Fake {
    fn new(lost_at: usize) -> Self {
        let identity = ModelIdentity {
            spec: "fake".into(),
            model_hash: "m".into(),
            template_hash: "t".into(),
            settings: "s".into(),
        };
        Self { identity, asked: Mutex::default(), lost_at }
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("one thread").len()
    }
}

impl Model for Fake {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn access(&self) -> AccessLevel {
        AccessLevel::Logprobs
    }

    fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>> {
        let mut asked = self.asked.lock().expect("one thread");
        requests
            .iter()
            .map(|request| {
                asked.push(request.answer.clone());
                if asked.len() > self.lost_at {
                    return Err(ModelError::Lost("gone".into()));
                }
                if request.answer.is_empty() {
                    return Err(ModelError::Request("empty".into()));
                }
                let n = request.answer.len() as f64;
                Ok(Scored { token_log_likelihoods: vec![-n / 3.0, -0.1] })
            })
            .collect()
    }

    fn sample(&self, _requests: &[SampleRequest]) -> Vec<Result<Sampled, ModelError>> {
        Vec::new()
    }
}

fn requests(n: usize) -> Vec<ScoreRequest> {
    (0..n)
        .map(|i| ScoreRequest {
            messages: vec![Message { role: "user".into(), content: "q".into() }],
            answer: format!("answer {i}"),
        })
        .collect()
}

#[derive(Default)]
struct Count(AtomicU64);

impl Progress for Count {
    fn begin(&self, _step: &str, _total: u64) {}
    fn advance(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    fn end(&self) {}
    fn note(&self, _line: &str) {}
}

#[test]
fn a_second_run_asks_nothing_and_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.jsonl");
    let (model, mut asked) = (Fake::new(usize::MAX), requests(100));
    asked.extend(requests(3)); // repeated texts are asked once
    let count = Count::default();
    let first = score_cached(&model, &mut ScoreCache::open(&path).unwrap(), &asked, &count);
    assert_eq!((model.asked(), count.0.load(Relaxed)), (100, 103));
    let mut cache = ScoreCache::open(&path).unwrap();
    assert_eq!((cache.len(), cache.is_empty()), (100, false));
    let second = score_cached(&model, &mut cache, &asked, &Silent);
    assert_eq!(model.asked(), 100);
    let bits = |results: Vec<Result<Scored, ModelError>>| -> Vec<Vec<f64>> {
        results.into_iter().map(|r| r.unwrap().token_log_likelihoods).collect()
    };
    assert_eq!(bits(first), bits(second));
    assert!(cache.get(&model.identity, &asked[5]).is_some());
}

#[test]
fn everything_that_decides_a_score_is_in_its_key() {
    let model = Fake::new(usize::MAX);
    let mut cache = ScoreCache::in_memory();
    let asked = requests(1);
    score_cached(&model, &mut cache, &asked, &Silent);
    let known =
        |identity: &ModelIdentity, request: &ScoreRequest| cache.get(identity, request).is_some();
    assert!(known(&model.identity, &asked[0]));
    let change = |edit: fn(&mut ModelIdentity)| {
        let mut identity = model.identity.clone();
        edit(&mut identity);
        identity
    };
    assert!(!known(&change(|i| i.model_hash = "x".into()), &asked[0]));
    assert!(!known(&change(|i| i.template_hash = "x".into()), &asked[0]));
    assert!(!known(&change(|i| i.settings = "x".into()), &asked[0]));
    // The name of the file is no part of the model.
    assert!(known(&change(|i| i.spec = "x".into()), &asked[0]));
    let mut other = asked[0].clone();
    other.messages[0].role = "system".into();
    assert!(!known(&model.identity, &other));
    let mut other = asked[0].clone();
    other.answer.push(' ');
    assert!(!known(&model.identity, &other));
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.jsonl");
    let asked = requests(200);
    let flaky = Fake::new(70);
    let results = score_cached(&flaky, &mut ScoreCache::open(&path).unwrap(), &asked, &Silent);
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 70);
    assert!(matches!(&results[199], Err(ModelError::Lost(_))));
    assert!(flaky.asked() < 200, "nothing more is asked of a lost endpoint");
    // A write that was cut off.
    let mut text = fs::read_to_string(&path).unwrap();
    text.truncate(text.len() - 10);
    fs::write(&path, &text).unwrap();
    let mut cache = ScoreCache::open(&path).unwrap();
    assert_eq!(cache.len(), 69);
    let model = Fake::new(usize::MAX);
    assert!(score_cached(&model, &mut cache, &asked, &Silent).iter().all(Result::is_ok));
    assert_eq!(model.asked(), 131);
    assert_eq!(ScoreCache::open(&path).unwrap().len(), 200);
}

#[test]
fn a_refused_text_does_not_stop_the_others() {
    let model = Fake::new(usize::MAX);
    let mut asked = requests(3);
    asked[1].answer = String::new();
    let results = score_cached(&model, &mut ScoreCache::in_memory(), &asked, &Silent);
    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(matches!(&results[1], Err(ModelError::Request(_))));
}

#[test]
fn a_damaged_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.jsonl");
    fs::write(&path, "{\"key\":\"a\",\"token_log_likelihoods\":[-1.5]}\n{\"key\":\"b\"}\n")
        .unwrap();
    let error = ScoreCache::open(&path).unwrap_err().to_string();
    assert!(error.contains("scores.jsonl: line 2"), "{error}");
    let error = ScoreCache::open(folder.path()).unwrap_err().to_string();
    assert!(!error.is_empty());
}
