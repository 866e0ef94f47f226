//! The tests that are measured: one line of [`BATTERY`] each.
//!
//! Beside the audit's own tests stand two that are not exact, or not under every condition: what
//! they do to the innocent is why they are no grounds for a verdict. A later test is measured by
//! adding its line.

use super::score::Scores;
use crate::LabError;
use statrs::distribution::{ContinuousCDF as _, StudentsT};
use std::collections::{BTreeMap, BTreeSet};
use stillwatch_audit::{AuditContext, AuditParams, PowerAnalysis, Role, evaluate};
use stillwatch_evidence::{AuditResult, Coin, Decide, Predates, ScoreRow, ScoreTable, VerdictKind};

/// One audit that the battery is put to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    /// Account of each pair.
    pub(super) accounts: &'a [String],
    pub(super) suspect: &'a Scores,
    /// The reference that is used.
    pub(super) reference: &'a Scores,
    /// What the auditor is told of its age.
    pub(super) predates: Predates,
    /// A model older than the coins, shared by all.
    pub(super) base: &'a Scores,
    /// Whether `base` takes the test as a placebo.
    pub(super) placebo: bool,
    /// Accounts that the suspect did learn from.
    pub(super) learnt: &'a BTreeSet<String>,
    pub(super) alpha: f64,
    pub(super) seed: u64,
    pub(super) n_resamples: u32,
}

/// What a test said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// It accuses.
    pub(super) accuses: bool,
    /// Base-10 logarithm of what it calls its p-value, if it has one.
    pub(super) log10_p: Option<f64>,
}

/// A test of the battery.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatteryTest {
    pub(super) name: &'static str,
    /// Its error rate is exact where its assumptions hold.
    pub(super) exact: bool,
    pub(super) what: &'static str,
    pub(super) run: fn(&Case<'_>) -> Result<Outcome, LabError>,
}

/// Every test that is measured.
pub(super) const BATTERY: [BatteryTest; 6] = [
    BatteryTest {
        name: "twins",
        exact: true,
        what: "the audit as it ships, fixed n: pooled and by account, with the reference where its age allows",
        run: twins,
    },
    BatteryTest {
        name: "twins alone",
        exact: true,
        what: "the pooled test without reference",
        run: twins_alone,
    },
    BatteryTest {
        name: "e-process",
        exact: true,
        what: "the audit as it ships, anytime-valid",
        run: e_process,
    },
    BatteryTest {
        name: "accounts",
        exact: true,
        what: "an account is named from which the suspect did not learn (of the guilty: one from which it did)",
        run: accounts,
    },
    BatteryTest {
        name: "free slope",
        exact: false,
        what: "twins with a slope of either sign and no question of the reference's age",
        run: |case| Ok(free_slope(case)),
    },
    BatteryTest {
        name: "likelihood gain",
        exact: false,
        what: "released texts are likelier than to an older model (t-test): no coin is used",
        run: |case| Ok(likelihood_gain(case)),
    },
];

/// The table that the audit reads.
pub(super) fn table(case: &Case<'_>) -> ScoreTable {
    let mut reference_names = vec!["reference".to_owned()];
    if case.placebo {
        reference_names.push("placebo".to_owned());
    }
    let rows = case
        .accounts
        .iter()
        .zip(&case.suspect.values)
        .zip(case.reference.values.iter().zip(&case.base.values))
        .zip(&case.suspect.tokens)
        .enumerate()
        .map(|(i, (((account, suspect), (reference, base)), tokens))| {
            let mut references = vec![reference.to_vec()];
            if case.placebo {
                references.push(base.to_vec());
            }
            ScoreRow {
                id: format!("pair-{i:05}"),
                account: Some(account.clone()),
                coin: Some(Coin::Server),
                unit: None,
                suspect: suspect.to_vec(),
                references,
                n_tokens: Some(tokens.to_vec()),
            }
        })
        .collect();
    ScoreTable { reference_names, rows, sha256: String::new() }
}

/// The audit as it ships, without the power analysis.
pub(super) fn audit(case: &Case<'_>, decide: Decide) -> Result<AuditResult, LabError> {
    let mut roles =
        BTreeMap::from([("reference".to_owned(), Role::Reference { predates: case.predates })]);
    if case.placebo {
        roles.insert("placebo".to_owned(), Role::Placebo);
    }
    let context = AuditContext { roles, prompts_fixed: true, ..AuditContext::default() };
    let params = AuditParams {
        alpha: case.alpha,
        decide,
        seed: case.seed,
        n_resamples: case.n_resamples,
        power_analysis: PowerAnalysis::Skip,
        ..AuditParams::default()
    };
    Ok(evaluate(&table(case), &context, &params)?)
}

fn verdict(result: &AuditResult) -> Outcome {
    Outcome {
        accuses: result.verdict == VerdictKind::Established,
        log10_p: result.findings.first().and_then(|f| f.log10_p_value),
    }
}

fn twins(case: &Case<'_>) -> Result<Outcome, LabError> {
    Ok(verdict(&audit(case, Decide::P)?))
}

fn twins_alone(case: &Case<'_>) -> Result<Outcome, LabError> {
    let result = audit(&Case { predates: Predates::Unknown, placebo: false, ..*case }, Decide::P)?;
    let log10_p = result.findings.first().and_then(|f| f.log10_p_value);
    Ok(Outcome { accuses: log10_p.is_some_and(|p| p <= case.alpha.log10()), log10_p })
}

fn e_process(case: &Case<'_>) -> Result<Outcome, LabError> {
    Ok(verdict(&audit(case, Decide::E)?))
}

fn accounts(case: &Case<'_>) -> Result<Outcome, LabError> {
    let result = audit(case, Decide::P)?;
    let guilty = !case.learnt.is_empty();
    let accuses =
        result.accounts.iter().any(|a| a.rejected && case.learnt.contains(&a.account) == guilty);
    Ok(Outcome { accuses, log10_p: None })
}

/// Least squares through the origin, either sign, then a t-test on what remains. The slope stays
/// under swaps, so with an untainted reference it errs no more than a t-test does; one that saw a
/// side turns it.
fn free_slope(case: &Case<'_>) -> Outcome {
    let (suspect, reference) = (case.suspect.differences(), case.reference.differences());
    let cross: f64 = suspect.iter().zip(&reference).map(|(s, r)| s * r).sum();
    let square: f64 = reference.iter().map(|r| r * r).sum();
    let slope = if square > 0.0 { cross / square } else { 0.0 };
    let x: Vec<f64> = suspect.iter().zip(&reference).map(|(s, r)| s - slope * r).collect();
    t_test(&x, case.alpha)
}

/// Gain of the released text over an older model, nats per token.
fn likelihood_gain(case: &Case<'_>) -> Outcome {
    let x: Vec<f64> = case
        .suspect
        .values
        .iter()
        .zip(&case.base.values)
        .zip(&case.suspect.tokens)
        .map(|((s, b), n)| (s[0] - b[0]) / n[0].max(1.0))
        .collect();
    t_test(&x, case.alpha)
}

/// One-sided t-test of a mean above 0: approximate, and blind to where the mean comes from.
fn t_test(x: &[f64], alpha: f64) -> Outcome {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = mean / (variance / n).sqrt();
    let p = StudentsT::new(0.0, 1.0, n - 1.0).map_or(1.0, |d| d.sf(t));
    if !p.is_finite() {
        return Outcome { accuses: false, log10_p: None };
    }
    let log10_p = p.max(1e-300).log10();
    Outcome { accuses: p <= alpha, log10_p: Some(log10_p) }
}
