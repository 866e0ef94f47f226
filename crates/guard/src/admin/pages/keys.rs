//! Accounts as they were made, with their keys; and the admin keys. Keys are shown by their
//! beginning only: nobody has the rest.

use super::{layout::Frame, show};
use crate::store::{AccountRow, KeyKind, KeyRow};
use axum::{
    extract::{Query, rejection::QueryRejection},
    response::Html,
};
use maud::{Markup, html};
use serde::Deserialize;

/// Rows of one page.
const ROWS: u32 = 100;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// Accounts after this name.
    #[serde(default)]
    after: String,
}

/// The page.
pub(super) async fn page(
    frame: Frame,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Html<String> {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    let store = &frame.guard.store;
    let accounts = store.accounts(&asked.after, i64::from(ROWS) + 1).await;
    let admins =
        store.list_keys(KeyKind::Admin, None, "", i64::from(ROWS)).await.unwrap_or_default();
    let virtual_only = frame.guard.keys.needs_virtual_key();
    frame.page("/keys", "Keys", &html! {
        h1 { "Accounts and keys" }
        p.lead {
            @if virtual_only { "Only virtual keys are let in." }
            @else { "No virtual key was made yet: every caller is let in under a pseudonym of its own key, which passes through to the upstream." }
            " Accounts and keys are made with " code { "stillwatch serve keys" } " or the admin API."
        }
        section.card aria-labelledby="accounts" {
            h2 id="accounts" { "Accounts" }
            @match &accounts {
                Err(_) => p.empty { "The store can’t be read now." },
                Ok(accounts) if accounts.is_empty() => p.empty { "None was made." },
                Ok(accounts) => (account_table(accounts.get(..ROWS as usize).unwrap_or(accounts))),
            }
            @if let Some(last) = accounts.as_ref().ok().filter(|a| a.len() > ROWS as usize).and_then(|a| a.get(ROWS as usize - 1)) {
                nav.pages aria-label="Pages" { a rel="next" href=(format!("/keys?after={}", show::segment(&last.name))) { "Next" } }
            }
        }
        section.card aria-labelledby="admins" {
            h2 id="admins" { "Admin keys" }
            (key_table(&admins, frame.now_ms))
        }
    })
}

fn account_table(accounts: &[AccountRow]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "account" } th scope="col" { "plan" } th scope="col" { "made" } th scope="col" { "state" } th scope="col" { "note" } } }
            tbody { @for account in accounts { tr {
                th.name scope="row" { (show::account(&account.name)) }
                td { (account.plan) }
                td.when { (show::when(account.created_ms)) }
                td { @if account.disabled { span.tag.bad { "refused" } } @else { span.tag.good { "let in" } } }
                td { (account.note) }
            } } }
        } }
    }
}

/// A table of keys.
pub(super) fn key_table(keys: &[KeyRow], now_ms: i64) -> Markup {
    html! {
        @if keys.is_empty() { p.empty { "None." } } @else {
            div.scroll { table {
                thead { tr { th scope="col" { "key" } th scope="col" { "label" } th scope="col" { "made" } th scope="col" { "expires" } th scope="col" { "state" } } }
                tbody { @for key in keys { tr {
                    th scope="row" { code { (key.prefix) "…" } }
                    td { (key.label) }
                    td.when { (show::when(key.created_ms)) }
                    td.when { (key.expires_ms.map_or_else(|| html! { "never" }, show::when)) }
                    td {
                        @if let Some(revoked) = key.revoked_ms { span.tag { "revoked" } " " (show::when(revoked)) }
                        @else if key.expires_ms.is_some_and(|until| until <= now_ms) { span.tag { "expired" } }
                        @else { span.tag.good { "valid" } }
                    }
                } } }
            } }
        }
    }
}
