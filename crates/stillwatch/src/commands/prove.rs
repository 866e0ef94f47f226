//! `prove`: how often the tests are right, and how often they lie.

use super::audit;
use crate::{
    cli::prove::ProveArgs,
    outcome::{Exit, Failure, chain},
    printer::Printer,
    progress::Bars,
};
use stillwatch_lab::{
    LabError,
    prove::{self, Plan, ProveParams},
};

/// Breeds, tests, prints the tables.
pub fn run(args: &ProveArgs, printer: Printer) -> Result<Exit, Failure> {
    let params = ProveParams {
        plan: if args.full { Plan::full() } else { Plan::quick() },
        alpha: args.alpha,
        seed: args.seed,
        throws: args.throws,
        n_threads: usize::from(args.threads),
        out_dir: args.out.clone(),
    };
    let report = prove::run(&params, &Bars::new()).map_err(|e| failure(&e))?;
    if printer.is_json() {
        printer.json(&report);
    } else {
        printer.out(&prove::in_words(&report));
        printer.talk(&format!("look at {}/report.html in a browser", args.out.display()));
    }
    Ok(if report.as_expected { Exit::Clean } else { Exit::Finding })
}

fn failure(error: &LabError) -> Failure {
    let message = chain(error);
    match error {
        LabError::Audit(error) => audit::failure(error),
        LabError::Interrupted => Failure::new(Exit::Partial, "interrupted", message),
        LabError::NotFinite { .. } => Failure::new(Exit::Partial, "not_finite", message),
        LabError::Io(e) if e.kind() == std::io::ErrorKind::StorageFull => {
            Failure::new(Exit::Partial, "disk_full", message).hint("make room and run again")
        }
        _ => Failure::input("prove", message),
    }
}
