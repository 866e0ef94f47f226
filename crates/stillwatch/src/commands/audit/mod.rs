//! `audit` (`run`): open the models, check plan and ledger, run the audit, show the verdict.
//!
//! Which model is what is in [`models`], what the ledger secures in [`ledger`], what was shown
//! to whom in [`spent`], the text on the terminal in [`show`].

mod ledger;
mod models;
mod show;
mod spent;

pub(super) use show::power_of_ten;

use super::plan;
use crate::{
    cli::{AuditArgs, CoinArg},
    outcome::{Exit, Failure},
    printer::Printer,
    progress::Bars,
};
use jiff::Timestamp;
use stillwatch_audit::{
    AuditContext, AuditError, AuditOutcome, AuditParams, AuditRequest, AuditSource, OtherModel,
    ScoreEnd, run_audit,
};
use stillwatch_evidence::{Coin, PlanState, Report as _, VerdictKind};

/// Runs the audit that the flags describe.
pub fn run(args: &AuditArgs, printer: Printer) -> Result<Exit, Failure> {
    let progress = Bars::new();
    let mut params = AuditParams {
        alpha: args.alpha,
        decide: args.decides(),
        seed: args.seed,
        n_resamples: args.resamples,
        target_effect: args.target_effect,
        ..AuditParams::default()
    };
    params.check().map_err(|e| failure(&e))?;
    let mut context = AuditContext {
        coin: args.coin.map(|coin| match coin {
            CoinArg::Public => Coin::Public,
            CoinArg::Server => Coin::Server,
            CoinArg::Iid => Coin::Iid,
            CoinArg::None => Coin::None,
        }),
        prompts_fixed: args.prompts_fixed,
        ..AuditContext::default()
    };
    let sealed = plan::follow(args)?;
    let mut inputs = Vec::new();
    let mut timeline = Vec::new();
    if let (Some(sealed), Some(path)) = (&sealed, &args.plan) {
        context.plan = PlanState::Sealed;
        params.plan_index = Some(u32::try_from(sealed.number).unwrap_or(u32::MAX));
        inputs.push(("plan".to_owned(), path.clone()));
        timeline.push((sealed.time.to_string(), format!("plan {} sealed", sealed.number)));
    }
    let opened = models::open_all(args)?;
    let checked = ledger::check(args, sealed.as_ref(), &mut context, &mut timeline)?;
    let source = match (&args.scores, &args.exposures, &opened.suspect) {
        (Some(scores), _, _) => {
            context.roles = models::roles_of_columns(args);
            AuditSource::Scores(scores.clone())
        }
        (None, Some(exposures), Some(suspect)) => AuditSource::Exposures {
            path: exposures.clone(),
            suspect_spec: suspect.spec.clone(),
            suspect: suspect.model.as_ref(),
            others: opened
                .others
                .iter()
                .map(|o| OtherModel {
                    spec: o.spec.clone(),
                    role: checked.role(o, args),
                    model: o.model.as_ref(),
                })
                .collect(),
            budget: args.budget,
        },
        _ => return Err(Failure::input("usage", "neither --scores nor --suspect is given")),
    };
    spent::warn(args, &progress)?;
    let request = AuditRequest {
        source,
        params,
        context,
        question: None,
        out: args.out.clone(),
        show_texts: args.show_texts,
        inputs,
        timeline,
        commands: vec![show::command()],
    };
    let now = Timestamp::now().to_string();
    let outcome = run_audit(&request, &progress, &now).map_err(|e| failure(&e))?;
    spent::mark(args, &now)?;
    if printer.is_json() {
        printer.json(outcome.result());
    } else {
        printer.out(&show::outcome(&outcome));
    }
    Ok(exit(&outcome))
}

/// Partial beats a finding: the run can be resumed.
fn exit(outcome: &AuditOutcome) -> Exit {
    if outcome.result().partial || matches!(outcome.end, ScoreEnd::Partial(_)) {
        return Exit::Partial;
    }
    match outcome.result().verdict {
        VerdictKind::Established | VerdictKind::Indicated => Exit::Finding,
        VerdictKind::NoEvidence | VerdictKind::Inconclusive => Exit::Clean,
    }
}

/// What an audit's error means for the shell.
pub(crate) fn failure(error: &AuditError) -> Failure {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        message = format!("{message}: {deeper}");
        cause = deeper.source();
    }
    match error {
        AuditError::Read(read) => Failure::report(read),
        AuditError::Params { field, .. } => Failure::input("parameter", message)
            .hint(format!("see `stillwatch audit --help`, --{field}")),
        AuditError::Model { source, .. } => models::failure(message, source),
        AuditError::Case { path, source } => {
            let full = source
                .downcast_ref::<stillwatch_evidence::CaseError>()
                .filter(|e| e.exit_code() == stillwatch_evidence::EXIT_PARTIAL);
            match full {
                Some(full) => Failure::report(full),
                None => Failure::input("case", message).file(path.display()),
            }
        }
        _ => Failure::input("data", message),
    }
}
