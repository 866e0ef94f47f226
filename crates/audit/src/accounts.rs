//! Whose traffic is in the model: each account's own test, and who may be named.
//!
//! Tests, combination and family-wise error are those of [`stillwatch_stats::accounts`]; here
//! they are put to the units of a case, and to the number that decides.

use crate::{
    AuditError, AuditParams,
    evaluate::PooledRun,
    prepare::{Prepared, units_of},
    sequential::Questions,
    series::AccountPoint,
    twins::test_params,
};
use stillwatch_evidence::{AccountFinding, Decide};
use stillwatch_stats::{
    EValue, PValue,
    accounts::{AccountsParams, Decision, accounts_test},
};

/// Every account's answer.
pub(crate) struct AccountAnswers {
    /// One for each tested account; absent where the run stopped by looking at the data.
    pub p_values: Option<Vec<PValue>>,
    /// One for each tested account, at the common stopping time.
    pub e_values: Vec<EValue>,
    pub p: Option<Decision<PValue>>,
    pub e: Option<Decision<EValue>>,
    /// Units of every account, tested or not.
    pub counts: Vec<usize>,
    /// Units of all tested accounts.
    pub n_units: usize,
    /// Tested accounts with units left when the run stopped.
    pub unfinished: Vec<String>,
}

impl AccountAnswers {
    /// Who is named, by the number that decides; one for each tested account.
    pub(crate) fn named(&self, params: &AuditParams) -> Vec<bool> {
        match params.decide {
            Decide::P => self.p.as_ref().map(|d| d.named.clone()),
            Decide::E => self.e.as_ref().map(|d| d.named.clone()),
        }
        .unwrap_or_default()
    }

    /// Pooled test and accounts together: base-10 logarithm, and whether that passes.
    pub(crate) fn together(&self, params: &AuditParams) -> Option<(f64, bool)> {
        match params.decide {
            Decide::P => self.p.as_ref().map(|d| (d.overall.log10(), d.rejected)),
            Decide::E => self.e.as_ref().map(|d| (d.overall.log10(), d.rejected)),
        }
    }

    /// Strengths to draw, of the accounts that carry the deciding number.
    pub(crate) fn points(accounts: &[AccountFinding], params: &AuditParams) -> Vec<AccountPoint> {
        accounts
            .iter()
            .filter_map(|a| {
                let strength = match params.decide {
                    Decide::P => a.log10_p_value.map(|p| 0.0 - p),
                    Decide::E => a.log10_e_value,
                }?;
                let (account, n, named) = (a.account.clone(), a.n, a.rejected);
                Some(AccountPoint { account, n, strength, named })
            })
            .collect()
    }
}

/// Tests every account that has units enough.
pub(crate) fn account_answers(
    prepared: &Prepared,
    main: &PooledRun,
    questions: &Questions,
    params: &AuditParams,
) -> Result<AccountAnswers, AuditError> {
    let counts = units_of(prepared.accounts.len(), &prepared.members);
    let none = questions.tested.is_empty();
    let p =
        if main.stopped || none { None } else { Some(by_p(prepared, main, questions, params)?) };
    let (p_values, p) = p.unzip();
    let unfinished = questions
        .tested
        .iter()
        .zip(&main.moment.counts)
        .filter(|(account, settled)| {
            let planned = prepared.planned_units.get(**account).copied().unwrap_or(0);
            **settled < planned + main.n_adverse
        })
        .filter_map(|(account, _)| prepared.accounts.get(*account).cloned())
        .collect();
    Ok(AccountAnswers {
        p_values,
        e_values: main.moment.accounts.clone(),
        p,
        e: (!none).then(|| main.moment.decision.clone()),
        n_units: questions.tested.iter().filter_map(|a| counts.get(*a)).sum(),
        counts,
        unfinished,
    })
}

/// The accounts' p-values and what follows from them. Adverse units stand in front of the
/// others and count in every account, since an unopened leaf doesn't say whose it is.
fn by_p(
    prepared: &Prepared,
    main: &PooledRun,
    questions: &Questions,
    params: &AuditParams,
) -> Result<(Vec<PValue>, Decision<PValue>), AuditError> {
    let positions: Vec<Vec<usize>> = questions
        .tested
        .iter()
        .map(|account| {
            let own = prepared
                .members
                .iter()
                .enumerate()
                .filter(|(_, members)| members.contains(account))
                .map(|(i, _)| main.n_adverse + i);
            (0..main.n_adverse).chain(own).collect()
        })
        .collect();
    let test = accounts_test(&main.test.units, &positions, &accounts_params(questions, params))?;
    let p_values = test.accounts.iter().map(|a| a.test.p_value).collect();
    Ok((p_values, test.decision))
}

/// What the tests of accounts are told.
pub(crate) fn accounts_params(questions: &Questions, params: &AuditParams) -> AccountsParams {
    AccountsParams { alpha: questions.alpha, split: questions.split, test: test_params(params) }
}
