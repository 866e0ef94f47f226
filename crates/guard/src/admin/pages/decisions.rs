//! Decisions, and the appeals against them.

use super::{accounts, acts, form, layout::Frame, show};
use crate::store::{AppealRow, DecisionFilter, DecisionRow};
use axum::{
    extract::{Path, Query, rejection::QueryRejection},
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use stillwatch_traffic::Reason;

/// Rows of one page.
const ROWS: u32 = 100;

/// States to look at, with what they are called.
const STATES: [(&str, &str); 6] = [
    ("", "all"),
    ("proposed", "waiting for a human"),
    ("active", "in force"),
    ("contested", "contested"),
    ("expired", "expired"),
    ("revoked", "taken back"),
];

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: u32,
}

/// The list.
pub(super) async fn list(
    frame: Frame,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Html<String> {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    let known = STATES.iter().any(|(state, _)| *state == asked.state);
    let state = if known { asked.state.as_str() } else { "" };
    let filter = DecisionFilter {
        state: (!state.is_empty()).then(|| state.to_owned()),
        ..DecisionFilter::default()
    };
    let skipped = i64::from(asked.page) * i64::from(ROWS);
    let store = &frame.guard.store;
    let found = store.decisions(&filter, i64::from(ROWS) + 1, skipped).await;
    let open = store.appeals(None, Some("open"), i64::from(ROWS), 0).await.unwrap_or_default();
    let address = |page: u32| format!("/decisions?state={state}&page={page}");
    frame.page("/decisions", "Decisions", &html! {
        h1 { "Decisions and appeals" }
        p.lead { "What is done about accounts, by which rule, for how long. Each can be contested by whom it hits; what refuses requests waits for a human." }
        @if !open.is_empty() {
            section.card aria-labelledby="appeals" {
                h2 id="appeals" { "Appeals that wait for an answer" }
                (appeals(&open))
            }
        }
        (acts::policies(&frame))
        section.card aria-label="Decisions" {
            nav aria-label="States" { p.small {
                @for (at, (name, shown)) in STATES.iter().enumerate() {
                    @if at > 0 { " · " }
                    @if *name == state { b { (shown) } } @else { a href=(format!("/decisions?state={name}")) { (shown) } }
                }
            } }
            @match &found {
                Err(_) => p.empty { "The store can’t be read now." },
                Ok(found) if found.is_empty() => p.empty { "None." },
                Ok(found) => (table(found.get(..ROWS as usize).unwrap_or(found))),
            }
            @let more = found.as_ref().is_ok_and(|found| found.len() > ROWS as usize);
            @if more || asked.page > 0 {
                nav.pages aria-label="Pages" {
                    @if asked.page > 0 { a rel="prev" href=(address(asked.page - 1)) { "Newer" } }
                    @if more { a rel="next" href=(address(asked.page + 1)) { "Older" } }
                }
            }
        }
    })
}

fn state_tag(state: &str) -> Markup {
    let class = match state {
        "active" => "tag bad",
        "proposed" | "contested" => "tag warn",
        "revoked" => "tag good",
        _ => "tag",
    };
    let shown = STATES.iter().find(|(name, _)| *name == state).map_or(state, |(_, shown)| *shown);
    html! { span class=(class) { (shown) } }
}

fn link(id: &str) -> String {
    format!("/decisions/{}", show::segment(id))
}

/// A table of decisions.
pub(super) fn table(decisions: &[DecisionRow]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "made" } th scope="col" { "about" } th scope="col" { "measure" } th scope="col" { "state" } th scope="col" { "because of" } th scope="col" { "until" } } }
            tbody { @for decision in decisions { tr {
                td.when { a href=(link(&decision.id)) { (show::when(decision.created_ms)) } }
                th.name scope="row" { (subject(decision)) }
                td { (show::words(&decision.measure)) @if decision.dry_run { " " span.tag { "dry run" } } }
                td { (state_tag(&decision.state)) }
                td { (show::words(&decision.code)) }
                td.when { (decision.expires_ms.map_or_else(|| html! { "open" }, show::when)) }
            } } }
        } }
    }
}

fn subject(decision: &DecisionRow) -> Markup {
    html! {
        @if !decision.account.is_empty() { (show::account(&decision.account)) }
        @else if !decision.cluster.is_empty() { "campaign " (show::campaign(&decision.cluster)) }
        @else { "everyone" }
    }
}

fn appeals(appeals: &[AppealRow]) -> Markup {
    html! {
        @for appeal in appeals {
            div {
                p.small { (show::when(appeal.created_ms)) ", against " a href=(link(&appeal.decision)) { code { (appeal.decision) } } }
                blockquote { (appeal.text) }
                @if !appeal.contact.is_empty() { p.small { "Answer to: " (appeal.contact) } }
            }
        }
    }
}

/// One decision.
pub(super) async fn one(frame: Frame, Path(id): Path<String>) -> Response {
    let store = &frame.guard.store;
    let decision = match store.decision(&id).await {
        Ok(Some(decision)) => decision,
        Ok(None) => {
            return form::failed(StatusCode::NOT_FOUND, "There is no decision of that name.");
        }
        Err(_) => {
            let why = "The store can’t be read now.";
            return form::failed(StatusCode::SERVICE_UNAVAILABLE, why);
        }
    };
    let contested = store.appeals(Some(&id), None, i64::from(ROWS), 0).await.unwrap_or_default();
    let detail: serde_json::Value = serde_json::from_str(&decision.detail).unwrap_or_default();
    let reasons: Vec<Reason> = detail
        .get("reasons")
        .and_then(|reasons| serde_json::from_value(reasons.clone()).ok())
        .unwrap_or_default();
    let text = |name: &str| detail.get(name).and_then(serde_json::Value::as_str).unwrap_or("");
    let page = frame.page("/decisions", "Decision", &html! {
        p.small { a href="/decisions" { "Decisions" } }
        h1 { "Decision: " (show::words(&decision.measure)) }
        section.card aria-label="The decision" {
            dl.pairs {
                dt { "State" } dd { (state_tag(&decision.state)) @if decision.dry_run { " " span.tag { "dry run: only noted" } } }
                dt { "About" } dd { (subject(&decision)) }
                @if !decision.account.is_empty() && !decision.cluster.is_empty() {
                    dt { "As member of" } dd { (show::campaign(&decision.cluster)) }
                }
                dt { "Rule" } dd { (decision.policy) }
                dt { "Reason" } dd { (show::words(&decision.code)) }
                dt { "Made" } dd { (show::when(decision.created_ms)) @if !text("made_by").is_empty() { ", by " (text("made_by")) } }
                dt { "Ends" } dd { (decision.expires_ms.map_or_else(|| html! { "when a human ends it" }, show::when)) }
                @if let Some(ended) = decision.ended_ms { dt { "Ended" } dd { (show::when(ended)) @if !decision.ended_by.is_empty() { ", by " (decision.ended_by) } } }
                @if !text("note").is_empty() { dt { "Note" } dd { (text("note")) } }
                dt { "Name" } dd { code { (decision.id) } }
            }
        }
        section.card aria-labelledby="reasons" { h2 id="reasons" { "What was measured" } (accounts::reasons(&reasons)) }
        section.card aria-labelledby="appeals" {
            h2 id="appeals" { "Appeals" }
            @if contested.is_empty() { p.empty { "None was made." } }
            @for appeal in &contested {
                p.small { (show::when(appeal.created_ms)) " " span.tag { (appeal.state) } }
                blockquote { (appeal.text) }
                @if !appeal.contact.is_empty() { p.small { "Answer to: " (appeal.contact) } }
                @if appeal.state == "open" { (acts::appeal_form(&frame, appeal, !decision.cluster.is_empty())) }
                @if !appeal.answer.is_empty() { p.small { "Answered: " (appeal.answer) } }
            }
        }
        (acts::decision_form(&frame, &decision))
    });
    page.into_response()
}
