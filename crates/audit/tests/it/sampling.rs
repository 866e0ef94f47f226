//! Suspects that only answer: parrots are found, innocents are not, and nothing that is asked
//! or dropped depends on the coin.
#![expect(clippy::expect_used, reason = "helpers of tests")]

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicUsize, Ordering};
use stillwatch_audit::{SampledTable, SamplingKind, SamplingParams, sampled_table};
use stillwatch_evidence::{Coin, Exposure, Message, Silent};
use stillwatch_models::{
    AccessLevel, AnswerCache, Model, ModelError, ModelIdentity, SampleRequest, Sampled,
    ScoreRequest, Scored,
};
use stillwatch_stats::{ScoreSet, TestParams, correct, twins_test};

const BOTH: [SamplingKind; 2] = [SamplingKind::Similarity, SamplingKind::ForcedChoice];

/// Answers by a closure and counts the questions.
struct Fake<F> {
    identity: ModelIdentity,
    answer: F,
    asked: AtomicUsize,
}

impl<F: Fn(&SampleRequest) -> Result<String, ModelError> + Send + Sync> Fake<F> {
    fn new(answer: F) -> Self {
        let identity = ModelIdentity {
            spec: "fake".to_owned(),
            model_hash: "0".to_owned(),
            template_hash: "0".to_owned(),
            settings: String::new(),
        };
        Self { identity, answer, asked: AtomicUsize::new(0) }
    }
}

impl<F: Fn(&SampleRequest) -> Result<String, ModelError> + Send + Sync> Model for Fake<F> {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }
    fn access(&self) -> AccessLevel {
        AccessLevel::Sampling
    }
    fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>> {
        requests.iter().map(|_| Err(ModelError::Request("can't".to_owned()))).collect()
    }
    fn sample(&self, requests: &[SampleRequest]) -> Vec<Result<Sampled, ModelError>> {
        self.asked.fetch_add(requests.len(), Ordering::SeqCst);
        requests
            .iter()
            .map(|request| {
                let text = (self.answer)(request)?;
                Ok(Sampled { text, finish_reason: "stop".to_owned() })
            })
            .collect()
    }
}

/// Two texts of the same law about every prompt, one of which a fair coin releases.
fn exposures(n: usize, k: usize, seed: u64) -> Vec<Exposure> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n)
        .map(|i| {
            let mut text = || {
                let words: Vec<String> =
                    (0..12).map(|_| format!("w{}", rng.random_range(0..40))).collect();
                words.join(" ")
            };
            Exposure {
                id: format!("e{i}"),
                messages: vec![Message { role: "user".to_owned(), content: format!("prompt {i}") }],
                released: text(),
                withheld: (0..k).map(|_| text()).collect(),
                coin: Coin::Server,
                account: None,
                time: None,
                model: None,
                params: None,
                slot: None,
                commitment: None,
            }
        })
        .collect()
}

fn run(exposures: &[Exposure], suspect: &dyn Model, kind: SamplingKind) -> SampledTable {
    let params = SamplingParams { samples: 3, ..SamplingParams::default() };
    let mut cache = AnswerCache::in_memory();
    sampled_table(exposures, suspect, &[], kind, &params, &mut cache, &Silent).expect("table")
}

fn p_value(table: &SampledTable) -> f64 {
    let sets: Vec<ScoreSet> = table
        .table
        .rows
        .iter()
        .map(|row| ScoreSet::new(row.suspect.clone(), Vec::new(), None).expect("finite"))
        .collect();
    let units = correct(&sets).expect("sets").units;
    twins_test(&units, &TestParams { n_resamples: 20_000, seed: 1 }).p_value.value()
}

/// Knows the released texts: half of the time it answers with a piece of the right one, and it
/// recognises it in three of four questions.
fn parrot(exposures: &[Exposure]) -> impl Model + use<> {
    let released: Vec<String> = exposures.iter().map(|e| e.released.clone()).collect();
    Fake::new(move |request| {
        let mut rng = ChaCha8Rng::seed_from_u64(request.params.seed);
        let content = &request.messages[0].content;
        let Some(i) = content.strip_prefix("prompt ") else {
            let known = released.iter().find(|text| content.contains(text.as_str()));
            let place = known.and_then(|text| {
                content.split("\nAnswer ").skip(1).find(|part| part.contains(text.as_str()))
            });
            let letter = place.and_then(|part| part.chars().next()).unwrap_or('A');
            return Ok(if rng.random_bool(0.75) {
                format!("Answer {letter}.")
            } else {
                "A".to_owned()
            });
        };
        let i: usize = i.parse().expect("number");
        let words: Vec<&str> = released[i].split(' ').collect();
        Ok(if rng.random_bool(0.5) {
            format!("well {}", words[2..9].join(" "))
        } else {
            "I would not know.".to_owned()
        })
    })
}

/// Answers in the same words as everyone, and prefers the first answer it is shown.
fn innocent() -> impl Model {
    Fake::new(|request| {
        let mut rng = ChaCha8Rng::seed_from_u64(request.params.seed);
        if request.messages[0].content.starts_with("prompt ") {
            let words: Vec<String> =
                (0..12).map(|_| format!("w{}", rng.random_range(0..40))).collect();
            return Ok(words.join(" "));
        }
        Ok(if rng.random_bool(0.8) { "A" } else { "B" }.to_owned())
    })
}

#[test]
fn a_parrot_is_found_and_an_innocent_is_not() {
    for k in [1, 3] {
        let exposures = exposures(60, k, 5);
        for kind in BOTH {
            let table = run(&exposures, &parrot(&exposures), kind);
            assert_eq!(table.table.rows.len(), 60);
            let p = p_value(&table);
            assert!(p < 1e-3, "{kind:?} K = {k}: {p}");
            let p = p_value(&run(&exposures, &innocent(), kind));
            assert!(p > 0.01, "{kind:?} K = {k}: {p}");
        }
    }
}

/// A suspect that likes one place gives every text the same score.
#[test]
fn places_are_balanced() {
    let exposures = exposures(5, 2, 1);
    for letter in ["A", "B", "c", "I wrote answer C, I think.", "None of these."] {
        let table =
            run(&exposures, &Fake::new(|_| Ok(letter.to_owned())), SamplingKind::ForcedChoice);
        for row in &table.table.rows {
            assert!(row.suspect.windows(2).all(|w| w[0].to_bits() == w[1].to_bits()), "{row:?}");
        }
    }
}

#[test]
fn a_failure_on_any_text_drops_the_exposure_for_all() {
    let mut exposures = exposures(4, 1, 2);
    exposures[0].released = "the bad text".to_owned();
    exposures[1].withheld[0] = "the bad text".to_owned();
    exposures[2].withheld[0] = exposures[2].released.clone();
    let suspect = Fake::new(|_| Ok("A".to_owned()));
    let refuses = Fake::new(|request| {
        // Refuses one order of the two.
        let content = &request.messages[0].content;
        if content.contains("Answer B:\nthe bad text") {
            return Err(ModelError::Request("refused".to_owned()));
        }
        Ok("A".to_owned())
    });
    let params = SamplingParams::default();
    let mut cache = AnswerCache::in_memory();
    let others: [(String, &dyn Model); 1] = [("refuses".to_owned(), &refuses)];
    let table = sampled_table(
        &exposures,
        &suspect,
        &others,
        SamplingKind::ForcedChoice,
        &params,
        &mut cache,
        &Silent,
    )
    .expect("table");
    // Both fakes have the same identity, so only the first one was asked: the cache is by model.
    assert_eq!(table.table.rows.len(), 3);
    assert_eq!(table.dropped.values().sum::<usize>(), 1);

    let table = run(&exposures, &refuses, SamplingKind::ForcedChoice);
    let ids: Vec<&str> = table.table.rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["e3"]);
    assert_eq!(table.dropped.get("suspect: refused"), Some(&2));
    assert_eq!(table.partial, None);
}

#[test]
fn what_was_answered_is_kept_when_the_endpoint_is_lost() {
    let exposures = exposures(100, 1, 3);
    let path = tempfile::tempdir().expect("folder");
    let path = path.path().join("answers.jsonl");
    let params = SamplingParams { samples: 2, ..SamplingParams::default() };
    let budget = AtomicUsize::new(0);
    let dying = Fake::new(|_| {
        if budget.fetch_add(1, Ordering::SeqCst) < 70 {
            Ok("w1 w2 w3".to_owned())
        } else {
            Err(ModelError::Lost("gone".to_owned()))
        }
    });
    let run = |model: &dyn Model| {
        let mut cache = AnswerCache::open(&path).expect("cache");
        let kind = SamplingKind::Similarity;
        sampled_table(&exposures, model, &[], kind, &params, &mut cache, &Silent).expect("table")
    };
    let first = run(&dying);
    assert_eq!(first.partial.as_deref(), Some("suspect: endpoint lost: gone"));
    assert_eq!(first.table.rows.len(), 35);
    let well = Fake::new(|_| Ok("w1 w2 w3".to_owned()));
    let second = run(&well);
    assert_eq!(well.asked.load(Ordering::SeqCst), 200 - 70);
    assert_eq!((second.table.rows.len(), &second.partial), (100, &None));
    assert_eq!(second.table.rows[..35], first.table.rows[..]);
    assert_eq!(run(&well), second);
    assert_eq!(well.asked.load(Ordering::SeqCst), 200 - 70);
}

#[test]
fn a_model_that_can_not_be_asked_is_an_error() {
    let model = Fake::new(|_| {
        Err(ModelError::Unusable { message: "no".to_owned(), hint: "yes".to_owned() })
    });
    let mut cache = AnswerCache::in_memory();
    let exposures = exposures(3, 1, 0);
    let params = SamplingParams::default();
    let kind = SamplingKind::Similarity;
    let result = sampled_table(&exposures, &model, &[], kind, &params, &mut cache, &Silent);
    assert!(matches!(result, Err(ModelError::Unusable { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The heart of the null: for a suspect that knows nothing of the coin, swapping released
    /// and withheld swaps the scores bit for bit and changes neither what is asked nor what is
    /// dropped.
    #[test]
    fn swapping_the_labels_swaps_the_scores(
        seed in any::<u64>(),
        k in 1usize..4,
        swaps in proptest::collection::vec(0usize..4, 12),
    ) {
        let original = exposures(12, k, seed);
        let mut swapped = original.clone();
        let mut places = Vec::new();
        for (exposure, swap) in swapped.iter_mut().zip(&swaps) {
            let place = swap % (k + 1);
            if let Some(sibling) = place.checked_sub(1) {
                std::mem::swap(&mut exposure.released, &mut exposure.withheld[sibling]);
            }
            places.push(place);
        }
        // Its answers depend on everything that it is shown, and some fail.
        let suspect = Fake::new(|request| {
            let shown = format!("{:?}", request.messages);
            let sum: u64 = shown.bytes().fold(request.params.seed, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(byte.into())
            });
            match sum % 40 {
                0 => Err(ModelError::Request("refused".to_owned())),
                n if shown.contains("prompt") && n % 2 == 0 => Ok(format!("w{n} w{} w1", n / 2)),
                n => Ok(char::from(b'A' + u8::try_from(n % 4).expect("small")).to_string()),
            }
        });
        for kind in BOTH {
            let (before, after) = (run(&original, &suspect, kind), run(&swapped, &suspect, kind));
            prop_assert_eq!(&before.dropped, &after.dropped);
            prop_assert_eq!(before.table.rows.len(), after.table.rows.len());
            for (row, mut other) in before.table.rows.into_iter().zip(after.table.rows) {
                let index: usize = row.id.strip_prefix('e').expect("id").parse().expect("number");
                other.suspect.swap(0, places[index]);
                prop_assert_eq!(row, other);
            }
        }
    }
}
