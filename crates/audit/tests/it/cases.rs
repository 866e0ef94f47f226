//! Whole audits with a model made for the test: files in, case folder out, replayed.

use crate::verdicts::params;
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};
use stillwatch_audit::{
    AuditContext, AuditError, AuditParams, AuditRequest, AuditSource, OtherModel, PowerAnalysis,
    Role, ScoreEnd, run_audit, verify_case,
};
use stillwatch_evidence::{
    Coin, Decide, Exposure, Message, Predates, Progress, Silent, VerdictKind as V, digest_bytes,
};
use stillwatch_models::{
    AccessLevel, Model, ModelError, ModelIdentity, SampleRequest, Sampled, ScoreRequest, Scored,
};

/// Scores a text by a hash of it, plus a bonus for what it has learnt.
struct Toy {
    identity: ModelIdentity,
    /// Texts with this in them are liked.
    learnt: &'static str,
    bonus: f64,
    /// Requests answered before the endpoint is lost.
    lives: usize,
    asked: AtomicUsize,
}

impl Toy {
    fn new(name: &str, bonus: f64) -> Self {
        Self {
            identity: ModelIdentity {
                spec: name.to_owned(),
                model_hash: digest_bytes(name.as_bytes()).sha256,
                template_hash: String::new(),
                settings: "toy".to_owned(),
            },
            learnt: "released",
            bonus,
            lives: usize::MAX,
            asked: AtomicUsize::new(0),
        }
    }

    /// A hash of the text as a value between −2 and 2, nearly the same for every toy.
    fn value(&self, text: &str) -> f64 {
        let part = |salt: &str| {
            let hash = digest_bytes(format!("{salt}{}", text.replace(self.learnt, "")).as_bytes());
            f64::from(
                u32::from_str_radix(hash.sha256.get(..8).unwrap_or_default(), 16).expect("hex"),
            ) / f64::from(u32::MAX)
        };
        4.0 * part("common") + part(&self.identity.spec) - 2.5
    }
}

impl Model for Toy {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn access(&self) -> AccessLevel {
        AccessLevel::Logprobs
    }

    fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>> {
        requests
            .iter()
            .map(|r| {
                if self.asked.fetch_add(1, Ordering::SeqCst) >= self.lives {
                    return Err(ModelError::Lost("connection reset".to_owned()));
                }
                if r.answer.contains("too long") {
                    return Err(ModelError::Request("answer longer than the context".to_owned()));
                }
                let liked = if r.answer.contains(self.learnt) { self.bonus } else { 0.0 };
                let total = self.value(&r.answer) + liked;
                Ok(Scored { token_log_likelihoods: vec![total / 2.0 - 20.0; 2] })
            })
            .collect()
    }

    fn sample(&self, requests: &[SampleRequest]) -> Vec<Result<Sampled, ModelError>> {
        requests.iter().map(|_| Err(ModelError::Request("toys don't talk".to_owned()))).collect()
    }
}

/// Exposures whose released text is recognisable; the coin is a hash of the number.
fn exposures(n: usize) -> Vec<Exposure> {
    (0..n)
        .map(|i| Exposure {
            id: format!("e{i:03}"),
            messages: vec![Message { role: "user".to_owned(), content: format!("question {i}") }],
            released: format!("text {i} released a{}", i * 7),
            withheld: vec![format!("text {i} kept b{}", i * 11)],
            coin: Coin::Server,
            account: Some(format!("acct-{}", i % 3)),
            time: Some(format!("2025-11-{:02}T10:00:00Z", 1 + i % 28)),
            model: None,
            params: None,
            slot: None,
            commitment: None,
        })
        .collect()
}

fn written(dir: &Path, exposures: &[Exposure], extra: &str) -> PathBuf {
    let path = dir.join("exposures.jsonl");
    let mut text: String =
        exposures.iter().map(|e| serde_json::to_string(e).expect("plain data") + "\n").collect();
    text.push_str(extra);
    fs_err::write(&path, text).expect("a temporary folder is writable");
    path
}

fn request<'a>(path: &Path, suspect: &'a Toy, base: &'a Toy, out: PathBuf) -> AuditRequest<'a> {
    AuditRequest {
        source: AuditSource::Exposures {
            path: path.to_owned(),
            suspect_spec: suspect.identity.spec.clone(),
            suspect,
            others: vec![OtherModel {
                spec: base.identity.spec.clone(),
                role: Role::Reference { predates: Predates::Declared },
                model: base,
            }],
            budget: None,
        },
        params: AuditParams { power_analysis: PowerAnalysis::Skip, ..params() },
        context: AuditContext::default(),
        question: None,
        out: Some(out),
        show_texts: false,
        inputs: Vec::new(),
        timeline: Vec::new(),
        commands: vec!["stillwatch audit …".to_owned()],
    }
}

const NOW: &str = "2026-01-05T09:30:00Z";

#[test]
fn a_case_is_written_and_replays() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut all = exposures(120);
    all[5].withheld = vec![all[5].released.clone()];
    all[9].withheld = vec!["kept but too long".to_owned()];
    all[11].released = "released but too long".to_owned();
    let path = written(dir.path(), &all, "{\"id\": \"broken\"}\n");
    let (suspect, base) = (Toy::new("toy:student", 1.5), Toy::new("toy:base", 0.0));
    let case = dir.path().join("case");
    let outcome =
        run_audit(&request(&path, &suspect, &base, case.clone()), &Silent, NOW).expect("it runs");
    let result = outcome.result();
    assert_eq!(result.verdict, V::Established, "{}", result.sentence);
    assert_eq!((result.n_pairs, result.n_set_aside, outcome.n_rejected_lines), (117, 3, 1));
    assert_eq!(outcome.end, ScoreEnd::Finished);
    for file in ["case.json", "scores.csv", "result.json", "report.html", "rejects.jsonl"] {
        assert!(case.join(file).exists(), "{file}");
    }
    let report = verify_case(&case).expect("a case");
    assert!(report.holds(), "{}", report.sentence);
    assert!(report.sentence.contains("don't show who scored"), "{}", report.sentence);
    // Texts stay out of the report unless they are asked for.
    let html = fs_err::read_to_string(case.join("report.html")).expect("written");
    assert!(!html.contains("text 3 released"), "texts only on demand");

    // The same again costs nothing and gives the same bytes.
    let before = fs_err::read(case.join("result.json")).expect("written");
    let asked = suspect.asked.load(Ordering::SeqCst);
    let again = request(&path, &suspect, &base, case.clone());
    run_audit(&again, &Silent, "2026-02-01T00:00:00Z").expect("it runs again");
    // Failures aren't cached: both texts of the two that failed may be asked again.
    assert!(suspect.asked.load(Ordering::SeqCst) - asked <= 4);
    assert_eq!(before, fs_err::read(case.join("result.json")).expect("written"));

    // A forged verdict and a changed input are found out.
    let forged =
        String::from_utf8(before).expect("UTF-8").replace("\"n_pairs\": 117", "\"n_pairs\": 999");
    fs_err::write(case.join("result.json"), forged).expect("writable");
    fs_err::write(&path, "other").expect("writable");
    let report = verify_case(&case).expect("a case");
    assert!(!report.holds() && !report.follows);
    assert_eq!(report.differences, ["n_pairs"]);
    let changed: Vec<&str> = report.changes.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(changed, ["exposures", "result.json"]);
}

#[test]
fn exposures_that_only_account_for_their_leaves_are_not_tested() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = written(dir.path(), &exposures(90), "");
    let (suspect, base) = (Toy::new("toy:student", 1.5), Toy::new("toy:base", 0.0));
    let case = dir.path().join("case");
    let mut asked = request(&path, &suspect, &base, case.clone());
    asked.context.only = Some((0..60).map(|i| format!("e{i:03}")).collect());
    let outcome = run_audit(&asked, &Silent, NOW).expect("it runs");
    assert_eq!((outcome.result().n_pairs, outcome.result().n_set_aside), (60, 0));
    assert!(verify_case(&case).expect("a case").holds());
}

#[test]
fn a_lost_endpoint_leaves_a_partial_case_that_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = written(dir.path(), &exposures(120), "");
    let mut suspect = Toy::new("toy:student", 1.5);
    suspect.lives = 101;
    let base = Toy::new("toy:base", 0.0);
    let case = dir.path().join("case");
    let first =
        run_audit(&request(&path, &suspect, &base, case.clone()), &Silent, NOW).expect("partial");
    assert!(matches!(&first.end, ScoreEnd::Partial(why) if why.contains("connection reset")));
    assert!(first.result().partial && first.result().verdict == V::Inconclusive);
    assert!((40..=50).contains(&first.result().n_pairs), "{}", first.result().n_pairs);
    assert!(verify_case(&case).expect("a case").holds());
    suspect.lives = usize::MAX;
    let asked = suspect.asked.load(Ordering::SeqCst);
    let second =
        run_audit(&request(&path, &suspect, &base, case.clone()), &Silent, NOW).expect("whole");
    assert!(!second.result().partial && second.result().n_pairs == 120);
    assert!(suspect.asked.load(Ordering::SeqCst) - asked < 160, "the first half was cached");
    assert!(verify_case(&case).expect("a case").holds());
}

/// Asks to stop after so many units of work.
struct Impatient {
    left: AtomicUsize,
}

impl Progress for Impatient {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, n: u64) {
        let n = usize::try_from(n).expect("small");
        let left = self.left.load(Ordering::SeqCst);
        self.left.store(left.saturating_sub(n), Ordering::SeqCst);
    }
    fn end(&self) {}
    fn note(&self, _: &str) {}
    fn stop_requested(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

#[test]
fn an_interrupt_keeps_what_was_scored() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = written(dir.path(), &exposures(120), "");
    let (suspect, base) = (Toy::new("toy:student", 1.5), Toy::new("toy:base", 0.0));
    let progress = Impatient { left: AtomicUsize::new(60) };
    let request = request(&path, &suspect, &base, dir.path().join("case"));
    let outcome = run_audit(&request, &progress, NOW).expect("partial");
    assert_eq!(outcome.end, ScoreEnd::Partial("interrupted".to_owned()));
    assert_eq!(outcome.result().n_pairs, 64);
}

#[test]
fn the_e_process_stops_scoring_when_the_evidence_suffices() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = written(dir.path(), &exposures(240), "");
    let (suspect, base) = (Toy::new("toy:student", 2.5), Toy::new("toy:base", 0.0));
    let case = dir.path().join("case");
    let mut request = request(&path, &suspect, &base, case.clone());
    request.params.decide = Decide::E;
    let outcome = run_audit(&request, &Silent, NOW).expect("it runs");
    assert_eq!(outcome.end, ScoreEnd::Evidence);
    let result = outcome.result();
    assert_eq!(result.verdict, V::Established, "{}", result.sentence);
    assert!(!result.partial && result.n_pairs < 240, "{}", result.n_pairs);
    // Alpha was split by the accounts that were planned, not by those seen so far.
    assert_eq!(result.alpha_split.len(), 2);
    let accounts = result.findings.last().expect("the accounts' finding");
    assert!(accounts.cannot_say.iter().any(|c| c.contains("unfinished")), "{accounts:?}");
    assert!(verify_case(&case).expect("a case").holds());
}

#[test]
fn a_pair_is_dropped_for_all_models_whichever_text_failed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut swapped = exposures(60);
    swapped[7].released = "released, too long".to_owned();
    let mut other = exposures(60);
    other[7].withheld = vec!["kept, too long".to_owned()];
    let (suspect, base) = (Toy::new("toy:student", 1.0), Toy::new("toy:base", 0.0));
    let mut tables = Vec::new();
    for (name, exposures) in [("a", swapped), ("b", other)] {
        let dir = dir.path().join(name);
        fs_err::create_dir(&dir).expect("writable");
        let path = written(&dir, &exposures, "");
        let case = dir.join("case");
        let outcome = run_audit(&request(&path, &suspect, &base, case.clone()), &Silent, NOW)
            .expect("it runs");
        assert_eq!(outcome.result().n_set_aside, 1);
        tables.push(fs_err::read_to_string(case.join("scores.csv")).expect("written"));
    }
    assert_eq!(tables[0], tables[1], "what is kept doesn't depend on which text failed");
}

#[test]
fn a_case_of_another_question_is_not_overwritten() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = written(dir.path(), &exposures(30), "");
    let (suspect, base) = (Toy::new("toy:student", 1.0), Toy::new("toy:base", 0.0));
    let case = dir.path().join("case");
    let mut request = request(&path, &suspect, &base, case);
    run_audit(&request, &Silent, NOW).expect("it runs");
    request.params.alpha = 0.01;
    let error = run_audit(&request, &Silent, NOW).expect_err("other parameters");
    assert!(matches!(error, AuditError::Case { .. }), "{error}");
}
