//! Suspects that only answer: parrots are found, innocents are not, and nothing that is asked
//! or dropped depends on the coin.
#![expect(clippy::expect_used, reason = "helpers of tests")]

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicUsize, Ordering};
use stillwatch_audit::{
    AuditContext, AuditError, AuditParams, AuditRequest, AuditSource, Caches, NamedModel, ScoreEnd,
    ScoreJob, ScoreKind, ScoredExposures, run_audit, score_exposures, verify_case,
};
use stillwatch_evidence::{Coin, Decide, Exposure, Message, Silent, VerdictKind};
use stillwatch_models::{
    AccessLevel, AnswerCache, Model, ModelError, ModelIdentity, SampleRequest, Sampled,
    ScoreRequest, Scored,
};
use stillwatch_stats::{ScoreSet, TestParams, correct, twins_test};

const BOTH: [ScoreKind; 2] = [ScoreKind::Similarity, ScoreKind::ForcedChoice];

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

fn run(exposures: &[Exposure], suspect: &dyn Model, kind: ScoreKind) -> ScoredExposures {
    run_with(exposures, suspect, &[], kind, &mut Caches::in_memory()).expect("scores")
}

fn run_with(
    exposures: &[Exposure],
    suspect: &dyn Model,
    others: &[NamedModel<'_>],
    kind: ScoreKind,
    caches: &mut Caches,
) -> Result<ScoredExposures, AuditError> {
    let context = AuditContext { score_kind: kind, ..AuditContext::default() };
    let params = AuditParams::default();
    let job =
        ScoreJob { exposures, suspect, others, context: &context, params: &params, budget: None };
    score_exposures(&job, caches, &Silent)
}

/// Exposures set aside for a reason.
fn set_aside(scored: &ScoredExposures, reason: &str) -> usize {
    scored.set_aside.iter().filter(|s| s.reason == reason).map(|s| s.count).sum()
}

fn p_value(scored: &ScoredExposures) -> f64 {
    let sets: Vec<ScoreSet> = scored
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
fn parrot(
    exposures: &[Exposure],
) -> Fake<impl Fn(&SampleRequest) -> Result<String, ModelError> + Send + Sync + use<>> {
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
        let table = run(&exposures, &Fake::new(|_| Ok(letter.to_owned())), ScoreKind::ForcedChoice);
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
    let mut refuses = Fake::new(|request| {
        // Refuses one order of the two.
        let content = &request.messages[0].content;
        if content.contains("Answer B:\nthe bad text") {
            return Err(ModelError::Request("refused".to_owned()));
        }
        Ok("A".to_owned())
    });
    refuses.identity.model_hash = "1".to_owned();
    let others = [NamedModel { name: "refuses".to_owned(), model: &refuses }];
    let mut caches = Caches::in_memory();
    let kind = ScoreKind::ForcedChoice;
    let scored = run_with(&exposures, &suspect, &others, kind, &mut caches).expect("scores");
    let ids: Vec<&str> = scored.table.rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["e3"]);
    assert_eq!(set_aside(&scored, "model refuses: refused"), 2);
    assert_eq!(set_aside(&scored, "all texts of the exposure are the same"), 1);
    assert_eq!(scored.end, ScoreEnd::Finished);
}

#[test]
fn what_was_answered_is_kept_when_the_endpoint_is_lost() {
    let exposures = exposures(100, 1, 3);
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("answers.jsonl");
    let budget = AtomicUsize::new(0);
    let dying = Fake::new(|_| {
        if budget.fetch_add(1, Ordering::SeqCst) < 70 {
            Ok("w1 w2 w3".to_owned())
        } else {
            Err(ModelError::Lost("gone".to_owned()))
        }
    });
    let run = |model: &dyn Model| {
        let answers = AnswerCache::open(&path).expect("cache");
        let mut caches = Caches { answers, ..Caches::in_memory() };
        run_with(&exposures, model, &[], ScoreKind::Similarity, &mut caches).expect("scores")
    };
    let first = run(&dying);
    assert_eq!(first.end, ScoreEnd::Partial("suspect: endpoint lost: gone".to_owned()));
    // Four answers each: of the 70 that came, 68 make whole exposures.
    assert_eq!(first.table.rows.len(), 17);
    // A write that was cut off costs that answer only.
    let mut torn = fs_err::OpenOptions::new().append(true).open(&path).expect("cache");
    std::io::Write::write_all(&mut torn, b"{\"key\":\"12").expect("write");
    let well = Fake::new(|_| Ok("w1 w2 w3".to_owned()));
    let second = run(&well);
    assert_eq!(well.asked.load(Ordering::SeqCst), 400 - 70);
    assert_eq!((second.table.rows.len(), &second.end), (100, &ScoreEnd::Finished));
    assert_eq!(second.table.rows[..17], first.table.rows[..]);
    assert_eq!(run(&well), second);
    assert_eq!(well.asked.load(Ordering::SeqCst), 400 - 70);
    fs_err::write(&path, "{\"key\":1}\n").expect("write");
    let error = AnswerCache::open(&path).expect_err("no answer");
    assert!(error.to_string().contains("line 1 is no answer"), "{error}");
}

#[test]
fn a_model_that_can_not_be_asked_is_an_error() {
    let model = Fake::new(|_| {
        Err(ModelError::Unusable { message: "no".to_owned(), hint: "yes".to_owned() })
    });
    let exposures = exposures(3, 1, 0);
    for kind in BOTH {
        let result = run_with(&exposures, &model, &[], kind, &mut Caches::in_memory());
        assert!(matches!(result, Err(AuditError::Model { .. })), "{result:?}");
    }
}

/// The whole way: a file of exposures, a suspect that only answers, a case that can be replayed.
#[test]
fn an_audit_of_a_suspect_that_only_answers() {
    let exposures = exposures(80, 1, 8);
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("exposures.jsonl");
    let lines: Vec<String> =
        exposures.iter().map(|e| serde_json::to_string(e).expect("JSON")).collect();
    fs_err::write(&path, lines.join("\n")).expect("write");
    let suspect = parrot(&exposures);
    for (kind, word) in
        [(ScoreKind::LogLikelihood, "similarity"), (ScoreKind::ForcedChoice, "which text it wrote")]
    {
        let out = folder.path().join(word);
        let request = AuditRequest {
            source: AuditSource::Exposures {
                path: path.clone(),
                suspect_spec: "openai:http://localhost/v1#parrot".to_owned(),
                suspect: &suspect,
                others: Vec::new(),
                budget: None,
            },
            params: AuditParams::default(),
            context: AuditContext {
                prompts_fixed: true,
                score_kind: kind,
                ..AuditContext::default()
            },
            question: None,
            out: Some(out.clone()),
            show_texts: false,
            inputs: Vec::new(),
            timeline: Vec::new(),
            commands: Vec::new(),
        };
        let now = "2026-01-01T00:00:00Z";
        let outcome = run_audit(&request, &Silent, now).expect("audit");
        let result = outcome.result();
        assert_eq!(result.verdict, VerdictKind::Established, "{}", result.sentence);
        assert!(result.findings[0].assumptions.iter().any(|a| a.contains(word)), "{word}");
        let asked = suspect.asked.load(Ordering::SeqCst);
        let again = run_audit(&request, &Silent, now).expect("audit");
        assert_eq!(again.result(), result);
        assert_eq!(suspect.asked.load(Ordering::SeqCst), asked, "everything is in the cache");
        assert!(verify_case(&out).expect("case").holds());
    }
}

/// Queries cost money: where the e-value decides, asking stops once it suffices.
#[test]
fn asking_stops_at_evidence() {
    let exposures = exposures(300, 1, 9);
    let suspect = parrot(&exposures);
    let context = AuditContext { score_kind: ScoreKind::Similarity, ..AuditContext::default() };
    let params = AuditParams { decide: Decide::E, ..AuditParams::default() };
    let job = ScoreJob {
        exposures: &exposures,
        suspect: &suspect,
        others: &[],
        context: &context,
        params: &params,
        budget: None,
    };
    let scored = score_exposures(&job, &mut Caches::in_memory(), &Silent).expect("scores");
    assert_eq!(scored.end, ScoreEnd::Evidence);
    assert!(scored.table.rows.len() < 300, "{}", scored.table.rows.len());
    assert_eq!(suspect.asked.load(Ordering::SeqCst), 4 * scored.table.rows.len());
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
            prop_assert_eq!(&before.set_aside, &after.set_aside);
            prop_assert_eq!(before.table.rows.len(), after.table.rows.len());
            for (row, mut other) in before.table.rows.into_iter().zip(after.table.rows) {
                let index: usize = row.id.strip_prefix('e').expect("id").parse().expect("number");
                other.suspect.swap(0, places[index]);
                prop_assert_eq!(row, other);
            }
        }
    }
}
