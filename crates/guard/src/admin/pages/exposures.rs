//! The state of exposure and of the ledger.

use super::{layout::Frame, show};
use crate::{exposure::CaptureState, observe::Metrics, store::HeadRow};
use axum::response::Html;
use maud::{Markup, html};

/// Heads shown.
const HEADS: i64 = 20;

/// Above this share of identical twins, pairs carry little evidence for what they cost.
const IDENTICAL_PERCENT_MAX: u64 = 50;

/// The page.
pub(super) async fn page(frame: Frame) -> Html<String> {
    let guard = &frame.guard;
    let state = match &guard.exposure {
        Some(capture) => capture.state().await,
        None => None,
    };
    let heads = guard.store.heads(HEADS, 0).await.unwrap_or_default();
    frame.page("/exposures", "Exposures", &html! {
        h1 { "Exposures and ledger" }
        p.lead { "For a share of requests two answers are sampled and a coin decides which one is sent. The ledger commits to both; an audit needs every entry." }
        @if guard.exposure.is_none() {
            div.note.warn { p { strong { "Exposure is off. " } "Nothing is captured that an audit could use; set exposure.rate above 0." } }
        }
        (identical(&guard.metrics))
        (ledger(state.as_ref()))
        (facts(&guard.metrics))
        div.cards {
            section.card aria-labelledby="dropped" { h2 id="dropped" { "Pairs left out" }
                p.small.soft { "Only for reasons that are the same with the two texts swapped." }
                (by_name(&guard.metrics.exposures_dropped.all(), "reason")) }
            section.card aria-labelledby="skipped" { h2 id="skipped" { "Requests that weren’t eligible" }
                p.small.soft { "Decided by the request alone, before any answer." }
                (by_name(&guard.metrics.exposures_skipped.all(), "reason")) }
        }
        section.card aria-labelledby="head-list" { h2 id="head-list" { "Signed heads" }
            p.small.soft { "Of all nodes that share the store, the newest first. Publish or anchor them: they fix what the ledger held." }
            (head_table(&heads)) }
    })
}

/// What the log itself says.
fn ledger(state: Option<&CaptureState>) -> Markup {
    html! {
        @if let Some(state) = state {
            @if !state.can_write {
                div.note.bad { p { strong { "The ledger can’t be written. " } "No request is exposed until it can." } }
            }
            dl.facts {
                div { dt { "entries in the log" } dd { (show::count(state.n_leaves)) small { (show::count(state.n_begun)) " exposures in all" } } }
                div { dt { "under way" } dd { (show::count(state.n_under_way as u64)) } }
                div { dt { "never ended" } dd.warn[state.n_unfinished > 0] { (show::count(state.n_unfinished)) small { "count as adverse in an audit" } } }
                div { dt { "tokens today" } dd { (show::short(state.tokens_today as f64)) small { "of at most " (show::short(state.tokens_per_day as f64)) } } }
                div { dt { "latest head" } dd { (state.head.as_ref().map_or_else(|| "none".to_owned(), |head| show::count(head.head.tree_size)))
                    small { @if let Some(head) = &state.head { "entries, signed " (show::when(head.head.time.as_millisecond())) } @else { "was signed yet" } } } }
            }
            p.small.soft { "Log " span.hash { (state.log_id) } }
        }
    }
}

fn identical(metrics: &Metrics) -> Markup {
    let (same, finished) = (metrics.exposures_identical.get(), metrics.exposures_finished.get());
    html! {
        @if finished >= 20 && same * 100 > finished * IDENTICAL_PERCENT_MAX {
            div.note.warn { p { strong { (show::percent(same, finished)) " of the twins are identical. " }
                "Such pairs say nothing; the models answer almost deterministically. Lower the rate for them, or expose requests with a higher temperature." } }
        }
    }
}

fn facts(metrics: &Metrics) -> Markup {
    let (begun, finished) = (metrics.exposures_begun.get(), metrics.exposures_finished.get());
    let fsync = &metrics.ledger_fsync;
    let tokens = metrics.exposure_tokens.get();
    let all = metrics.prompt_tokens.get() + metrics.completion_tokens.get();
    html! {
        dl.facts {
            div { dt { "begun" } dd { (show::count(begun)) small { "first entries since the start" } } }
            div { dt { "finished" } dd { (show::count(finished)) small { "second entries" } } }
            div { dt { "unfinished" } dd { (show::count(begun.saturating_sub(finished))) small { "running, or left out" } } }
            div { dt { "identical twins" } dd { (show::percent(metrics.exposures_identical.get(), finished)) small { (show::count(metrics.exposures_identical.get())) " pairs" } } }
            div { dt { "tokens withheld" } dd { (show::short(tokens as f64)) small { (show::percent(tokens, all)) " of all tokens" } } }
            div { dt { "ledger fsync, median" } dd { "≤ " (show::duration(fsync.quantile(0.5))) small { "99% within " (show::duration(fsync.quantile(0.99))) } } }
        }
    }
}

fn by_name(rows: &[(String, prometheus_client::metrics::counter::Counter)], what: &str) -> Markup {
    html! {
        @if rows.is_empty() { p.empty { "None." } } @else {
            table {
                thead { tr { th scope="col" { (what) } th.n scope="col" { "count" } } }
                tbody { @for (name, counter) in rows { tr { th scope="row" { (show::words(name)) } td.n { (show::count(counter.get())) } } } }
            }
        }
    }
}

fn head_table(heads: &[HeadRow]) -> Markup {
    html! {
        @if heads.is_empty() { p.empty { "None was signed yet; an epoch closes now and then, and at an orderly end." } } @else {
            div.scroll { table {
                thead { tr { th scope="col" { "signed" } th.n scope="col" { "entries" } th scope="col" { "log" } th scope="col" { "node" } } }
                tbody { @for head in heads { tr {
                    td.when { (show::when(head.time_ms)) }
                    td.n { (show::count(u64::try_from(head.tree_size).unwrap_or(0))) }
                    td.hash { (head.log_id) }
                    td { (head.node) }
                } } }
            } }
        }
    }
}
