//! The JSON of a handful of synthetic tables, byte for byte.

use crate::{
    synth::Plan,
    verdicts::{params, roles},
};
use std::collections::BTreeMap;
use stillwatch_audit::{AuditContext, AuditParams, Role, SetAside, evaluate};
use stillwatch_evidence::{Coin, CoinEvidence, Decide, PlanState, Predates, result_json};

fn json(plan: &Plan, context: &AuditContext, params: &AuditParams) -> String {
    let result = evaluate(&plan.table(), context, params).expect("a good table");
    result_json(&result).expect("finite numbers")
}

#[test]
fn established_by_pool_and_accounts() {
    let plan = Plan {
        n: 120,
        accounts: 2,
        references: 1,
        effect: 0.8,
        coin: Coin::Public,
        ..Plan::default()
    };
    let context = AuditContext {
        coin_evidence: CoinEvidence::Ledger,
        plan: PlanState::Sealed,
        roles: roles(Predates::Ledger, &["ref1"]),
        prompts_fixed: true,
        ..AuditContext::default()
    };
    insta::assert_snapshot!(json(&plan, &context, &params()));
}

#[test]
fn no_evidence_with_a_placebo() {
    let plan = Plan { n: 300, references: 1, ..Plan::default() };
    let context = AuditContext {
        roles: BTreeMap::from([("ref1".to_owned(), Role::Placebo)]),
        set_aside: vec![SetAside {
            reason: "all texts of the exposure are the same".into(),
            count: 4,
        }],
        ..AuditContext::default()
    };
    insta::assert_snapshot!(json(&plan, &context, &params()));
}

#[test]
fn no_coin_no_p_value() {
    let plan = Plan { n: 60, effect: 1.0, coin: Coin::None, ..Plan::default() };
    insta::assert_snapshot!(json(&plan, &AuditContext::default(), &params()));
}

#[test]
fn nothing_to_test() {
    let plan = Plan { n: 0, ..Plan::default() };
    insta::assert_snapshot!(json(&plan, &AuditContext::default(), &params()));
}

#[test]
fn e_decides() {
    let plan = Plan { n: 120, effect: 0.9, coin: Coin::Iid, ..Plan::default() };
    let params = AuditParams { decide: Decide::E, ..params() };
    insta::assert_snapshot!(json(&plan, &AuditContext::default(), &params));
}
