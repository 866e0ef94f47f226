//! Accounts at risk, with reasons; and all that is known of one account.

use super::{acts, decisions, form, keys, layout::Frame, show};
use crate::store::{DecisionFilter, DecisionRow, KeyKind};
use axum::{
    extract::{Path, Query, rejection::QueryRejection},
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use stillwatch_traffic::{AccountRisk, Reason};

/// Rows of one page.
const ROWS: usize = 100;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// Part of the name.
    #[serde(default)]
    q: String,
    /// Present: flagged ones only.
    flagged: Option<String>,
    /// Page, counted from 0.
    #[serde(default)]
    page: usize,
}

/// The list.
pub(super) async fn list(
    frame: Frame,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Html<String> {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    let analysis = frame.guard.detector.latest();
    let flagged_only = asked.flagged.is_some();
    let wanted = |account: &&AccountRisk| {
        (!flagged_only || account.flagged) && account.account.contains(asked.q.as_str())
    };
    let found: Vec<&AccountRisk> = analysis.accounts.iter().filter(wanted).collect();
    let skipped = asked.page.saturating_mul(ROWS);
    let address = |page: usize| {
        let flagged = if flagged_only { "&flagged=on" } else { "" };
        format!("/accounts?q={}{flagged}&page={page}", show::segment(&asked.q))
    };
    frame.page("/accounts", "Accounts", &html! {
        h1 { "Accounts at risk" }
        p.lead { "Ranked by what was seen of them, the highest first. Each reason gives what was measured beside what is usual in the account’s plan; only several kinds of evidence together flag an account." }
        section.card aria-label="Accounts" {
            form.filter method="get" action="/accounts" role="search" {
                div { label.block for="q" { "Name contains" } input type="search" id="q" name="q" value=(asked.q); }
                div.check { input type="checkbox" id="flagged" name="flagged" checked[flagged_only]; " " label for="flagged" { "flagged only" } }
                button.quiet { "Show" }
            }
            @if found.is_empty() {
                p.empty { "There is nothing to say of any account" @if flagged_only || !asked.q.is_empty() { " that fits" } ". " (show::count(analysis.n_accounts)) " accounts are known." }
            } @else {
                (table(found.iter().skip(skipped).take(ROWS).copied()))
            }
            @if found.len() > ROWS {
                nav.pages aria-label="Pages" {
                    @if asked.page > 0 { a rel="prev" href=(address(asked.page - 1)) { "Previous" } }
                    span { (show::count((skipped + 1).min(found.len()) as u64)) " to " (show::count((skipped + ROWS).min(found.len()) as u64)) " of " (show::count(found.len() as u64)) }
                    @if skipped + ROWS < found.len() { a rel="next" href=(address(asked.page + 1)) { "Next" } }
                }
            }
        }
    })
}

/// A table of accounts.
pub(super) fn table<'a>(accounts: impl Iterator<Item = &'a AccountRisk>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "account" } th scope="col" { "score" } th.n scope="col" { "exchanges" }
                th scope="col" { "weightiest reason" } th scope="col" { "campaign" }
            } }
            tbody { @for account in accounts { tr {
                th.name scope="row" { (show::account(&account.account)) @if account.flagged { " " span.tag.bad { "flagged" } } }
                td { (show::score(account.score)) }
                td.n { (show::count(account.n)) }
                td { (account.reasons.first().map_or("none", |reason| reason.text.as_str())) }
                td.name { @if let Some(campaign) = &account.campaign { (show::campaign(campaign)) } }
            } } }
        } }
    }
}

/// Reasons with what was measured and what is usual.
pub(super) fn reasons(reasons: &[Reason]) -> Markup {
    html! {
        @if reasons.is_empty() { p.empty { "None." } }
        @else {
            div.scroll { table {
                thead { tr { th scope="col" { "reason" } th.n scope="col" { "measured" } th.n scope="col" { "usual" } th scope="col" { "kind" } } }
                tbody { @for reason in reasons { tr {
                    td { (reason.text) @if !reason.innocent.is_empty() { div.small.soft { "Rule out first: " (reason.innocent) } } }
                    td.n { (show::number(reason.value)) }
                    td.n { (show::number(reason.baseline)) }
                    td.soft { (show::words(&reason.code)) }
                } } }
            } }
        }
    }
}

/// One account.
pub(super) async fn one(frame: Frame, Path(name): Path<String>) -> Response {
    let analysis = frame.guard.detector.latest();
    let risk = analysis.accounts.iter().find(|risk| risk.account == name);
    let filter = DecisionFilter { account: Some(name.clone()), ..DecisionFilter::default() };
    let decided = frame.guard.store.decisions(&filter, 50, 0).await.unwrap_or_default();
    let row = frame.guard.store.account(&name).await.ok().flatten();
    let own_keys = frame.guard.store.list_keys(KeyKind::Virtual, Some(&name), "", 50).await;
    let own_keys = own_keys.unwrap_or_default();
    if risk.is_none() && row.is_none() && decided.is_empty() {
        return form::failed(StatusCode::NOT_FOUND, "Nothing is known of an account of that name.");
    }
    let page = frame.page("/accounts", &name, &html! {
        p.small { a href="/accounts" { "Accounts" } }
        h1 { (name) }
        dl.facts {
            div { dt { "score" } dd { (risk.map_or_else(|| "none".to_owned(), |r| format!("{:.2}", r.score))) small { @if risk.is_some_and(|r| r.flagged) { "flagged" } @else { "not flagged" } } } }
            div { dt { "exchanges seen" } dd { (show::count(risk.map_or(0, |r| r.n))) } }
            @if let Some(row) = &row {
                div { dt { "plan" } dd { (row.plan) small { "made " (show::when(row.created_ms)) } } }
                div { dt { "keys" } dd.bad[row.disabled] { @if row.disabled { "refused" } @else { "taken" } } }
            } @else {
                div { dt { "known as" } dd { "pseudonym" small { "no virtual key was made for it" } } }
            }
            div { dt { "in logs and spans" } dd { small { code { (frame.guard.observer.shown_account(&name)) } } } }
        }
        @if let Some(campaign) = risk.and_then(|r| r.campaign.as_ref()) {
            div.note.warn { p { "It belongs to campaign " (show::campaign(campaign)) "." } }
        }
        section.card aria-labelledby="reasons" {
            h2 id="reasons" { "What was seen" }
            (reasons(risk.map_or(&[], |r| r.reasons.as_slice())))
        }
        section.card aria-labelledby="decided" {
            h2 id="decided" { "Decisions about it" }
            (history(&decided))
        }
        @if row.is_some() {
            section.card aria-labelledby="keys" { h2 id="keys" { "Its keys" } (keys::key_table(&own_keys, frame.now_ms)) }
        }
        (acts::by_hand_form(&frame, "account", &name))
    });
    page.into_response()
}

fn history(decided: &[DecisionRow]) -> Markup {
    html! {
        @if decided.is_empty() { p.empty { "None." } } @else { (decisions::table(decided)) }
    }
}
