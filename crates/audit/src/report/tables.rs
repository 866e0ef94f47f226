//! The report's tables: tests, accounts, other models.

use crate::format::{e_value, probability, thousands, trimmed};
use maud::{Markup, html};
use stillwatch_evidence::{AuditResult, Finding, Predates};

/// Accounts listed before the rest is only counted.
const ROWS_MAX: usize = 200;

/// Every finding, the deciding one first.
pub(super) fn tests(result: &AuditResult) -> Markup {
    html! {
        h2 { "Tests" }
        div.scroll { table {
            thead { tr {
                th scope="col" { "test" } th.n scope="col" { "pairs" } th.n scope="col" { "statistic" }
                th.n scope="col" { "p" } th.n scope="col" { "e" } th.n scope="col" { "effect, SD per pair" } th.n scope="col" { "found from" }
            } }
            tbody { @for finding in &result.findings { tr {
                td { (name(finding)) }
                td.n { (thousands(finding.n as f64)) }
                td.n { (trimmed(finding.statistic, 3)) }
                td.n { (finding.log10_p_value.map_or_else(dash, probability)) }
                td.n { (finding.log10_e_value.map_or_else(dash, e_value)) }
                td.n { (finding.effect.as_ref().map_or_else(dash, |e| format!("{} ({} to {})", trimmed(e.estimate, 2), trimmed(e.ci95[0], 2), trimmed(e.ci95[1], 2)))) }
                td.n { (finding.min_detectable_effect.map_or_else(dash, |m| trimmed(m, 2))) }
            } } }
        } }
    }
}

fn name(finding: &Finding) -> &str {
    match finding.test.as_str() {
        crate::words::TWINS => "twins (decides)",
        crate::words::TWINS_WITH => "twins with references, beside it",
        crate::words::TWINS_WITHOUT => "twins without references, beside it",
        crate::words::ACCOUNTS => "combination over accounts (decides too)",
        other => other,
    }
}

fn dash() -> String {
    "–".to_owned()
}

/// Every account with what it would have needed.
pub(super) fn accounts(result: &AuditResult) -> Markup {
    let rest = result.accounts.len().saturating_sub(ROWS_MAX);
    html! {
        @if !result.accounts.is_empty() {
            h2 { "Accounts" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "account" } th.n scope="col" { "pairs" } th.n scope="col" { "pairs needed" }
                    th.n scope="col" { "p" } th.n scope="col" { "e" } th scope="col" { "named" }
                } }
                tbody { @for a in result.accounts.iter().take(ROWS_MAX) {
                    tr class=[a.rejected.then_some("named")] {
                        td { (a.account) }
                        td.n { (thousands(a.n as f64)) }
                        td.n { (thousands(a.pairs_needed as f64)) }
                        td.n { (a.log10_p_value.map_or_else(dash, probability)) }
                        td.n { (a.log10_e_value.map_or_else(dash, e_value)) }
                        td { @if a.rejected { "yes" } @else if a.n < a.pairs_needed { "too few pairs" } @else { "no" } }
                    }
                } }
            } }
            @if rest > 0 { p.soft { (thousands(rest as f64)) " more accounts are in result.json." } }
        }
    }
}

/// References and placebos.
pub(super) fn other_models(result: &AuditResult) -> Markup {
    html! {
        h2 { "References and placebos" }
        @if result.references.is_empty() && result.grade.placebos.is_empty() {
            p { "None took part. Without a reference the noise that models share stays in the scores; without a placebo nothing but the ledger speaks for the coin." }
        } @else {
            p.soft { "References take away the noise that they share with the suspect; placebos are older than the coins and must not tell the texts apart. Both take the test two-sided; that clears nobody." }
            div.scroll { table {
                thead { tr { th scope="col" { "model" } th scope="col" { "role" } th scope="col" { "older than the coin" } th.n scope="col" { "slope" } th.n scope="col" { "own p, two-sided" } } }
                tbody {
                    @for r in &result.references { tr {
                        td { (r.model) } td { "reference" }
                        td { @match r.predates_coin { Predates::Ledger => "yes, by the ledger", Predates::Declared => "declared", Predates::Unknown => "unknown" } }
                        td.n { (trimmed(r.beta, 3)) } td.n { (small(r.own_p_value_two_sided)) }
                    } }
                    @for p in &result.grade.placebos { tr {
                        td { (p.model) } td { "placebo" } td { "declared" } td.n { "–" } td.n { (small(p.p_value_two_sided)) }
                    } }
                }
            } }
        }
    }
}

fn small(p: f64) -> String {
    if p > 0.0 { probability(p.log10()) } else { "below 1e-300".to_owned() }
}
