//! One file per verb.

pub mod completions;
pub mod reference;

use crate::{
    cli::{Cli, Verb},
    outcome::{Exit, Failure},
    printer::Printer,
};

/// Runs the verb.
pub fn run(cli: Cli, printer: Printer) -> Result<Exit, Failure> {
    match cli.verb {
        Verb::Completions(args) => completions::run(&args, printer),
        Verb::Reference(args) => reference::run(&args, printer),
        Verb::Demo(_) | Verb::Audit(_) | Verb::Verify(_) => {
            Err(Failure::input("usage", "not built yet"))
        }
    }
}
