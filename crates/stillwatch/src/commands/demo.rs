//! `demo`: the whole chain, both ways round, with known truth.

use crate::{
    cli::DemoArgs,
    outcome::{Exit, Failure},
    printer::Printer,
    progress::Bars,
};
use stillwatch_lab::demo;

/// Trains, exposes, audits, prints the table.
pub fn run(args: &DemoArgs, printer: Printer) -> Result<Exit, Failure> {
    let params = demo::DemoParams {
        seed: args.seed,
        out_dir: args.out.clone(),
        ..demo::DemoParams::default()
    };
    let report = demo::run(&params, &Bars::new())
        .map_err(|e| Failure::input("demo", chain(&e)))?;
    Ok(if report.all_match { Exit::Clean } else { Exit::Finding })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        message = format!("{message}: {deeper}");
        cause = deeper.source();
    }
    message
}
