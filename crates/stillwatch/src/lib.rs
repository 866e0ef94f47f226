//! The command line: parse, call, show.
//!
//! Responsible for verbs and flags ([`cli`]), the configuration file ([`config`]), exit codes
//! and errors ([`outcome`]), what is printed where ([`printer`]) and progress bars
//! ([`progress`]). Each verb is one file in [`commands`]. It is the only room that knows clap,
//! the clock and the environment, and it knows no statistics.

pub mod cli;
pub mod commands;
pub mod config;
pub mod outcome;
pub mod printer;
pub mod progress;

use clap::Parser as _;
use outcome::{Exit, Failure};
use printer::Printer;
use std::{ffi::OsString, process::ExitCode};

/// Parses `argv` (the program's name first), runs the verb, prints, returns the exit code.
pub fn run(argv: Vec<OsString>) -> ExitCode {
    let json = argv.iter().skip(1).any(|a| a == "--json");
    let printer = Printer::new(json);
    let code = match dispatch(argv, printer) {
        Ok(exit) => exit,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit
        }
    };
    code.into()
}

fn dispatch(argv: Vec<OsString>, printer: Printer) -> Result<Exit, Failure> {
    let argv = config::expand(argv)?;
    let parsed = match cli::Cli::try_parse_from(argv) {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => return Err(Failure::usage(&error)),
        Err(help) => {
            // Colours where the terminal has them; a closed pipe is no error.
            drop(help.print());
            return Ok(Exit::Clean);
        }
    };
    commands::run(parsed, printer)
}
