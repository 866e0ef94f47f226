//! The report of a scan: one self-contained HTML file, no script, nothing from the network.
//!
//! Everything that comes from a log is escaped (by maud); prompts are shown as their shape unless
//! the caller wants them shown. Colours have at least AA contrast in light, dark and print.

mod drawings;

use crate::exhibits::{Exhibit, redacted};
use crate::result::{ScanCampaign, ScanResult};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::BTreeMap;

const STYLE: &str = include_str!("style.css");
/// Characters of a prompt.
const PROMPT_CHARS: usize = 600;
/// Flagged campaigns with a chapter of their own.
const CHAPTERS_MAX: usize = 200;

/// Who would be hit by a countermeasure, as a dry run over the same logs says.
#[derive(Debug, Clone, PartialEq)]
pub struct DryRunRow {
    /// The policy.
    pub policy: String,
    /// What it does.
    pub measure: String,
    /// Accounts that it would have touched.
    pub accounts: u64,
    /// Of these, accounts outside of flagged campaigns.
    pub accounts_outside: u64,
    /// Accounts that would have waited for a human.
    pub accounts_proposed: u64,
    /// Their share of all requests.
    pub requests_share: f64,
}

/// Everything that a report shows.
#[derive(Debug, Clone, Copy)]
pub struct ReportInput<'a> {
    /// What was found.
    pub result: &'a ScanResult,
    /// What to look at, by campaign.
    pub exhibits: &'a BTreeMap<String, Exhibit>,
    /// Dry runs of countermeasures; empty where none was made.
    pub dry_run: &'a [DryRunRow],
    /// Hashes of the logs, by name.
    pub inputs: &'a [(String, String)],
    /// When the report was made, RFC 3339.
    pub made: &'a str,
    /// The command that repeats the scan.
    pub command: &'a str,
    /// Whether prompts are shown.
    pub show_texts: bool,
}

/// Renders the report. Same input, same bytes.
pub fn render(input: &ReportInput<'_>) -> String {
    let result = input.result;
    let flagged: Vec<&ScanCampaign> = result.flagged().collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { "Stillwatch: scan of " (result.n_exchanges) " exchanges" }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                p.kicker { "Stillwatch scan report, " (input.made) }
                h1 { "Who harvested?" }
                section class=(if flagged.is_empty() { "verdict none" } else { "verdict flagged" }) {
                    p.sentence { (result.sentence) }
                }
                @if result.partial { p { strong { "Not everything could be read. " } "What is missing is listed at the end." } }
                (facts(result))
                @if !flagged.is_empty() {
                    h2 { "Campaigns" }
                    (overview(&flagged))
                }
                @for (i, campaign) in flagged.iter().take(CHAPTERS_MAX).enumerate() {
                    (chapter(i, campaign, input))
                }
                (dry_run(input.dry_run))
                (meaning(result))
                (again(input))
                footer { "Stillwatch " (env!("CARGO_PKG_VERSION")) ". This file needs no network and no script. The numbers are in result.json beside it." }
            } }
        }
    }
    .into_string()
}

fn facts(result: &ScanResult) -> Markup {
    html! {
        dl.facts {
            div { dt { "exchanges" } dd { (result.n_exchanges) small { "until " (result.until.as_deref().unwrap_or("?")) } } }
            div { dt { "accounts" } dd { (result.n_accounts) small { (result.n_without_account) " exchanges name none" } } }
            div { dt { "flagged campaigns" } dd { (result.flagged().count()) small { "by rules: a score" } } }
            div { dt { "rejected by e-BH" } dd {
                (result.flagged().filter(|c| c.fdr_rejected == Some(true)).count())
                small { "false discovery rate " (result.fdr) ", " (result.n_signatures) " signatures" }
            } }
            div { dt { "bad lines" } dd { (result.n_rejected) small { (result.n_without_time) " exchanges without a time" } } }
        }
    }
}

fn overview(flagged: &[&ScanCampaign]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "campaign" } th.n { "accounts" } th.n { "score" } th.n { "e-value" } th { "e-BH" } th { "families of evidence" } } }
            tbody { @for c in flagged { tr {
                td { a href=(format!("#{}", c.id)) { (c.id) } }
                td.n { (c.accounts.len()) } td.n { (format!("{:.2}", c.score)) } td.n { (e_value(c)) }
                td { (verdict(c)) } td { (c.families.join(", ")) }
            } } }
        } }
    }
}

fn e_value(campaign: &ScanCampaign) -> String {
    campaign.e_value.map_or_else(|| "none".to_owned(), |e| format!("{e:.1}"))
}

fn verdict(campaign: &ScanCampaign) -> &'static str {
    match campaign.fdr_rejected {
        Some(true) => "rejected",
        Some(false) => "not rejected",
        None => "not tested",
    }
}

fn chapter(i: usize, campaign: &ScanCampaign, input: &ReportInput<'_>) -> Markup {
    let exhibit = input.exhibits.get(&campaign.id);
    html! {
        h2 id=(campaign.id) { (campaign.id) }
        p.soft {
            (campaign.accounts.len()) " accounts"
            @if let Some(e) = exhibit { ", " (e.n) " requests" }
            ". “Its carriers are like comparable accounts”: e-value " (e_value(campaign)) ", " (verdict(campaign)) "."
        }
        div.scroll { table {
            thead { tr { th { "what was found" } th.n { "measured" } th.n { "usual" } th { "an innocent explanation would be" } } }
            tbody { @for r in &campaign.evidence { tr {
                td { (r.text) } td.n { (format!("{:.2}", r.value)) } td.n { (format!("{:.2}", r.baseline)) } td { (r.innocent) }
            } } }
        } }
        figure {
            h3 { "Who is connected" }
            figcaption { "Members on a ring; a line where two share evidence, thicker the more families agree. Lines show the strongest few of each member." }
            (drawings::graph(i, campaign))
        }
        @if let Some(exhibit) = exhibit {
            figure {
                h3 { "When they asked" }
                figcaption { "A row for each member (the first of them), a column for each day, UTC; darker is more requests." }
                (drawings::timeline(i, campaign, exhibit))
            }
            h3 { "Examples" }
            @if !input.show_texts { p.soft { "Letters are replaced by x and digits by 0. " code { "--show-texts" } " shows the prompts." } }
            @for example in &exhibit.examples {
                p.soft { (example.account) ", " (example.file) @if example.line > 0 { ":" (example.line) } @if !example.id.is_empty() { " (" (example.id) ")" } }
                blockquote { @if input.show_texts { (example.prompt) } @else { (redacted(&example.prompt, PROMPT_CHARS)) } }
            }
        }
        details { summary { "All members" } p.hash { (campaign.accounts.join(" ")) } }
    }
}

fn dry_run(rows: &[DryRunRow]) -> Markup {
    html! {
        @if !rows.is_empty() {
            h2 { "What countermeasures would have done" }
            p.soft { "Each policy replayed over the same logs, with their own clock. Accounts outside of flagged campaigns are who would be hit by mistake, if the flags are right." }
            div.scroll { table {
                thead { tr { th { "policy" } th { "measure" } th.n { "accounts" } th.n { "of these outside" } th.n { "for a human" } th.n { "share of requests" } } }
                tbody { @for r in rows { tr {
                    td { (r.policy) } td { (r.measure) } td.n { (r.accounts) } td.n { (r.accounts_outside) } td.n { (r.accounts_proposed) } td.n { (format!("{:.2}%", 100.0 * r.requests_share)) }
                } } }
            } }
        }
    }
}

fn meaning(result: &ScanResult) -> Markup {
    html! {
        h2 { "What this says, and what not" }
        ul {
            li { "A flag is a score: thresholds on what was measured, without an error rate. It is a reason to look." }
            li { "An e-value speaks against these nulls, and holds while either is true: " @for (i, null) in result.nulls.iter().enumerate() { @if i > 0 { "; " } "(" (i + 1) ") " (null) } "." }
            li { "The list of rejected signatures has a false discovery rate of at most " (result.fdr) ": no single name on it is established at that rate." }
            li { "Whether a model was trained on what they took is another question: " code { "stillwatch audit" } " answers it." }
            li { "Small groups, much cover and accounts that harvest alone aren’t seen." }
        }
    }
}

fn again(input: &ReportInput<'_>) -> Markup {
    let result = input.result;
    html! {
        h2 { "How to run it again" }
        pre { (input.command) }
        p.soft { @match result.seed {
            Some(seed) => { "Seed " (seed) ": the same logs give the same bytes." }
            None => { "Hashes were keyed at random, so that nobody can prepare for them; --seed makes a run repeatable." }
        } }
        div.scroll { table {
            thead { tr { th { "log" } th { "taken for" } th { "SHA-256" } } }
            tbody { @for file in &result.files { tr {
                td { (file.file) } td { (file.format) }
                td.hash { (input.inputs.iter().find(|(name, _)| *name == file.file).map_or("", |(_, hash)| hash.as_str())) }
            } } }
        } }
        @if !result.unreadable.is_empty() {
            h3 { "Not read" }
            ul { @for u in &result.unreadable { li { (u.file) ": " (u.reason) } } }
        }
    }
}
