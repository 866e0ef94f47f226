//! `completions`: a script for the user's shell.

use crate::{
    cli::{Cli, CompletionsArgs},
    outcome::{Exit, Failure},
    printer::Printer,
};
use clap::CommandFactory as _;

/// Prints the script.
pub fn run(args: &CompletionsArgs, printer: Printer) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stillwatch", &mut script);
    printer.out(String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::Clean)
}
