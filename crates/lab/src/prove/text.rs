//! The measurement in a terminal, as the tables that also stand in the docs.

use super::report::{KindRow, ProveReport};
use super::{Rate, Truth};

/// The whole measurement as text.
pub fn in_words(report: &ProveReport) -> String {
    let plan = &report.plan;
    let mut lines = vec![
        format!(
            "{} models of known ancestry ({} kinds, {} teachers, {} seeds), alpha {}, seed {}",
            report.n_models,
            plan.kinds.len(),
            plan.n_teachers,
            plan.n_seeds,
            report.alpha,
            report.seed
        ),
        format!(
            "pairs per teacher: {}; coins come from the seed (a measurement, no evidence)",
            report.n_pairs.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        ),
        String::new(),
    ];
    lines.push("power: accused of all models of a kind (95% Clopper–Pearson)".to_owned());
    lines.push(heading(report));
    lines.extend(report.power.iter().map(row));
    lines.push(String::new());
    lines
        .push("wrongly accused: innocents, what was done to the audit, and who accuses".to_owned());
    lines.push(heading(report));
    lines.extend(report.wrongly_accused.iter().map(row));
    lines.push("  (* told something untrue: no error rate is promised)".to_owned());
    lines.push(String::new());
    lines.push(
        "innocent models accused in any audit that was told the truth (95% Clopper–Pearson)"
            .to_owned(),
    );
    for test in &report.tests {
        let mark = if test.lies { "  <- lies" } else { "" };
        lines.push(format!(
            "  {:<16} {}  {}{mark}",
            test.name,
            words(&test.false_positives),
            if test.exact { "exact" } else { "not exact" }
        ));
    }
    lines.push(match report.lying_tests.as_slice() {
        [] => "no test is shown to lie by so few models".to_owned(),
        names => format!("tests that lie: {}", names.join(", ")),
    });
    lines.push(String::new());
    lines.push(format!(
        "minimum dose (twins, 80% of models): {}",
        report.minimum_dose.map_or("none found".to_owned(), |d| format!("{}%", d * 100.0))
    ));
    lines.push(
        "needed pairs (pooled test, power 0.8; random subsets of the same models' pairs):"
            .to_owned(),
    );
    for needed in &report.needed_pairs {
        let curve: Vec<String> = needed
            .points
            .iter()
            .map(|p| format!("{}: {:.2}", p.n_pairs, p.power.rate.unwrap_or(0.0)))
            .collect();
        lines.push(format!(
            "  {:<26} {:<8} ({})",
            needed.kind,
            needed.needed.map_or("more".to_owned(), |n| n.to_string()),
            curve.join(", ")
        ));
    }
    lines.push(String::new());
    let size = &report.size;
    lines.push(format!(
        "size: coins thrown again {} times over the scores of {} innocents, whole audit each time",
        size.n_throws, size.n_models
    ));
    for level in &size.levels {
        lines.push(format!(
            "  alpha {:<6} p: {}   e: {}",
            level.alpha,
            fine(&level.pooled),
            fine(&level.e_value)
        ));
    }
    lines.push(format!("  verdicts `established` at alpha 0.05: {}", fine(&size.verdict)));
    lines.push(
        "  (it checks the arithmetic from scores to verdict, not how pairs came to be)".to_owned(),
    );
    lines.push(String::new());
    for (what, holds) in &report.expectations {
        lines.push(format!("{} {what}", if *holds { "as expected:" } else { "NOT as expected:" }));
    }
    lines.join("\n")
}

fn heading(report: &ProveReport) -> String {
    let names: Vec<String> = report.tests.iter().map(|t| format!("{:>16}", t.name)).collect();
    format!("  {:<64}{}", "", names.join(""))
}

fn row(row: &KindRow) -> String {
    let what = if row.truth == Truth::Innocent {
        let star = if row.situation.is_fair() { "" } else { " *" };
        format!("{}: {}{star}", row.kind, row.situation.words())
    } else {
        row.kind.to_owned()
    };
    let rates: Vec<String> =
        row.rates.iter().map(|r| format!("{:>16}", format!("{}/{}", r.count, r.n))).collect();
    format!("  {what:<64}{}", rates.join(""))
}

/// `1/6 (0.00 to 0.64)`.
pub(super) fn words(rate: &Rate) -> String {
    format!("{:>3}/{:<3} ({:.3} to {:.3})", rate.count, rate.n, rate.low, rate.high)
}

/// A small rate of many.
fn fine(rate: &Rate) -> String {
    format!("{:.5} ({:.5} to {:.5})", rate.rate.unwrap_or(0.0), rate.low, rate.high)
}
