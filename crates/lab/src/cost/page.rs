//! The answer as one HTML file: no script, nothing from the network.

use super::number::{dollar_range, per_cent, scientific, suffixed};
use super::text::{DECADES, on_scale};
use super::{Band, CostReport};
use crate::page::{document, px, svg};
use maud::{Markup, html as markup};

const LEFT: f64 = 330.0;
const RIGHT: f64 = 640.0;
const ROW: f64 = 24.0;

/// Renders the report. Same report, same bytes.
pub fn html(report: &CostReport) -> String {
    let headings = [
        "What the claim covers, and whether it is plausible",
        "What it leaves out, and what buying it from an API would have cost",
    ];
    let body = markup! {
        p.kicker { "Stillwatch cost: arithmetic on published figures" }
        h1 { (report.model) }
        @for (heading, text) in headings.iter().zip(&report.answer) {
            h2 { (heading) }
            p { (text) }
        }
        h2 { "Drawn" }
        (mfu(report))
        (money(report))
        h2 { "Covered" }
        ul { @for item in &report.covers { li { (item) } } }
        h2 { "Left out" }
        ul { @for item in &report.leaves_out { li { (item) } } }
        h2 { "Figures and their sources" }
        div.scroll { table {
            thead { tr { th scope="col" { "figure" } th.n scope="col" { "value" } th scope="col" { "kind" } th scope="col" { "source" } th scope="col" { "date" } } }
            tbody { @for used in &report.figures {
                @let source = report.sources.get(&used.figure.source);
                tr {
                    td { (used.name) @if let Some(note) = &used.figure.note { br; small { (note) } } }
                    td.n { @if used.figure.value >= 1e18 { (scientific(used.figure.value)) } @else { (suffixed(used.figure.value, 4)) } }
                    td { (used.figure.kind.word()) }
                    td { @if let Some(s) = source { a href=(s.url) { (s.title) } } }
                    td { @if let Some(s) = source { (s.date) } }
                }
            } }
        } }
    };
    document(&format!("Stillwatch cost: {}", report.model), &body)
}

fn mfu(report: &CostReport) -> Markup {
    let Some(share) = report.claim.as_ref().and_then(|c| c.needed_mfu_bf16) else {
        return markup! {};
    };
    let x = |v: f64| 20.0 + v * 680.0;
    let mut from = 0.0;
    let bands: Vec<(f64, f64, Band)> = Band::ENDS
        .into_iter()
        .map(|(end, band)| {
            let start = from;
            from = end;
            (start, end, band)
        })
        .collect();
    let body = markup! {
        @for (start, end, band) in bands {
            rect class=(format!("band {}", band.word())) x=(px(x(start))) y="30" width=(px(x(end) - x(start))) height="22" {}
            text.tick x=(px(f64::midpoint(x(start), x(end)))) y="68" text-anchor="middle" { (band.word()) }
        }
        line.seen x1=(px(x(share))) x2=(px(x(share))) y1="24" y2="56" {}
        text x=(px(x(share))) y="18" text-anchor="middle" { (per_cent(share)) }
    };
    markup! { figure {
        h3 { "Share of the chip’s BF16 peak that the claim needs" }
        figcaption { "Below 15% there is slack; 15 to 45% is what well-run training reaches; beyond 60% nothing known lies." }
        (svg("mfu", "Needed utilisation", "A scale from 0 to 100% with bands and a mark at the needed share.", 80.0, &body))
    } }
}

fn money(report: &CostReport) -> Markup {
    let height = 40.0 + ROW * report.dollars.len() as f64;
    let x = |usd: f64| LEFT + on_scale(usd) * (RIGHT - LEFT);
    let decades: Vec<f64> = (0..=7).map(|i| DECADES.0 + f64::from(i)).collect();
    let names = ["$1K", "$10K", "$100K", "$1M", "$10M", "$100M", "$1B", "$10B"];
    let body = markup! {
        @for (decade, name) in decades.iter().zip(names) {
            @let at = px(x(10f64.powf(*decade)));
            line.grid x1=(at) x2=(at) y1="22" y2=(px(height - 10.0)) {}
            text.tick x=(at) y="14" text-anchor="middle" { (name) }
        }
        @for (i, row) in report.dollars.iter().enumerate() {
            @let y = 30.0 + ROW * i as f64;
            text.tick x=(px(LEFT - 8.0)) y=(px(y + 12.0)) text-anchor="end" { (row.what) }
            rect class=(format!("bar {}", row.group)) x=(px(x(row.usd.low) - 2.0)) y=(px(y)) width=(px(x(row.usd.high) - x(row.usd.low) + 4.0)) height="14" {}
            text.tick x=(px(x(row.usd.high) + 6.0)) y=(px(y + 12.0)) { (dollar_range(row.usd)) }
        }
    };
    markup! { figure {
        h3 { "Dollars, each decade alike" }
        figcaption { "What is claimed, what the formula gives, other readings of the same company’s spending, and what an API would have charged." }
        (svg("money", "Dollars", "Bars on a logarithmic scale, one for each figure.", height, &body))
        @for row in &report.dollars { @if let Some(note) = &row.note { p.soft { (row.what) ": " (note) "." } } }
    } }
}
