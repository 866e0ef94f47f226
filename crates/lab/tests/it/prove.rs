//! The proving ground at its smallest: everything runs, is kept, and repeats; rates are exact.

use std::collections::BTreeSet;
use stillwatch_evidence::{Progress, Silent};
use stillwatch_lab::LabError;
use stillwatch_lab::prove::{
    MORE, Plan, ProveParams, ProveSizes, QUICK, Rate, Situation, Truth, clopper_pearson, html,
    in_words, run,
};

/// So small that nothing is learnt; every step is gone through.
fn tiny(out: &std::path::Path) -> ProveParams {
    let sizes = ProveSizes {
        vocab_size: 300,
        hidden_size: 16,
        intermediate_size: 24,
        n_layers: 1,
        n_heads: 2,
        max_positions: 200,
        n_base: 8,
        base_passes: 1,
        n_parents: 4,
        teacher_passes: 1,
        n_accounts: 2,
        requests_per_account: 12,
        answer_tokens: 6,
    };
    ProveParams {
        plan: Plan { sizes, ..Plan::quick() },
        alpha: 0.01,
        seed: 3,
        throws: 60,
        n_threads: 2,
        out_dir: out.to_owned(),
    }
}

/// Asks to stop at the first look.
struct Impatient;

impl Progress for Impatient {
    fn begin(&self, _step: &str, _total: u64) {}
    fn advance(&self, _n: u64) {}
    fn end(&self) {}
    fn note(&self, _line: &str) {}
    fn stop_requested(&self) -> bool {
        true
    }
}

#[test]
fn a_run_is_whole_and_a_second_finds_everything_and_says_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let params = tiny(folder.path());
    let first = run(&params, &Silent).expect("a run");
    assert_eq!(first.n_models, 12);
    assert_eq!(first.n_found, 0);
    let innocents = first.cells.iter().filter(|c| c.truth == Truth::Innocent).count();
    assert_eq!(innocents, 5 * Situation::ALL.len() * first.tests.len());
    assert_eq!(first.size.n_throws, 60);

    let one_thread = ProveParams { n_threads: 1, ..params };
    let mut second = run(&one_thread, &Silent).expect("a second run");
    // The base of the teachers, the base of the others, the teacher, and the population.
    assert_eq!(second.n_found, 15);
    second.n_found = 0;
    assert_eq!(first, second);

    let page = html(&first);
    assert!(page.contains("<svg") && !page.contains("<script"));
    assert!(in_words(&first).contains("wrongly accused"));
    assert!(folder.path().join("report.html").exists());
    assert!(folder.path().join("result.json").exists());
}

#[test]
fn an_interrupted_run_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = run(&tiny(folder.path()), &Impatient).expect_err("interrupted");
    assert!(matches!(error, LabError::Interrupted), "{error}");
}

#[test]
fn the_plans_hold_what_they_promise() {
    assert_eq!(Plan::quick().n_models(), 12);
    assert!(Plan::full().n_models() >= 120);
    let names: BTreeSet<&str> = QUICK.iter().chain(&MORE).map(|k| k.name).collect();
    assert_eq!(names.len(), QUICK.len() + MORE.len());
}

#[test]
fn intervals_are_those_of_clopper_and_pearson() {
    // R 4.3: binom.test(0, 60)$conf.int and so on; one-sided for zero errors would be 4.9%.
    for (count, n, low, high) in [
        (0, 60, 0.0, 0.059_62),
        (1, 6, 0.004_21, 0.641_23),
        (6, 6, 0.540_74, 1.0),
        (8, 10, 0.443_90, 0.974_79),
    ] {
        let rate = Rate::new(count, n);
        assert!((rate.low - low).abs() < 1e-4, "{rate:?}");
        assert!((rate.high - high).abs() < 1e-4, "{rate:?}");
    }
    assert_eq!(clopper_pearson(0, 0, 0.05), (0.0, 1.0));
    assert_eq!(Rate::new(0, 0).rate, None);
}
