//! The first page: what goes on, and what needs a human.

use super::{accounts, campaigns, layout::Frame, show, traffic};
use crate::{
    observe::{Metrics, Totals, resident_bytes},
    store::AppealRow,
};
use axum::{
    extract::{Query, rejection::QueryRejection},
    response::Html,
};
use maud::{Markup, html};
use serde::Deserialize;

/// Accounts and campaigns shown here.
const SHOWN: usize = 6;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    hours: Option<usize>,
}

/// The page.
pub(super) async fn page(
    frame: Frame,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Html<String> {
    let guard = &frame.guard;
    let (hours, width) = traffic::window(asked.ok().and_then(|Query(asked)| asked.hours));
    let history = guard.observer.history();
    history.sample(&guard.metrics, frame.now_ms);
    let bins = history.last(hours * 60, width, frame.now_ms);
    let hour = history.last(60, 60, frame.now_ms);
    let hour = hour.first().map(|(_, totals)| *totals).unwrap_or_default();
    let appeals = guard.store.appeals(None, Some("open"), 100, 0).await.unwrap_or_default();
    let analysis = guard.detector.latest();
    let flagged: Vec<_> = analysis.accounts.iter().filter(|a| a.flagged).collect();
    let suspected: Vec<_> = analysis.campaigns.iter().filter(|c| c.flagged).collect();
    frame.page("/", "Overview", &html! {
        h1 { "Overview" }
        (waiting(&appeals))
        (facts(&guard.metrics, hour))
        (traffic::figure(&bins, hours, width))
        section.card aria-labelledby="risk" {
            div.head { h2 id="risk" { "Accounts at risk" } p.small { a href="/accounts" { "All accounts" } } }
            @if flagged.is_empty() {
                p.empty { "None of " (show::count(analysis.n_accounts)) " accounts is flagged." }
            } @else {
                (accounts::table(flagged.iter().take(SHOWN).copied()))
                @if flagged.len() > SHOWN { p.small { (show::count(flagged.len() as u64)) " are flagged in all." } }
            }
        }
        section.card aria-labelledby="campaigns" {
            div.head { h2 id="campaigns" { "Campaigns" } p.small { a href="/campaigns" { "All campaigns" } } }
            @if suspected.is_empty() {
                p.empty { "No group of accounts is flagged." }
            } @else {
                (campaigns::table(suspected.iter().take(SHOWN).copied()))
            }
        }
        p.small.soft {
            @if analysis.time_ms > 0 { "Detection last looked at " (show::when(analysis.time_ms)) ", over " (show::count(analysis.n_exchanges)) " exchanges." }
            @else if guard.config.live.enabled { "Detection hasn’t looked yet." }
            @else { "Detection is switched off (live.enabled)." }
        }
    })
}

fn waiting(appeals: &[AppealRow]) -> Markup {
    html! {
        @if !appeals.is_empty() {
            div.note.warn {
                p { strong { (appeals.len()) @if appeals.len() == 1 { " appeal waits" } @else { " appeals wait" } " for an answer" } }
                p { "The oldest came " (appeals.iter().map(|a| a.created_ms).min().map(show::when).unwrap_or_default()) ". "
                    a href="/decisions?state=contested" { "Read and answer" } }
            }
        }
    }
}

fn facts(metrics: &Metrics, hour: Totals) -> Markup {
    let bad = hour.failed + hour.refused;
    let finished = metrics.exposures_finished.get();
    let quantile = |q: f64| show::duration(metrics.added.quantile(q));
    html! {
        dl.facts {
            div { dt { "requests, last hour" } dd { (show::count(hour.requests)) small { (show::count(u64::try_from(metrics.in_flight.get()).unwrap_or(0))) " now" } } }
            div { dt { "refused or failed" } dd.warn[bad * 20 > hour.requests] { (show::percent(bad, hour.requests)) small { (show::count(hour.refused)) " refused, " (show::count(hour.failed)) " failed" } } }
            div { dt { "tokens, last hour" } dd { (show::short(hour.tokens as f64)) small { (show::short((metrics.prompt_tokens.get() + metrics.completion_tokens.get()) as f64)) " since the start" } } }
            div { dt { "exposures, last hour" } dd { (show::count(hour.exposures)) small { (show::count(finished)) " finished since the start" } } }
            div { dt { "time added, median" } dd { "≤ " (quantile(0.5)) small { "99% within " (quantile(0.99)) } } }
            div { dt { "memory" } dd { (resident_bytes().map_or_else(|| "unknown".to_owned(), show::bytes)) small { "resident" } } }
        }
    }
}
