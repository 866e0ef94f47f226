//! `demo`: the whole chain, both ways round, with known truth.

use super::audit;
use crate::{
    cli::DemoArgs,
    outcome::{Exit, Failure, chain},
    printer::Printer,
    progress::Bars,
};
use jiff::Timestamp;
use std::path::PathBuf;
use stillwatch_evidence::VerdictKind;
use stillwatch_lab::{
    LabError,
    demo::{self, DemoCoins, DemoOutcome, DemoParams, DemoRow},
};

/// Trains, exposes, audits, prints the table.
pub fn run(args: &DemoArgs, printer: Printer) -> Result<Exit, Failure> {
    let params = DemoParams {
        seed: args.seed,
        coins: if args.seeded_coins { DemoCoins::Seed } else { DemoCoins::OperatingSystem },
        ..DemoParams::new(args.out.clone().unwrap_or_else(next_free), Timestamp::now())
    };
    let outcome = demo::run(&params, &Bars::new()).map_err(|e| failure(&e))?;
    if printer.is_json() {
        printer.json(&outcome.report);
    } else {
        printer.out(&in_words(&outcome, args));
    }
    Ok(if outcome.report.all_match { Exit::Clean } else { Exit::Finding })
}

/// `demo`, or the first of `demo-2`, `demo-3`, … that isn't there: a demo never overwrites one.
fn next_free() -> PathBuf {
    let names = std::iter::once("demo".to_owned()).chain((2u32..).map(|n| format!("demo-{n}")));
    names.map(PathBuf::from).find(|path| !path.exists()).unwrap_or_default()
}

fn failure(error: &LabError) -> Failure {
    if let LabError::Audit(error) = error {
        return audit::failure(error);
    }
    let message = chain(error);
    match error {
        LabError::NotFinite { .. } => Failure::new(Exit::Partial, "not_finite", message),
        LabError::Io(e) if e.kind() == std::io::ErrorKind::StorageFull => {
            Failure::new(Exit::Partial, "disk_full", message).hint("make room and run again")
        }
        _ => Failure::input("demo", message),
    }
}

fn in_words(outcome: &DemoOutcome, args: &DemoArgs) -> String {
    let mut lines = vec![format!(
        "{:<18} {:<13} {:<13} {:>5} {:>9} {:>7} {:>10}  accounts named",
        "suspect", "expected", "verdict", "n", "p", "effect", "would see"
    )];
    for (audit, row) in outcome.report.audits.iter().zip(&outcome.rows) {
        let named = &audit.accounts_rejected;
        let named = match (row.result.accounts.len(), named.is_empty()) {
            (0, _) => "-".to_owned(),
            (n, true) => format!("none of {n}"),
            (n, false) => format!("{} of {n}: {}", named.len(), named.join(", ")),
        };
        lines.push(format!(
            "{:<18} {:<13} {:<13} {}  {named}{}",
            audit.name,
            word(audit.expected),
            word(audit.verdict),
            figures(row),
            if audit.matches() { "" } else { "  <- not as expected" }
        ));
    }
    lines.push(String::new());
    let seconds: f64 = outcome.phases.iter().map(|(_, seconds)| seconds).sum();
    let phases: Vec<String> =
        outcome.phases.iter().map(|(name, seconds)| format!("{name} {seconds:.0} s")).collect();
    lines.push(format!("{seconds:.0} s in all: {}", phases.join(", ")));
    lines.push(if args.seeded_coins {
        "coins: from the seed (a measurement, no evidence)".to_owned()
    } else {
        "coins: from the operating system".to_owned()
    });
    lines.push(if outcome.report.all_match {
        "every verdict and every named account is as known".to_owned()
    } else {
        "NOT every verdict is as known".to_owned()
    });
    if let Some(first) = outcome.report.audits.first() {
        lines.push(format!(
            "look at {}/report.html and its neighbours in a browser; re-check with `stillwatch verify {}`",
            first.case, first.case
        ));
    }
    lines.join("\n")
}

/// n, p, effect, and the smallest effect that would have been seen.
fn figures(row: &DemoRow) -> String {
    let finding = row.result.findings.first();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let p = finding.and_then(|f| f.log10_p_value).map(audit::power_of_ten);
    let effect = finding.and_then(|f| f.effect.as_ref()).map(|e| format!("{:.2}", e.estimate));
    let smallest = finding.and_then(|f| f.min_detectable_effect).map(|e| format!("{e:.2}"));
    format!(
        "{:>5} {:>9} {:>7} {:>10}",
        row.result.n_pairs,
        or_dash(p),
        or_dash(effect),
        or_dash(smallest)
    )
}

fn word(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Established => "established",
        VerdictKind::Indicated => "indicated",
        VerdictKind::NoEvidence => "no evidence",
        VerdictKind::Inconclusive => "inconclusive",
    }
}
