//! The page from the question at its head to the commands at its end.

use super::{ReportInput, court, plots, tables};
use crate::{
    format::{counted, e_value, probability, rate, thousands, trimmed},
    params::{ACCOUNTS, POOLED, POWER},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use stillwatch_evidence::{
    AuditResult, Coin, CoinEvidence, Decide, Finding, PlanState, VerdictKind,
};

const STYLE: &str = include_str!("style.css");

pub(super) fn page(input: &ReportInput<'_>) -> Markup {
    let result = &input.evaluation.result;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { "Stillwatch: " (word(result.verdict)) ", " (input.context.suspect) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(input))
                    (verdict(result))
                    (facts(result))
                    @if result.partial { (partial(result)) }
                    (drawings(input))
                    (tables::tests(result))
                    (tables::accounts(result))
                    (tables::other_models(result))
                    (committed(input))
                    (limits(result))
                    (court::answers(input))
                    (again(input))
                    (texts(input))
                    footer {
                        "Stillwatch " (env!("CARGO_PKG_VERSION")) ". Made " (input.made)
                        ". This file needs no network and no script. The numbers are in result.json beside it."
                    }
                }
            }
        }
    }
}

pub(super) fn word(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Established => "Established",
        VerdictKind::Indicated => "Indicated",
        VerdictKind::NoEvidence => "No evidence",
        VerdictKind::Inconclusive => "Inconclusive",
    }
}

fn class(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Established => "established",
        VerdictKind::Indicated => "indicated",
        VerdictKind::NoEvidence => "no_evidence",
        VerdictKind::Inconclusive => "inconclusive",
    }
}

fn head(input: &ReportInput<'_>) -> Markup {
    html! {
        header {
            p.kicker { "Stillwatch audit report, " (input.made) }
            h1 { (input.question) }
            p.lead {
                "Suspect: " code { (input.context.suspect) } ". "
                "Of texts that were equally likely to be released, a coin chose one. A model that never \
                 saw the released texts can’t tell them from the withheld ones."
            }
        }
    }
}

fn verdict(result: &AuditResult) -> Markup {
    // The sentence opens with the verdict's word in most cases; the heading says it once.
    let word = word(result.verdict);
    let rest = result.sentence.strip_prefix(word).and_then(|s| s.strip_prefix(": "));
    html! {
        section class=(format!("verdict {}", class(result.verdict))) aria-label="Verdict" {
            p.word { (word) }
            p.sentence { (rest.map_or_else(|| result.sentence.clone(), capitalised)) }
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A sentence's beginning and curly apostrophes.
fn typeset(text: &str) -> String {
    capitalised(text).replace('\'', "’")
}

fn facts(result: &AuditResult) -> Markup {
    let main = result.findings.first();
    let (label, value) = main.map_or(("p-value", None), |f| deciding(f, result.decide));
    let share = result.alpha_split.get(POOLED).copied().unwrap_or(result.alpha);
    let bound = match result.decide {
        // The hyphen of an exponent doesn't break.
        Decide::P => {
            format!(
                "decides; at most {} asked",
                probability(share.log10()).replace('-', "\u{2011}")
            )
        }
        Decide::E => format!("decides; at least {} asked", e_value(-share.log10())),
    };
    html! {
        dl.facts {
            div { dt { "pairs tested" } dd { (thousands(result.n_pairs as f64)) small { (thousands(result.n_set_aside as f64)) " set aside, blind to the coin" } } }
            div { dt { (label) ", pooled" } dd { (value.unwrap_or_else(|| "none".to_owned())) small { (bound) } } }
            div { dt { "error rate chosen" } dd { (rate(result.alpha)) small { (split(result)) } } }
            @if let Some(effect) = main.and_then(|f| f.effect.as_ref()) {
                div { dt { "effect" } dd { (trimmed(effect.estimate, 2)) small { "SD per pair, 95% " (trimmed(effect.ci95[0], 2)) " to " (trimmed(effect.ci95[1], 2)) } } }
            }
            div { dt { "found from" } dd {
                (main.and_then(|f| f.min_detectable_effect).map_or_else(|| "no effect".to_owned(), |e| trimmed(e, 2)))
                small { "SD per pair, with power " (POWER) }
            } }
        }
    }
}

/// Name and text of the number that decides.
fn deciding(finding: &Finding, decide: Decide) -> (&'static str, Option<String>) {
    match decide {
        Decide::P => ("p-value", finding.log10_p_value.map(probability)),
        Decide::E => ("e-value", finding.log10_e_value.map(e_value)),
    }
}

fn split(result: &AuditResult) -> String {
    match (result.alpha_split.get(POOLED), result.alpha_split.get(ACCOUNTS)) {
        (Some(pooled), Some(accounts)) => {
            format!("pooled {}, accounts {}", trimmed(*pooled, 2), trimmed(*accounts, 2))
        }
        _ => "all of it for the pooled test".to_owned(),
    }
}

fn partial(result: &AuditResult) -> Markup {
    html! {
        p { strong { "This run is not complete. " }
            (counted(result.n_pairs, "pair")) " had been scored when it stopped; the same command goes on from there." }
    }
}

fn drawings(input: &ReportInput<'_>) -> Markup {
    let result = &input.evaluation.result;
    let series = &input.evaluation.series;
    let main = result.findings.first();
    let seen = main.and_then(|f| f.effect.as_ref()).map(|e| (e.estimate, e.ci95));
    html! {
        h2 { "What the scores show" }
        @if series.x.is_empty() { p { "There are no pairs to draw." } }
        @else {
            figure {
                h3 { "Which text the suspect prefers" }
                figcaption { "Each pair’s preference, " @if !result.references.is_empty() { "with what the references explain taken away, " }
                    "over a scale that doesn’t know which text was released. For a model that never saw the released texts both sides agree but for chance; the outline mirrors each side onto the other." }
                (plots::preferences(series))
            }
            @if !series.e_path.is_empty() && result.grade.coin > Coin::None {
                figure {
                    h3 { "Evidence, pair by pair" }
                    figcaption { "The e-value after each pair: what a gambler without knowledge of the coins would have made of 1. "
                        "It may be looked at after every pair; a model independent of the coins reaches the threshold with a probability of at most "
                        (trimmed(10f64.powf(-series.e_threshold), 2)) ". "
                        @match result.decide { Decide::E => "This number decides.", Decide::P => "It is reported; the p-value decides." } }
                    (plots::e_process(series))
                }
            }
            @if !series.accounts.is_empty() {
                figure {
                    h3 { "Account by account" }
                    figcaption { "Each account’s own test. Filled: named, with the error rate held over all accounts together." }
                    (plots::accounts(series, result.decide))
                }
            }
            @if !series.power.is_empty() {
                figure {
                    h3 { "What this run would have seen" }
                    figcaption { "Probability that the pooled test passes, against the size of the effect (dotted: the least that is found with probability " (POWER) "; dashed: the target). "
                        @if seen.is_some() { "The black bar is the effect that was seen, with its 95% interval." } }
                    (plots::power(series, main.and_then(|f| f.min_detectable_effect), input.params.target_effect, seen))
                }
            }
        }
    }
}

fn committed(input: &ReportInput<'_>) -> Markup {
    let result = &input.evaluation.result;
    let context = input.context;
    html! {
        h2 { "What was committed, and when" }
        dl.pairs {
            dt { "Coin" } dd { (coin(result.grade.coin)) }
            dt { "Evidence for it" } dd { @match result.grade.coin_evidence {
                CoinEvidence::Ledger => "Both ledger entries of every exposure were checked.",
                CoinEvidence::Declared => "The owner’s word; no ledger entries were checked.",
            } }
            dt { "Plan" } dd { @match result.grade.plan {
                PlanState::Sealed => "Sealed before the first query, and followed.",
                PlanState::None => "None was sealed.",
            } @if let Some(j) = input.params.plan_index { " It is plan " (j) " over these exposures and may spend " (trimmed(input.params.spent_alpha(), 3)) " of the error rate." } }
            dt { "Ledger leaves not opened" } dd { @if context.unopened_leaves == 0 { "None" } @else { (thousands(context.unopened_leaves as f64)) ", each counted as an adverse pair of the largest magnitude" } }
            dt { "Set aside" } dd { @if context.set_aside.is_empty() { "Nothing" } @else { ul { @for s in &context.set_aside { li { (thousands(s.count as f64)) ": " (s.reason) } } } } }
            @for (time, what) in input.timeline { dt { (time) } dd { (what) } }
        }
    }
}

fn coin(coin: Coin) -> &'static str {
    match coin {
        Coin::Public => "public: a public beacon chose, after both texts were committed",
        Coin::Server => "server: the owner’s random generator chose at serving time",
        Coin::Iid => "iid: siblings were sampled later; this indicates at most",
        Coin::None => "none: no coin was thrown; this indicates at most, without a p-value",
    }
}

fn limits(result: &AuditResult) -> Markup {
    html! {
        @if let Some(main) = result.findings.first() {
            h2 { "What it assumes" }
            p.soft { "Null hypothesis: " (main.null) "." }
            ul { @for a in &main.assumptions { li { (typeset(a)) "." } } }
            h2 { "What it cannot say" }
            ul { @for c in &main.cannot_say { li { (typeset(c)) "." } } }
        }
    }
}

fn again(input: &ReportInput<'_>) -> Markup {
    html! {
        h2 { "How to run it again" }
        p { "Everything random but the coins comes from seed " (input.params.seed) "; the same inputs give the same bytes." }
        @for command in input.commands { pre { (command) } }
        @if !input.inputs.is_empty() {
            div.scroll { table {
                thead { tr { th scope="col" { "input" } th scope="col" { "SHA-256" } } }
                tbody { @for i in input.inputs { tr { td { (i.name) } td.hash { (i.sha256) } } } }
            } }
        }
    }
}

fn texts(input: &ReportInput<'_>) -> Markup {
    html! {
        @if !input.texts.is_empty() {
            h2 { "Texts" }
            p.soft { "Shown because it was asked for." }
            @for t in input.texts {
                h3 { (t.id) }
                p.soft { "Released" } blockquote { (t.released) }
                @for w in &t.withheld { p.soft { "Withheld" } blockquote { (w) } }
            }
        }
    }
}
