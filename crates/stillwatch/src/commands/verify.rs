//! `verify CASE`: does the verdict follow from what the case holds?

use super::audit;
use crate::{
    cli::VerifyArgs,
    outcome::{Exit, Failure},
    printer::Printer,
};
use stillwatch_audit::{VerifyReport, verify_case};

/// Re-hashes the inputs, replays the findings from the stored scores, and says what it found.
pub fn run(args: &VerifyArgs, printer: Printer) -> Result<Exit, Failure> {
    let report = verify_case(&args.case).map_err(|e| audit::failure(&e))?;
    if printer.is_json() {
        printer.json(&report);
    } else {
        printer.out(&in_words(&report));
    }
    Ok(if report.holds() { Exit::Clean } else { Exit::Finding })
}

fn in_words(report: &VerifyReport) -> String {
    let mut lines = vec![report.sentence.clone()];
    lines.extend(report.changes.iter().map(|change| {
        let found = match (&change.found_sha256, &change.problem) {
            (Some(found), _) => format!("has sha256 {found}"),
            (None, Some(problem)) => problem.clone(),
            (None, None) => "is missing".to_owned(),
        };
        let path = change.path.display();
        format!("changed: {} ({path}) {found}, expected {}", change.name, change.expected_sha256)
    }));
    lines.extend(report.differences.iter().map(|field| format!("differs: {field}")));
    lines.push(format!("stored verdict: {}", report.stored.sentence));
    lines.push(format!("note: {}", report.caveat));
    lines.join("\n")
}
