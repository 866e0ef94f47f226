//! A verdict on the terminal.

use stillwatch_audit::{AuditOutcome, ScoreEnd};
use stillwatch_evidence::{AuditResult, Decide, Finding};

/// The command line as it was given, for the report; keys are never part of it.
pub(super) fn command() -> String {
    std::iter::once("stillwatch".to_owned())
        .chain(std::env::args_os().skip(1).map(|a| quoted(&a.to_string_lossy())))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,#@+%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

/// Verdict, sentence, findings, accounts, and where the case lies.
pub(super) fn outcome(outcome: &AuditOutcome) -> String {
    let result = outcome.result();
    let mut lines = vec![word(result), result.sentence.clone(), String::new()];
    lines.extend(result.findings.iter().map(|f| finding(f, result.decide)));
    let named: Vec<&str> =
        result.accounts.iter().filter(|a| a.rejected).map(|a| a.account.as_str()).collect();
    if !result.accounts.is_empty() {
        let names = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
        lines.push(format!("accounts named: {names} (of {})", result.accounts.len()));
    }
    if result.n_set_aside > 0 {
        lines.push(format!("set aside: {} (by rules blind to the coin)", result.n_set_aside));
    }
    if outcome.n_rejected_lines > 0 {
        lines.push(format!("lines that can't be read: {}", outcome.n_rejected_lines));
    }
    match &outcome.end {
        ScoreEnd::Partial(why) => {
            lines.push(format!("partial: {why}; run the same command again to resume"));
        }
        ScoreEnd::Evidence => lines.push("stopped: the evidence suffices".to_owned()),
        ScoreEnd::Finished => {}
    }
    if let Some(case) = &outcome.case {
        lines.push(format!("case: {}", case.display()));
        lines.push(format!("report: {}", case.join("report.html").display()));
    }
    lines.join("\n")
}

fn word(result: &AuditResult) -> String {
    serde_json::to_value(result.verdict)
        .ok()
        .and_then(|v| v.as_str().map(|word| word.replace('_', " ").to_uppercase()))
        .unwrap_or_default()
}

fn finding(finding: &Finding, decide: Decide) -> String {
    let mut parts = vec![format!("n = {}", finding.n)];
    let number =
        |name: &str, log10: Option<f64>| log10.map(|l| format!("{name} = {}", power_of_ten(l)));
    let (p, e) = (number("p", finding.log10_p_value), number("e", finding.log10_e_value));
    match decide {
        Decide::P => parts.extend(p.into_iter().chain(e)),
        Decide::E => parts.extend(e.into_iter().chain(p)),
    }
    if let Some(effect) = &finding.effect {
        let [low, high] = effect.ci95;
        parts.push(format!("effect {:.2} ({low:.2} to {high:.2})", effect.estimate));
    }
    if let Some(smallest) = finding.min_detectable_effect {
        parts.push(format!("would have seen {smallest:.2}"));
    }
    format!("{:<28} {}", finding.test, parts.join(", "))
}

/// 10^log10 as people write it.
pub(in crate::commands) fn power_of_ten(log10: f64) -> String {
    if (-4.0..4.0).contains(&log10) {
        let value = 10f64.powf(log10);
        if log10 < -1.0 { format!("{value:.1e}") } else { format!("{value:.2}") }
    } else {
        let exponent = log10.floor();
        format!("{:.1}e{exponent:.0}", 10f64.powf(log10 - exponent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        let cases =
            [(0.0, "1.00"), (-0.5, "0.32"), (-2.0, "1.0e-2"), (-310.5, "3.2e-311"), (6.3, "2.0e6")];
        for (log10, shown) in cases {
            assert_eq!(power_of_ten(log10), shown);
        }
    }

    #[test]
    fn quoting() {
        assert_eq!(quoted("--alpha=0.01"), "--alpha=0.01");
        assert_eq!(quoted("a b'c"), r"'a b'\''c'");
    }
}
