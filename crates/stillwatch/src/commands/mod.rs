//! One file per verb.

pub mod audit;
pub mod completions;
pub mod cost;
pub mod demo;
pub mod ledger;
pub mod plan;
pub mod prove;
pub mod reference;
#[cfg(feature = "scan")]
pub mod scan;
pub mod serve;
pub mod verify;

use crate::{
    cli::{AuditStep, Cli, Verb},
    outcome::{Exit, Failure},
    printer::Printer,
};

/// Runs the verb.
pub fn run(cli: Cli, printer: Printer) -> Result<Exit, Failure> {
    match cli.verb {
        Verb::Completions(args) => completions::run(&args, printer),
        Verb::Audit(verb) => match verb.step {
            Some(AuditStep::Plan(args)) => plan::run(&args, printer),
            Some(AuditStep::Run(args)) => audit::run(&args, printer),
            None => audit::run(&verb.run, printer),
        },
        Verb::Verify(args) => verify::run(&args, printer),
        Verb::Ledger(verb) => ledger::run(&verb, printer),
        #[cfg(feature = "scan")]
        Verb::Scan(args) => scan::run(&args, printer),
        Verb::Serve(verb) => serve::run(&verb, printer),
        Verb::Reference(args) => reference::run(&args, printer),
        Verb::Cost(args) => cost::run(&args, printer),
        Verb::Prove(args) => prove::run(&args, printer),
        Verb::Demo(args) => demo::run(&args, printer),
    }
}
