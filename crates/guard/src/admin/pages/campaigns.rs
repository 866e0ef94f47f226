//! Accounts that act together.

use super::{accounts, acts, form, graph, layout::Frame, show};
use axum::{
    extract::Path,
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use maud::{Markup, html};
use std::collections::BTreeMap;
use stillwatch_traffic::{AccountRisk, Campaign};

/// Campaigns and members shown at most.
const ROWS_MAX: usize = 200;

/// The list.
pub(super) async fn list(frame: Frame) -> Html<String> {
    let analysis = frame.guard.detector.latest();
    frame.page("/campaigns", "Campaigns", &html! {
        h1 { "Campaigns" }
        p.lead { "Groups of accounts that seem to be one hand: by shared text, infrastructure, timing, division of labour or replays. A flagged group shows at least three kinds of evidence." }
        section.card aria-label="Campaigns" {
            @if analysis.campaigns.is_empty() { p.empty { "No group of accounts stands out." } }
            @else { (table(analysis.campaigns.iter().take(ROWS_MAX))) }
        }
    })
}

/// A table of campaigns.
pub(super) fn table<'a>(campaigns: impl Iterator<Item = &'a Campaign>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "campaign" } th scope="col" { "score" } th.n scope="col" { "accounts" } th scope="col" { "what connects them" } } }
            tbody { @for campaign in campaigns { tr {
                th.name scope="row" { (show::campaign(&campaign.id)) @if campaign.flagged { " " span.tag.bad { "flagged" } } }
                td { (show::score(campaign.score)) }
                td.n { (show::count(campaign.accounts.len() as u64)) }
                td { (campaign.reasons.first().map_or("none", |reason| reason.text.as_str())) }
            } } }
        } }
    }
}

/// One campaign.
pub(super) async fn one(frame: Frame, Path(id): Path<String>) -> Response {
    let analysis = frame.guard.detector.latest();
    let Some(campaign) = analysis.campaigns.iter().find(|campaign| campaign.id == id) else {
        let why = "There is no campaign of that name now; it may have fallen apart since.";
        return form::failed(StatusCode::NOT_FOUND, why);
    };
    let risks: BTreeMap<&str, &AccountRisk> =
        analysis.accounts.iter().map(|risk| (risk.account.as_str(), risk)).collect();
    let n = campaign.accounts.len();
    let page = frame.page("/campaigns", &format!("Campaign {id}"), &html! {
        p.small { a href="/campaigns" { "Campaigns" } }
        h1 { (id) }
        dl.facts {
            div { dt { "score" } dd { (format!("{:.2}", campaign.score)) small { @if campaign.flagged { "flagged" } @else { "not flagged" } } } }
            div { dt { "accounts" } dd { (show::count(n as u64)) } }
            div { dt { "connections" } dd { (show::count(campaign.edges.len() as u64)) small { "the strongest few of each account" } } }
            div { dt { "families of evidence" } dd { (campaign.families.len()) small { (campaign.families.join(", ")) } } }
        }
        section.card aria-labelledby="graph" {
            h2 id="graph" { "Who is connected, and by what" }
            p.small.soft { "Each point is an account, each line one kind of evidence between two."
                @if n > graph::NODES_MAX { " The " (graph::NODES_MAX) " with the most connections are drawn." } }
            (graph::draw(campaign))
        }
        section.card aria-labelledby="reasons" { h2 id="reasons" { "What connects them" } (accounts::reasons(&campaign.reasons)) }
        section.card aria-labelledby="members" {
            h2 id="members" { "Members" }
            (members(campaign, &risks))
        }
        (acts::by_hand_form(&frame, "campaign", &id))
    });
    page.into_response()
}

fn members(campaign: &Campaign, risks: &BTreeMap<&str, &AccountRisk>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "account" } th scope="col" { "score" } th.n scope="col" { "exchanges" } th.n scope="col" { "connections" } } }
            tbody { @for (at, account) in campaign.accounts.iter().enumerate().take(ROWS_MAX) {
                @let risk = risks.get(account.as_str());
                tr {
                    th.name scope="row" { (show::account(account)) }
                    td { @if let Some(risk) = risk { (show::score(risk.score)) } }
                    td.n { @if let Some(risk) = risk { (show::count(risk.n)) } }
                    td.n { (campaign.edges.iter().filter(|(a, b, _)| *a as usize == at || *b as usize == at).count()) }
                }
            } }
        } }
        @if campaign.accounts.len() > ROWS_MAX { p.small.soft { (show::count((campaign.accounts.len() - ROWS_MAX) as u64)) " more are not listed." } }
    }
}
