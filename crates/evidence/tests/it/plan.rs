//! Sealed plans.

use crate::ledger::{at, filled};
use stillwatch_evidence::Decide;
use stillwatch_evidence::ledger::{Filter, LogKey, LogView, OsEntropy, Sha256Hash};
use stillwatch_evidence::plan::{
    PLAN_VERSION, Plan, PlannedBudget, PlannedExposures, PlannedModel, PlannedRange, SEED_MAX,
    SealedPlan, alpha_of_plan, seal_alone, seal_in_ledger,
};

fn model(name: &str) -> PlannedModel {
    PlannedModel { model: name.to_owned(), hash: Some(Sha256Hash::of(name.as_bytes())) }
}

fn plan(name: &str) -> Plan {
    Plan {
        version: PLAN_VERSION,
        name: name.to_owned(),
        suspect: model("hf:student"),
        references: vec![model("hf:reference")],
        placebos: vec![model("hf:placebo")],
        alpha: 1e-3,
        alpha_split: [("pooled".to_owned(), 5e-4), ("accounts".to_owned(), 5e-4)].into(),
        decide: Decide::E,
        statistic: "twins".to_owned(),
        order: "ledger".to_owned(),
        seeds: [("run".to_owned(), 7)].into(),
        budget: PlannedBudget { pairs: Some(100), ..PlannedBudget::default() },
        exposures: PlannedExposures { sha256: Some(Sha256Hash::of(b"file")), ledger: None },
        stopping_rule: "e >= 1/alpha or budget".to_owned(),
        target_effect: 0.3,
    }
}

fn ranged(name: &str, log_id: &str, first: u64, last: u64) -> Plan {
    let range = PlannedRange {
        log_id: log_id.to_owned(),
        first_sequence: first,
        last_sequence: last,
        filter: Filter::default(),
    };
    let exposures = PlannedExposures { sha256: None, ledger: Some(range) };
    Plan { exposures, ..plan(name) }
}

#[test]
fn the_hash_is_that_of_canonical_json() {
    let json = String::from_utf8(plan("one").canonical_json().unwrap()).unwrap();
    assert!(json.starts_with(r#"{"alpha":0.001,"alpha_split":{"accounts":0.0005,"pooled":0.0005},"budget":{"pairs":100},"decide":"e","#), "{json}");
    assert_eq!(plan("one").hash().unwrap(), Sha256Hash::of(json.as_bytes()));
}

#[test]
fn every_difference_is_listed() {
    type Change = (&'static str, fn(&mut Plan));
    let changes: [Change; 17] = [
        ("name", |p| p.name.push('x')),
        ("suspect.model", |p| p.suspect.model.push('x')),
        ("suspect.hash", |p| p.suspect.hash = None),
        ("references", |p| p.references.clear()),
        ("placebos", |p| p.placebos[0].hash = None),
        ("alpha", |p| p.alpha = 2e-3),
        ("alpha_split.accounts", |p| {
            p.alpha_split.insert("accounts".to_owned(), 1e-4);
        }),
        ("alpha_split.more", |p| {
            p.alpha_split.insert("more".to_owned(), 0.0);
        }),
        ("decide", |p| p.decide = Decide::P),
        ("statistic", |p| p.statistic.push('x')),
        ("order", |p| p.order.push('x')),
        ("seeds.run", |p| {
            p.seeds.insert("run".to_owned(), 8);
        }),
        ("budget.pairs", |p| p.budget.pairs = None),
        ("budget.tokens", |p| p.budget.tokens = Some(5)),
        ("exposures.sha256", |p| p.exposures.sha256 = Some(Sha256Hash::of(b"other"))),
        ("stopping_rule", |p| p.stopping_rule.push('x')),
        ("target_effect", |p| p.target_effect = 0.2),
    ];
    let key = LogKey::generate(&mut OsEntropy).unwrap();
    let sealed = seal_alone(plan("one"), at(0), &key, &[]).unwrap();
    assert_eq!(sealed.check(&plan("one")).unwrap(), []);
    let mut all = plan("one");
    for (field, change) in changes {
        let mut run = plan("one");
        change(&mut run);
        let found = sealed.check(&run).unwrap();
        assert_eq!(found.len(), 1, "{field}: {found:?}");
        assert_eq!(found[0].field, field);
        assert_ne!(found[0].planned, found[0].actual);
        change(&mut all);
        // Whoever changes the sealed file instead is found out too.
        let forged = SealedPlan { plan: run, ..sealed.clone() };
        assert!(forged.verify().is_err(), "{field}");
    }
    assert_eq!(sealed.check(&all).unwrap().len(), changes.len());
}

#[test]
fn a_seal_covers_time_number_and_leaf() {
    let key = LogKey::generate(&mut OsEntropy).unwrap();
    let sealed = seal_alone(plan("one"), at(0), &key, &[]).unwrap();
    sealed.verify().unwrap();
    let json = serde_json::to_string(&sealed).unwrap();
    serde_json::from_str::<SealedPlan>(&json).unwrap().verify().unwrap();
    let other = LogKey::generate(&mut OsEntropy).unwrap().public_key();
    assert!(SealedPlan { time: at(1), ..sealed.clone() }.verify().is_err());
    assert!(SealedPlan { number: 2, ..sealed.clone() }.verify().is_err());
    assert!(SealedPlan { leaf_index: Some(0), ..sealed.clone() }.verify().is_err());
    assert!(SealedPlan { public_key: other, ..sealed.clone() }.verify().is_err());
    assert!(SealedPlan { plan_hash: Sha256Hash::of(b""), ..sealed }.verify().is_err());
}

#[test]
fn plans_over_the_same_exposures_share_the_error() {
    let total: f64 = (1..=100_000).map(|j| alpha_of_plan(1e-3, j)).sum();
    assert!(total < 1e-3 && total > 0.9999e-3, "{total}");
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _, _) = filled(dir.path(), 10, 2);
    let log_id = ledger.identity().log_id.clone();
    // (first, last, expected number): ranges that overlap are the same exposures.
    let table = [(0, 4, 1), (5, 9, 1), (4, 5, 3), (9, 9, 2), (0, 3, 2), (0, 9, 6)];
    let mut all = Vec::new();
    for (at_second, (first, last, number)) in (10..).zip(table) {
        let plan = ranged(&format!("plan {at_second}"), &log_id, first, last);
        let sealed = seal_in_ledger(&mut ledger, plan, at(at_second)).unwrap();
        assert_eq!(sealed.number, number, "{first} to {last}");
        let j = number as f64;
        assert!((sealed.alpha() - 1e-3 / (j * (j + 1.0))).abs() < 1e-18);
        assert!((sealed.alpha_split().values().sum::<f64>() - sealed.alpha()).abs() < 1e-15);
        all.push(sealed);
    }
    ledger.close_epoch(at(100)).unwrap();
    let view = LogView::open(dir.path()).unwrap();
    for sealed in &all {
        sealed.verify_in(&view).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let (other, _, _) = filled(elsewhere.path(), 3, 2);
        assert!(sealed.verify_in(&other).is_err(), "another log's plan, even with the same key");
    }
    let again = seal_in_ledger(&mut ledger, all[0].plan.clone(), at(101));
    assert!(again.unwrap_err().to_string().contains("sealed already"));

    let key = LogKey::generate(&mut OsEntropy).unwrap();
    let one = seal_alone(plan("one"), at(0), &key, &[]).unwrap();
    let two = seal_alone(plan("two"), at(1), &key, std::slice::from_ref(&one)).unwrap();
    let mut elsewhere = plan("three");
    elsewhere.exposures.sha256 = Some(Sha256Hash::of(b"another file"));
    let three = seal_alone(elsewhere, at(2), &key, &[one.clone(), two.clone()]).unwrap();
    assert_eq!((one.number, two.number, three.number), (1, 2, 1));
}

#[test]
fn plans_out_of_their_ranges_are_refused() {
    type Change = (&'static str, fn(&mut Plan));
    let table: [Change; 13] = [
        ("version", |p| p.version = 2),
        ("alpha is 0", |p| p.alpha = 0.0),
        ("alpha is 1", |p| p.alpha = 1.0),
        ("alpha is NaN", |p| p.alpha = f64::NAN),
        ("alpha_split", |p| {
            p.alpha_split.insert("more".to_owned(), 1e-4);
        }),
        ("alpha_split", |p| {
            p.alpha_split.insert("pooled".to_owned(), -1e-4);
        }),
        ("alpha_split", |p| {
            p.alpha_split.insert("pooled".to_owned(), f64::NAN);
        }),
        ("target_effect", |p| p.target_effect = 0.0),
        ("target_effect", |p| p.target_effect = f64::INFINITY),
        ("money", |p| p.budget.money = Some(-1.0)),
        ("2^53", |p| {
            p.seeds.insert("run".to_owned(), SEED_MAX + 1);
        }),
        ("neither", |p| p.exposures.sha256 = None),
        ("ends before", |p| p.exposures = ranged("x", "log", 5, 4).exposures),
    ];
    for (piece, change) in table {
        let mut bad = plan("bad");
        change(&mut bad);
        let error = bad.validate().unwrap_err().to_string();
        assert!(error.contains(piece), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _, _) = filled(dir.path(), 3, 2);
    let log_id = ledger.identity().log_id.clone();
    assert!(seal_in_ledger(&mut ledger, ranged("far", &log_id, 0, 3), at(9)).is_err());
    assert!(seal_in_ledger(&mut ledger, ranged("other", "another", 0, 2), at(9)).is_err());
    assert!(ledger.plans().is_empty());
}
