//! The whole chain at a small size: the guilty are found, the innocent are not, and a run with
//! the seed's coins repeats bit for bit.

use stillwatch_evidence::{CoinEvidence, PlanState, Predates, Silent, VerdictKind, read_exposures};
use stillwatch_lab::LabError;
use stillwatch_lab::demo::{DemoCoins, DemoParams, DemoSizes, run};

/// Large enough that each verdict has a wide margin at alpha 0.01, small enough for a test.
fn small() -> DemoSizes {
    DemoSizes {
        vocab_size: 384,
        hidden_size: 48,
        intermediate_size: 96,
        n_layers: 1,
        n_heads: 2,
        max_positions: 128,
        n_base: 160,
        base_epochs: 2,
        n_parents: 180,
        teacher_epochs: 8,
        n_other: 32,
        n_accounts: 3,
        n_harvesters: 1,
        requests_per_account: 60,
        answer_tokens: 16,
        student_epochs: 24,
        ..DemoSizes::default()
    }
}

fn params(out_dir: std::path::PathBuf) -> DemoParams {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let params = DemoParams::new(out_dir, now);
    DemoParams { coins: DemoCoins::Seed, alpha: 0.01, sizes: small(), ..params }
}

#[test]
fn finds_the_guilty_spares_the_innocent_and_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("one");
    let first = run(&params(out.clone()), &Silent).unwrap();
    let kinds: Vec<VerdictKind> = first.report.audits.iter().map(|a| a.verdict).collect();
    assert_eq!(kinds[0], VerdictKind::Established, "{}", first.rows[0].result.sentence);
    assert_eq!(kinds[1], VerdictKind::NoEvidence, "{}", first.rows[1].result.sentence);
    assert_eq!(kinds[2], VerdictKind::Established, "{}", first.rows[2].result.sentence);
    assert_eq!(kinds[3], VerdictKind::NoEvidence, "{}", first.rows[3].result.sentence);
    assert!(first.report.all_match, "{:?}", first.report);
    assert_eq!(first.report.audits[2].accounts_rejected.len(), 1);

    let drafts = read_exposures(&out.join("author.jsonl")).unwrap();
    assert_eq!(drafts.exposures.len(), 180);
    assert!(drafts.exposures.iter().all(|e| e.withheld.len() == 2 && e.commitment.is_some()));
    for audit in &first.report.audits {
        let case = std::path::Path::new(&audit.case);
        for file in ["case.json", "scores.csv", "result.json", "report.html"] {
            assert!(case.join(file).is_file(), "{} lacks {file}", audit.case);
        }
    }

    for row in &first.rows {
        let (grade, references) = (&row.result.grade, &row.result.references);
        assert_eq!(grade.coin_evidence, CoinEvidence::Ledger, "{}", row.name);
        assert_eq!(grade.plan, PlanState::Sealed, "{}", row.name);
        assert!(references.iter().all(|r| r.predates_coin == Predates::Ledger), "{}", row.name);
    }

    // Again, in another folder: the same coins, texts and weights.
    let again = folder.path().join("two");
    let second = run(&params(again.clone()), &Silent).unwrap();
    for file in ["author.jsonl", "traffic.jsonl", "models/student/model.safetensors"] {
        let same = fs_err::read(out.join(file)).unwrap() == fs_err::read(again.join(file)).unwrap();
        assert!(same, "{file} differs between two runs of one seed");
    }
    for (a, b) in first.rows.iter().zip(&second.rows) {
        assert_eq!(a.result.findings, b.result.findings, "{}", a.name);
    }
    // A ledger is never written over.
    let error = run(&params(again), &Silent).unwrap_err();
    assert!(matches!(error, LabError::Ledger(_)), "{error}");
}

#[test]
fn refuses_sizes_that_the_texts_cannot_fill() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = params(folder.path().join("demo"));
    params.sizes.n_parents = 100_000;
    let error = run(&params, &Silent).unwrap_err();
    assert!(error.to_string().contains("ask for fewer"), "{error}");
}
