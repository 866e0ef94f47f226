//! What a ledger secures for an audit: the coins, and the age of references.

use super::models::{Opened, declared};
use crate::commands::ledger::checked_rounds;
use crate::{cli::AuditArgs, outcome::Failure};
use stillwatch_audit::{AuditContext, Role};
use stillwatch_evidence::{
    Predates,
    ledger::{
        AdverseReason, Filter, LedgerCheck, LedgerClaim, LogView, Unfinished, account_for_range,
    },
    plan::SealedPlan,
    read_exposures,
};

/// What was checked, if a ledger was given.
pub(super) struct Checked(Option<(LogView, LedgerCheck)>);

impl Checked {
    /// The part of a model in the audit; a reference is as old as the ledger or the flags say.
    pub(super) fn role(&self, model: &Opened, args: &AuditArgs) -> Role {
        if model.is_placebo {
            return Role::Placebo;
        }
        let in_ledger = self.0.as_ref().is_some_and(|(view, check)| {
            let hash = model.model.identity().model_hash.parse();
            hash.is_ok_and(|hash| check.predates(view, &hash))
        });
        Role::Reference { predates: if in_ledger { Predates::Ledger } else { declared(args) } }
    }
}

/// Accounts for the whole range that the exposures span, and enters the result in the context.
pub(super) fn check(
    args: &AuditArgs,
    sealed: Option<&SealedPlan>,
    context: &mut AuditContext,
    timeline: &mut Vec<(String, String)>,
) -> Result<Checked, Failure> {
    let (Some(dir), Some(path)) = (&args.ledger, &args.exposures) else {
        return Ok(Checked(None));
    };
    let view = LogView::open(dir).map_err(|e| Failure::report(&e))?;
    let head = view.heads().last().cloned().ok_or_else(|| {
        Failure::input("ledger", format!("{}: the ledger has no signed head", dir.display()))
            .file(dir.display())
            .hint("close an epoch with `stillwatch ledger head`")
    })?;
    let exposures = read_exposures(path).map_err(|e| Failure::report(&e))?.exposures;
    let sequences = || exposures.iter().filter_map(|e| e.commitment.as_ref()).map(|c| c.sequence);
    let planned = sealed.and_then(|s| s.plan.exposures.ledger.as_ref());
    let (first, last, filter) = match planned {
        Some(range) => (range.first_sequence, range.last_sequence, range.filter.clone()),
        None => match sequences().min().zip(sequences().max()) {
            Some((first, last)) => (first, last, Filter::default()),
            None => {
                return Err(Failure::input(
                    "ledger",
                    format!("{}: no exposure names an entry of a ledger", path.display()),
                )
                .file(path.display())
                .hint("each needs a `commitment`; leave --ledger out to audit without one"));
            }
        },
    };
    let rounds = checked_rounds(&args.round_file)?;
    let claim = LedgerClaim {
        first_sequence: first,
        last_sequence: last,
        filter: &filter,
        plan_leaf: sealed.and_then(|s| s.leaf_index),
        rounds: &rounds,
        witnesses: &args.witness,
        unfinished: Unfinished::Adverse,
    };
    let check =
        account_for_range(&view, &head, &claim, &exposures).map_err(|e| Failure::report(&e))?;
    let invalid: Vec<String> = check
        .adverse
        .iter()
        .filter_map(|a| match &a.reason {
            AdverseReason::Invalid(why) => Some(format!("{}: {why}", a.id)),
            _ => None,
        })
        .collect();
    if let Some(first) = invalid.first() {
        return Err(Failure::input(
            "ledger",
            format!(
                "{} exposures don't agree with the ledger; the first is {first}",
                invalid.len()
            ),
        )
        .file(path.display())
        .hint("take them out of the file: each then counts as a pair against you"));
    }
    context.coin_evidence = check.coin_evidence();
    context.unopened_leaves = check.adverse.len();
    // Neither a flag nor a ledger that holds some of the exposures can raise what others are worth.
    let own = exposures.iter().map(|exposure| exposure.coin);
    context.coin = own.chain(context.coin).chain([check.coin]).min();
    if check.n_excluded > 0 {
        let opened = check.opened.iter().filter_map(|o| exposures.get(o.index));
        context.only = Some(opened.map(|exposure| exposure.id.clone()).collect());
    }
    timeline.push((
        check.head.head.time.to_string(),
        format!(
            "ledger head signed over {} entries, root {}; exposures {first} to {last} accounted for, \
             a range that {}",
            check.head.head.tree_size,
            check.head.head.root,
            if planned.is_some() {
                "the plan names"
            } else {
                "was taken from the file: what lies outside it was not asked about"
            }
        ),
    ));
    for problem in &check.problems {
        timeline.push((check.head.head.time.to_string(), format!("the ledger lacks: {problem}")));
    }
    Ok(Checked(Some((view, check))))
}
