//! The rules of verdicts, end to end from tables of scores.

use crate::synth::Plan;
use std::collections::BTreeMap;
use stillwatch_audit::{
    AuditContext, AuditError, AuditParams, PowerAnalysis, Role, Stopping, evaluate,
};
use stillwatch_evidence::{
    AuditResult, Coin, CoinEvidence, Decide, PlanState, Predates, ScoreTable, VerdictKind as V,
    result_json,
};

/// Few resamples: these tests are about rules, not about small p-values.
pub(crate) fn params() -> AuditParams {
    AuditParams { n_resamples: 9_999, ..AuditParams::default() }
}

pub(crate) fn roles(predates: Predates, names: &[&str]) -> BTreeMap<String, Role> {
    names.iter().map(|n| ((*n).to_owned(), Role::Reference { predates })).collect()
}

/// Where only findings count.
fn quick() -> AuditParams {
    AuditParams { power_analysis: PowerAnalysis::Skip, ..params() }
}

fn run(plan: &Plan, context: &AuditContext, params: &AuditParams) -> AuditResult {
    evaluate(&plan.table(), context, params).expect("a good table")
}

#[test]
fn the_guilty_is_established_and_the_innocent_gets_no_evidence_with_its_power() {
    let guilty = Plan { n: 300, effect: 0.6, ..Plan::default() };
    let result = run(&guilty, &AuditContext::default(), &params());
    assert_eq!(result.verdict, V::Established, "{}", result.sentence);
    assert!(result.sentence.contains("if the coin was thrown as declared"), "{}", result.sentence);
    assert!(result.sentence.contains("no plan was sealed"), "{}", result.sentence);
    assert!(result.sentence.contains("1 in 1,000"), "{}", result.sentence);

    let innocent = Plan { n: 300, ..Plan::default() };
    let result = run(&innocent, &AuditContext::default(), &params());
    assert_eq!(result.verdict, V::NoEvidence, "{}", result.sentence);
    let detectable = result.findings[0].min_detectable_effect.expect("always with no_evidence");
    assert!(detectable > 0.1 && detectable <= 0.3, "{detectable}");
}

#[test]
fn the_grade_caps_the_verdict() {
    let table = Plan { n: 300, effect: 0.8, ..Plan::default() }.table();
    for (coin, verdict) in [
        (Coin::Public, V::Established),
        (Coin::Server, V::Established),
        (Coin::Iid, V::Indicated),
        (Coin::None, V::Indicated),
    ] {
        let context = AuditContext { coin: Some(coin), ..AuditContext::default() };
        let result = evaluate(&table, &context, &quick()).expect("a good table");
        assert_eq!(result.verdict, verdict, "{coin:?}: {}", result.sentence);
        assert_eq!(result.grade.coin, coin);
        assert_eq!(result.findings[0].p_value.is_none(), coin == Coin::None);
        assert_eq!(result.findings[0].log10_e_value.is_none(), coin == Coin::None);
    }
}

#[test]
fn the_lowest_grade_of_any_row_decides_for_all() {
    let mut table = Plan { n: 300, effect: 0.8, coin: Coin::Public, ..Plan::default() }.table();
    table.rows[17].coin = Some(Coin::Iid);
    let result = evaluate(&table, &AuditContext::default(), &quick()).expect("a good table");
    assert_eq!((result.grade.coin, result.verdict), (Coin::Iid, V::Indicated));
    table.rows[18].coin = None;
    let result = evaluate(&table, &AuditContext::default(), &quick()).expect("a good table");
    assert_eq!(result.grade.coin, Coin::None);
}

#[test]
fn too_few_pairs_or_too_little_power_is_inconclusive_and_says_what_is_missing() {
    for n in 0..=9 {
        let result =
            run(&Plan { n, effect: 50.0, ..Plan::default() }, &AuditContext::default(), &params());
        assert_eq!(result.verdict, V::Inconclusive, "n = {n}: {}", result.sentence);
        assert!(result.sentence.contains("at least 10"), "{}", result.sentence);
        assert_eq!(result.n_pairs, n);
    }
    let ten =
        run(&Plan { n: 10, effect: 50.0, ..Plan::default() }, &AuditContext::default(), &params());
    assert_eq!(ten.verdict, V::Established, "{}", ten.sentence);
    let weak = run(&Plan { n: 40, ..Plan::default() }, &AuditContext::default(), &params());
    assert_eq!(weak.verdict, V::Inconclusive, "{}", weak.sentence);
    assert!(weak.sentence.contains("pairs would do"), "{}", weak.sentence);
}

#[test]
fn alpha_is_split_and_spent_over_plans() {
    let plan = Plan { n: 400, accounts: 4, effect: 0.5, ..Plan::default() };
    let whole = run(&Plan { accounts: 0, ..plan.clone() }, &AuditContext::default(), &quick());
    assert_eq!(whole.alpha_split, BTreeMap::from([("pooled".to_owned(), 1e-3)]));
    let split = run(&plan, &AuditContext::default(), &quick());
    let half = 1e-3 * 0.5;
    assert_eq!(
        split.alpha_split,
        BTreeMap::from([("accounts".to_owned(), half), ("pooled".to_owned(), half)])
    );
    let third = AuditParams { plan_index: Some(3), ..quick() };
    let context = AuditContext { plan: PlanState::Sealed, ..AuditContext::default() };
    let spent = run(&plan, &context, &third);
    assert!((spent.alpha_split.values().sum::<f64>() - 1e-3 / 12.0).abs() < 1e-15);
    assert!(!spent.sentence.contains("no plan"), "{}", spent.sentence);
    assert!(spent.sentence.contains("1 in 12,000"), "{}", spent.sentence);
}

#[test]
fn ledger_evidence_takes_the_caveat_away() {
    let context = AuditContext {
        coin_evidence: CoinEvidence::Ledger,
        plan: PlanState::Sealed,
        ..AuditContext::default()
    };
    let result = run(&Plan { n: 300, effect: 0.6, ..Plan::default() }, &context, &quick());
    assert!(!result.sentence.contains("as declared"), "{}", result.sentence);
}

#[test]
fn e_decides_where_declared_and_stops_by_its_rule() {
    let plan = Plan { n: 600, effect: 0.6, ..Plan::default() };
    let by_e = AuditParams { decide: Decide::E, ..params() };
    let early = run(&plan, &AuditContext::default(), &by_e);
    assert_eq!(early.verdict, V::Established, "{}", early.sentence);
    let main = &early.findings[0];
    assert!(main.n < 600 && main.p_value.is_none(), "{main:?}");
    assert!(main.log10_e_value.is_some_and(|e| (3.0..6.0).contains(&e)), "{main:?}");
    let to_end = AuditParams { stopping: Stopping::AtEnd, ..by_e };
    let late = run(&plan, &AuditContext::default(), &to_end);
    assert!(late.findings[0].n == 600 && late.findings[0].p_value.is_some());
    assert!(late.findings[0].log10_e_value > main.log10_e_value);
    let innocent = run(&Plan { n: 600, ..Plan::default() }, &AuditContext::default(), &to_end);
    assert_eq!(innocent.verdict, V::NoEvidence, "{}", innocent.sentence);
}

#[test]
fn an_interim_p_value_decides_nothing_but_an_interim_e_value_may() {
    let plan = Plan { n: 300, effect: 0.8, ..Plan::default() };
    let context = AuditContext { partial: true, ..AuditContext::default() };
    let by_p = run(&plan, &context, &quick());
    assert!(by_p.partial && by_p.verdict == V::Inconclusive, "{}", by_p.sentence);
    let by_e = run(&plan, &context, &AuditParams { decide: Decide::E, ..quick() });
    assert!(by_e.partial && by_e.verdict == V::Established, "{}", by_e.sentence);
}

#[test]
fn siblings_are_tested_within_their_sets() {
    let plan = Plan { n: 200, k: 3, effect: 0.7, ..Plan::default() };
    let result = run(&plan, &AuditContext::default(), &quick());
    assert_eq!(result.verdict, V::Established, "{}", result.sentence);
    // Five sets of four texts have 4^5 = 1024 outcomes: enough for 1e-3.
    let few = Plan { n: 5, k: 3, effect: 90.0, ..Plan::default() };
    let result = run(&few, &AuditContext::default(), &quick());
    assert_eq!(result.verdict, V::Established, "{}", result.sentence);
}

#[test]
fn bad_parameters_and_tables_name_what_is_wrong() {
    let good = Plan::default().table();
    let message = |table: &ScoreTable, context: &AuditContext, params: &AuditParams| -> String {
        match evaluate(table, context, params) {
            Ok(_) => "accepted".to_owned(),
            Err(e @ (AuditError::Params { .. } | AuditError::Data { .. })) => e.to_string(),
            Err(e) => format!("other: {e}"),
        }
    };
    let context = AuditContext::default();
    for (change, want) in [
        (AuditParams { alpha: 0.0, ..quick() }, "alpha: must lie between 0 and 1"),
        (AuditParams { alpha: f64::NAN, ..quick() }, "alpha: must lie between 0 and 1"),
        (AuditParams { target_effect: -1.0, ..quick() }, "target-effect: must be positive"),
        (AuditParams { n_resamples: 0, ..quick() }, "n-resamples: must be at least 1"),
        (AuditParams { plan_index: Some(0), ..quick() }, "plan-index: plans are counted from 1"),
    ] {
        let got = message(&good, &context, &change);
        assert!(got.starts_with(want), "{got}");
    }
    let mut twice = good.clone();
    twice.rows[1].id = twice.rows[0].id.clone();
    assert!(message(&twice, &context, &quick()).starts_with("row pair-0000: this id occurs twice"));
    let mut ragged = good.clone();
    ragged.rows[3].references.push(vec![0.0, 0.0]);
    assert!(message(&ragged, &context, &quick()).starts_with("row pair-0003: has scores of 1"));
    let mut nan = good.clone();
    nan.rows[4].suspect[1] = f64::NAN;
    assert!(message(&nan, &context, &quick()).starts_with("row pair-0004: score 1"));
    let unknown =
        AuditContext { roles: roles(Predates::Declared, &["nobody"]), ..AuditContext::default() };
    assert!(message(&good, &unknown, &quick()).starts_with("model nobody: there are no scores"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let plan = Plan { n: 240, accounts: 6, references: 2, effect: 0.3, ..Plan::default() };
    let context = AuditContext {
        roles: roles(Predates::Declared, &["ref1", "ref2"]),
        unopened_leaves: 2,
        ..AuditContext::default()
    };
    let json = || result_json(&run(&plan, &context, &params())).expect("finite numbers");
    assert_eq!(json(), json());
}
