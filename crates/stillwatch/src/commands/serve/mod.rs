//! `serve`: the guard, and what belongs to one that ran or will run.
//!
//! What is common to the steps is here: the settings (file, then flags), the environment
//! variables that they name, a runtime. What the guard does is the business of `guard`.

mod check;
pub(crate) mod dry_run;
mod exposures;
mod indicators;
mod keys;
mod run;

use crate::{
    cli::serve::{PlaceArgs, ServeStep, ServeVerb},
    outcome::{Exit, Failure, chain},
    printer::Printer,
};
use std::future::Future;
use stillwatch_evidence::Secret;
use stillwatch_guard::{GuardConfig, GuardError, Secrets};

/// Runs one step.
pub fn run(verb: &ServeVerb, printer: Printer) -> Result<Exit, Failure> {
    match &verb.step {
        None => run::run(&verb.run, printer),
        Some(ServeStep::Run(args)) => run::run(args, printer),
        Some(ServeStep::Exposures(args)) => exposures::run(args, printer),
        Some(ServeStep::DryRun(args)) => dry_run::run(args, printer),
        Some(ServeStep::Indicators(verb)) => indicators::run(&verb.step, printer),
        Some(ServeStep::Keys(verb)) => keys::run(&verb.step, printer),
        Some(ServeStep::Check(args)) => check::check(args, printer),
        Some(ServeStep::ExampleConfig(args)) => Ok(check::example(args, printer)),
    }
}

/// The settings: those of the file, or the defaults.
fn settings(place: &PlaceArgs) -> Result<GuardConfig, Failure> {
    let mut config = match &place.config {
        Some(path) => GuardConfig::read(path).map_err(|e| failure(&e))?,
        None => GuardConfig::default(),
    };
    if let Some(data) = &place.data {
        config.data.clone_from(data);
    }
    Ok(config)
}

/// The variables that the settings name, and no others. A missing one is the guard's to report:
/// it knows which setting wants it.
fn environment(config: &GuardConfig) -> Secrets {
    let found = config.secret_names().into_iter().filter_map(|name| {
        let value = std::env::var_os(&name)?;
        Some((name, Secret::new(value.to_string_lossy())?))
    });
    Secrets(found.collect())
}

/// Runs to its end on a thread per core.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("guard")
        .build()
        .map_err(|e| Failure::new(Exit::Internal, "runtime", e))?;
    runtime.block_on(future)
}

/// What the guard says went wrong, with its causes.
fn failure(error: &GuardError) -> Failure {
    Failure { message: chain(error), ..Failure::report(error) }
}
