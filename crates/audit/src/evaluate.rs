//! From a table of scores to the verdict: pure, and byte for byte repeatable.
//!
//! What is done, in this order, and nothing in it looks at who was preferred before the tests
//! themselves: rows become units, accounts with pairs enough are chosen, alpha is split, the
//! deciding set of references is fixed by their ages, then the tests are made, placebos among
//! them, and the rules of verdicts applied.

use crate::{
    AuditContext, AuditError, AuditParams,
    accounts::{AccountAnswers, account_answers, accounts_params},
    describe::Describe,
    params,
    placebos::{doubts, placebo_findings, reference_findings},
    prepare::{Prepared, Subject, prepare, select, with_adverse},
    sentence::sentence,
    sequential::{Moment, Questions, replay},
    series::{Evaluation, Series},
    twins::{self, PooledTest, pooled_test},
    verdict::{self, Combined, Facts, Pooled},
    words,
};
use stillwatch_evidence::{AccountFinding, AuditResult, Decide, Grade, Predates, ScoreTable};
use stillwatch_stats::{
    Alpha, ScoreSet,
    accounts::{self as account_stats, AlphaSplit, Coins},
    pairs_needed,
};

/// Name and version of the result's format.
pub const RESULT_SCHEMA: &str = "stillwatch.audit-result/1";

/// Tests a table of scores.
///
/// Same table, context and params give the same result, byte for byte.
pub fn evaluate(
    table: &ScoreTable,
    context: &AuditContext,
    params: &AuditParams,
) -> Result<AuditResult, AuditError> {
    let (result, _) = judge(table, context, params)?;
    Ok(result)
}

/// Tests a table of scores and keeps the curves that the report draws.
pub fn evaluate_with_series(
    table: &ScoreTable,
    context: &AuditContext,
    params: &AuditParams,
) -> Result<Evaluation, AuditError> {
    let (result, drawn) = judge(table, context, params)?;
    let series = series(&drawn.main, &result.accounts, &drawn.questions, params)?;
    Ok(Evaluation { result, series })
}

/// What the curves are drawn from.
struct Drawn {
    main: PooledRun,
    questions: Questions,
}

fn judge(
    table: &ScoreTable,
    context: &AuditContext,
    params: &AuditParams,
) -> Result<(AuditResult, Drawn), AuditError> {
    params.check()?;
    let prepared = prepare(table, context)?;
    let questions = questions(&prepared, context, params)?;
    let all: Vec<usize> = prepared.references.iter().map(|r| r.column.index).collect();
    let deciding = deciding_references(&prepared);
    let test = |references: &[usize]| pooled(&prepared, references, context, params, &questions);
    let mut main = test(&deciding)?;
    let share = questions.pooled_alpha()?;
    let tested = (main.sets.as_slice(), main.test.units.as_slice());
    main.test.min_detectable_effect = twins::detectable(main.n_adverse, tested, share, params);
    let other = if all.is_empty() {
        None
    } else if deciding.is_empty() {
        Some((words::TWINS_WITH, test(&all)?, all.clone()))
    } else {
        Some((words::TWINS_WITHOUT, test(&[])?, Vec::new()))
    };
    let accounts = account_answers(&prepared, &main, &questions, params)?;
    let references = reference_findings(&prepared, &betas(&all, &main, other.as_ref()), params)?;
    let placebos = placebo_findings(&prepared, &deciding, params)?;
    let facts = Facts {
        n_pairs: main.n,
        pairs_needed: pairs_needed(questions.alpha, prepared.k_min),
        alpha: questions.alpha.value(),
        decide: params.decide,
        coin: prepared.coin,
        coin_evidence: context.coin_evidence,
        plan: context.plan,
        prompts_fixed: context.prompts_fixed,
        ages_declared: prepared
            .references
            .iter()
            .any(|r| deciding.contains(&r.column.index) && r.predates == Predates::Declared),
        pooled: pooled_fact(&main, &questions, params)?,
        accounts: combined_fact(&accounts, &prepared, &questions, params),
        together: accounts.together(params),
        doubts: doubts(&references, &placebos, params.alpha),
        min_detectable_effect: main.test.min_detectable_effect,
        target_effect: params.target_effect,
        partial: context.partial,
    };
    let decision = verdict::decide(&facts);
    let describe = Describe { prepared: &prepared, context, params };
    let mut findings = vec![describe.finding(words::TWINS, &main, true, &deciding)];
    if let Some((name, run, used)) = &other {
        findings.push(describe.finding(name, run, false, used));
    }
    if !questions.tested.is_empty() {
        findings.push(describe.combination(&accounts, &questions));
    }
    let account_list = describe.accounts(&accounts, &questions, decision.verdict);
    let result = AuditResult {
        schema: RESULT_SCHEMA.to_owned(),
        verdict: decision.verdict,
        sentence: sentence(&facts, decision),
        alpha: params.alpha,
        alpha_split: params.split(!questions.tested.is_empty()),
        decide: params.decide,
        seed: params.seed,
        grade: Grade {
            coin: prepared.coin,
            coin_evidence: context.coin_evidence,
            plan: context.plan,
            placebos,
        },
        n_pairs: main.n,
        n_set_aside: context.n_set_aside(),
        references,
        findings,
        accounts: account_list,
        partial: context.partial,
    };
    Ok((result, Drawn { main, questions }))
}

/// Which accounts are tested and how alpha is split: functions of numbers of units only.
///
/// An account with fewer units than any test needs at the whole of alpha can't be named by
/// anything and isn't tested; its units count in the pool.
pub(crate) fn questions(
    prepared: &Prepared,
    context: &AuditContext,
    params: &AuditParams,
) -> Result<Questions, AuditError> {
    let alpha = Alpha::new(params.spent_alpha())?;
    let tested_from = pairs_needed(alpha, prepared.k_min);
    let tested: Vec<usize> = prepared
        .planned_units
        .iter()
        .enumerate()
        .filter(|(_, n)| **n >= tested_from)
        .map(|(i, _)| i)
        .collect();
    let split = AlphaSplit::new(params::POOLED_SHARE)?;
    let shared = prepared.shared_coins || context.unopened_leaves > 0;
    let coins = if shared { Coins::Shared } else { Coins::Disjoint };
    let mut questions = Questions { alpha, tested, tested_from, pairs_needed: 0, split, coins };
    questions.pairs_needed = account_stats::pairs_needed(
        questions.tested.len(),
        prepared.k_min,
        &accounts_params(&questions, params),
    );
    Ok(questions)
}

/// The references of the deciding finding: all of them if each is older than the coins, by
/// ledger or declaration; none otherwise, since one that saw the withheld side convicts.
pub(crate) fn deciding_references(prepared: &Prepared) -> Vec<usize> {
    if prepared.references.iter().any(|r| r.predates == Predates::Unknown) {
        return Vec::new();
    }
    prepared.references.iter().map(|r| r.column.index).collect()
}

/// A pooled run: the fixed-n test and the e-process over the same units.
pub(crate) struct PooledRun {
    /// Units, adverse ones included.
    pub n: usize,
    /// The sets tested, adverse ones included.
    pub sets: Vec<ScoreSet>,
    pub test: PooledTest,
    pub moment: Moment,
    /// The declared rule stopped the e-process by looking at the data.
    pub stopped: bool,
    pub e_path: Vec<f64>,
    /// Adverse units, one for each leaf that was not opened; in front of all others in the test.
    pub n_adverse: usize,
}

fn pooled(
    prepared: &Prepared,
    references: &[usize],
    context: &AuditContext,
    params: &AuditParams,
    questions: &Questions,
) -> Result<PooledRun, AuditError> {
    let own = select(&prepared.sets, Subject::Suspect, references)?;
    let sets = with_adverse(&own, context.unopened_leaves)?;
    let n_adverse = sets.len() - own.len();
    let adverse: Vec<ScoreSet> = sets.iter().take(n_adverse).cloned().collect();
    let replayed = replay(prepared, references, &adverse, questions, params)?;
    Ok(PooledRun {
        n: sets.len(),
        test: pooled_test(&sets, params)?,
        moment: replayed.moment,
        stopped: replayed.stopped,
        e_path: replayed.path,
        n_adverse,
        sets,
    })
}

/// The slope of each reference, from whichever run used them all.
fn betas(
    all: &[usize],
    main: &PooledRun,
    other: Option<&(&'static str, PooledRun, Vec<usize>)>,
) -> Vec<f64> {
    [Some(main), other.map(|(_, run, _)| run)]
        .into_iter()
        .flatten()
        .map(|run| run.test.beta.clone())
        .find(|beta| beta.len() == all.len())
        .unwrap_or_default()
}

fn pooled_fact(
    main: &PooledRun,
    questions: &Questions,
    params: &AuditParams,
) -> Result<Pooled, AuditError> {
    let share = questions.pooled_alpha()?;
    let (log10, alone) = match params.decide {
        Decide::P => (main.test.p.log10(), main.test.p.ln() <= share.ln()),
        Decide::E => (main.moment.pooled.log10(), main.moment.pooled.ln() >= -share.ln()),
    };
    Ok(Pooled { log10, share: share.value(), rejected: alone })
}

fn combined_fact(
    accounts: &AccountAnswers,
    prepared: &Prepared,
    questions: &Questions,
    params: &AuditParams,
) -> Option<Combined> {
    let share = questions.accounts_alpha()?;
    let (log10, rejected) = match params.decide {
        Decide::P => accounts.p.as_ref().map(|d| (d.combination.log10(), d.accounts_spoke)),
        Decide::E => accounts.e.as_ref().map(|d| (d.combination.log10(), d.accounts_spoke)),
    }?;
    let named = questions
        .tested
        .iter()
        .zip(accounts.named(params))
        .filter(|(_, named)| *named)
        .filter_map(|(account, _)| prepared.accounts.get(*account).cloned())
        .collect();
    Some(Combined { log10, share, rejected, n_tested: questions.tested.len(), named })
}

fn series(
    main: &PooledRun,
    accounts: &[AccountFinding],
    questions: &Questions,
    params: &AuditParams,
) -> Result<Series, AuditError> {
    let share = questions.pooled_alpha()?;
    let threshold = -share.ln() / std::f64::consts::LN_10;
    Ok(Series {
        x: main.test.x.clone(),
        e_crossing: main.e_path.iter().position(|e| *e >= threshold).map(|i| i + 1),
        e_path: main.e_path.clone(),
        e_threshold: threshold,
        power: twins::curve(main.n_adverse, &main.test.units, share, params),
        accounts: AccountAnswers::points(accounts, params),
        account_threshold: (!questions.tested.is_empty())
            .then(|| (questions.tested.len() as f64 / questions.alpha.value()).log10()),
    })
}
