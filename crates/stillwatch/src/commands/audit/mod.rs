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
    cli::{AuditArgs, CoinArg, ScoreByArg},
    outcome::{Exit, Failure, chain},
    printer::Printer,
    progress::Bars,
};
use jiff::Timestamp;
use stillwatch_audit::{
    AuditContext, AuditError, AuditOutcome, AuditParams, AuditRequest, AuditSource, OtherModel,
    ScoreEnd, ScoreKind, run_audit,
};
use stillwatch_evidence::{CaseError, Coin, PlanState, VerdictKind};

/// Runs the audit that the flags describe.
pub fn run(args: &AuditArgs, printer: Printer) -> Result<Exit, Failure> {
    let progress = Bars::new();
    let mut params = AuditParams {
        alpha: args.alpha,
        decide: args.decides(),
        seed: args.seed,
        n_resamples: args.resamples,
        target_effect: args.target_effect,
        stopping: args.stopping(),
        ..AuditParams::default()
    };
    params.check().map_err(|e| failure(&e))?;
    let mut context = context(args);
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
    let now = Timestamp::now().to_string();
    if opened.sees_texts(&context) {
        // Before the first query: a run that fails half-way has shown them too.
        spent::mark(args, &now)?;
    }
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
    let outcome = run_audit(&request, &progress, &now).map_err(|e| in_file(failure(&e), args))?;
    if printer.is_json() {
        printer.json(outcome.result());
    } else {
        printer.out(&show::outcome(&outcome));
    }
    Ok(exit(&outcome))
}

/// What the flags say of the case.
fn context(args: &AuditArgs) -> AuditContext {
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
    match args.score_by {
        Some(ScoreByArg::Similarity) => context.score_kind = ScoreKind::Similarity,
        Some(ScoreByArg::ForcedChoice) => context.score_kind = ScoreKind::ForcedChoice,
        None => {}
    }
    if let Some(samples) = args.samples {
        context.samples = samples.into();
    }
    context
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

/// An error in the data that names no file is about the file that was given.
fn in_file(failure: Failure, args: &AuditArgs) -> Failure {
    match args.scores.as_ref().or(args.exposures.as_ref()) {
        Some(path) if failure.code == "data" && failure.file.is_none() => {
            let message = format!("{}: {}", path.display(), failure.message);
            Failure { message, ..failure }.file(path.display())
        }
        _ => failure,
    }
}

/// What an audit's error means for the shell.
pub(crate) fn failure(error: &AuditError) -> Failure {
    let message = chain(error);
    match error {
        AuditError::Read(read) => Failure::report(read),
        AuditError::Params { field, .. } => Failure::input("parameter", message)
            .hint(format!("see `stillwatch audit --help`, --{field}")),
        AuditError::Model { source, .. } => models::failure(message, source),
        AuditError::Case { path, source } => match source.downcast_ref::<CaseError>() {
            Some(source) => Failure::report(source),
            None => Failure::input("case", message).file(path.display()),
        },
        _ => Failure::input("data", message),
    }
}
