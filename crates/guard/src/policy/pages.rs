//! The public pages: plain HTML that works without scripts.

use super::public::PublicDecision;
use super::terms::Terms;
use maud::{DOCTYPE, Markup, html};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;\
padding:0 1rem;color:#111;background:#fff}table{border-collapse:collapse}td,th{text-align:left;\
padding:.25rem .75rem .25rem 0;vertical-align:top;border-bottom:1px solid #ccc}textarea,input{\
width:100%;box-sizing:border-box;font:inherit}button{font:inherit;padding:.4rem 1rem}";

fn frame(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    }
}

/// A decision, with a form to contest it.
pub(super) fn decision(said: &PublicDecision) -> Markup {
    let is_in_force = matches!(said.state, "active" | "contested");
    let may_appeal = said.state == "active";
    frame(
        "A decision about your account",
        &html! {
            p { (said.says) @if said.dry_run { " This is a trial: nothing is done, it is only noted." } }
            table {
                tr { th scope="row" { "Name" } td { code { (said.id) } } }
                tr { th scope="row" { "Rule" } td { (said.rule) } }
                tr { th scope="row" { "Reason" } td { (said.reason) } }
                tr { th scope="row" { "State" } td { (said.state) } }
                tr { th scope="row" { "Since" } td { (said.since) } }
                tr { th scope="row" { "Until" } td { (said.until) @if is_in_force { " (longer while the same is measured)" } } }
                tr { th scope="row" { "Made by" } td { (said.made_by) } }
            }
            h2 { "What was measured" }
            @if said.measured.is_empty() { p { "Nothing that was measured is kept with it." } }
            @else {
                table {
                    thead { tr { th scope="col" { "What" } th scope="col" { "Here" } th scope="col" { "Usual" } } }
                    tbody { @for reason in &said.measured { tr {
                        td { (reason.text) " " code { (reason.code) } }
                        td { (number(reason.value)) }
                        td { (number(reason.baseline)) }
                    } } }
                }
            }
            @if let Some(url) = said.verification.as_deref().filter(|url| is_web(url)) {
                h2 { "Verify your account" }
                p { a href=(url) rel="noreferrer" { (url) } }
            }
            h2 { "Contest it" }
            @for appeal in &said.appeals {
                p { "Appeal of " (appeal.made) ": " (appeal.state) @if !appeal.answer.is_empty() { ". Answer: " (appeal.answer) } }
            }
            @if may_appeal {
                form method="post" action={ "/stillwatch/decisions/" (said.id) "/appeal" } {
                    p { label for="text" { "Why it is wrong" }
                        textarea id="text" name="text" rows="8" maxlength="4000" required {} }
                    p { label for="contact" { "Where to answer (may be left empty; the answer also stands here)" }
                        input id="contact" name="contact" maxlength="200"; }
                    p { button { "Send the appeal" } }
                }
                p { "A person reads it." }
            } @else if said.state == "contested" {
                p { "An appeal is open. The answer will stand here." }
            } @else {
                p { "It isn't in force, so there is nothing to contest." }
            }
        },
    )
}

/// The answer to an appeal.
pub(super) fn appealed(id: &str) -> Markup {
    frame(
        "Your appeal was received",
        &html! {
            p { "A person reads it. The answer will stand on the page of the "
                a href={ "/stillwatch/decisions/" (id) } { "decision" } "." }
        },
    )
}

/// What went wrong.
pub(super) fn failed(message: &str) -> Markup {
    frame("That didn't work", &html! { p { (message) } })
}

/// The terms.
pub(super) fn terms(terms: &Terms) -> Markup {
    frame(
        "What this gateway does",
        &html! {
            h2 { "Measures that may be taken" }
            @if terms.measures.is_empty() { p { "None." } }
            ul { @for entry in &terms.measures { li {
                b { (entry.measure) } " (rule " (entry.rule) @if entry.dry_run { ", on trial: only noted" } "): " (entry.says)
                @for (from, to) in &entry.instead { br; (from) " is answered by " (to) }
            } } }
            @for (title, lines) in [("Never", &terms.never), ("How it is declared", &terms.declared), ("What is recorded", &terms.recorded)] {
                h2 { (title) }
                ul { @for line in lines { li { (line) } } }
            }
            h2 { "How to contest it" }
            p { code { (terms.contest) } }
        },
    )
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}
