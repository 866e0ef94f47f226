//! The measurement as one HTML file with its plots: no script, nothing from the network.

use super::Rate;
use super::plan::{Diet, Truth};
use super::report::{KindRow, ProveReport};
use super::text::words;
use crate::page::{Line, Point, document, line_chart};
use maud::{Markup, html as markup};

/// Renders the report. Same report, same bytes.
pub fn html(report: &ProveReport) -> String {
    let plan = &report.plan;
    let body = markup! {
        p.kicker { "Stillwatch prove: models of known ancestry, bred in this run" }
        h1 { "How often the tests are right, and how often they lie" }
        p { (report.n_models) " models: " (plan.kinds.len()) " kinds of ancestry, " (plan.n_teachers) " teachers, " (plan.n_seeds) " seeds. "
            "Error rate of each audit " (report.alpha) ", seed " (report.seed) ". Pairs per teacher: "
            (report.n_pairs.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")) "." }
        p.soft { "Small models, one book, answers of at most " (plan.sizes.answer_tokens) " tokens; coins come from the seed. "
            "It is a measurement of tests, and its rates are rates of these runs." }
        ul { @for (what, holds) in &report.expectations { li class=(if *holds { "good" } else { "bad" }) {
            (if *holds { "As expected: " } else { "Not as expected: " }) (what) "." } } }
        h2 { "Power" }
        p { "Accused, of all models of a kind that did learn from the released answers." }
        (kinds(report, &report.power))
        (doses(report))
        (passes(report))
        (strengths(report))
        (pairs(report))
        p { "Smallest dose that twins finds in 80% of models: "
            (report.minimum_dose.map_or("none".to_owned(), |d| format!("{}% of the diet", d * 100.0))) "." }
        h2 { "Wrongly accused" }
        p { "All innocents and all tests. Rows with a star were told something untrue, so no error rate is promised there." }
        (kinds(report, &report.wrongly_accused))
        h2 { "Innocent models accused in any audit that was told the truth" }
        div.scroll { table {
            thead { tr { th scope="col" { "test" } th scope="col" { "what it is" } th.n scope="col" { "accused" } th.n scope="col" { "95% interval" } th scope="col" { "" } } }
            tbody { @for test in &report.tests { tr {
                td { (test.name) } td { (test.what) @if !test.exact { " (not exact)" } }
                td.n { (test.false_positives.count) " of " (test.false_positives.n) }
                td.n { (interval(&test.false_positives)) }
                td { @if test.lies { span.bad { "lies" } } }
            } } }
        } }
        @if plan.n_teachers > 1 {
            h3 { "Teacher by teacher" }
            div.scroll { table {
                thead { tr { th scope="col" { "test" } @for t in 0..plan.n_teachers { th.n scope="col" { "teacher " (t) } } } }
                tbody { @for test in &report.tests { tr { td { (test.name) } @for rate in &test.by_teacher { td.n { (words(rate)) } } } } }
            } }
        }
        h2 { "Size" }
        p { "Coins thrown again " (report.size.n_throws) " times over the stored scores of " (report.size.n_models)
            " innocents, the whole audit each time. It checks the arithmetic from scores to verdict, not how the pairs came to be." }
        div.scroll { table {
            thead { tr { th scope="col" { "level" } th.n scope="col" { "p at most the level" } th.n scope="col" { "interval" } th.n scope="col" { "e at least its inverse" } th.n scope="col" { "interval" } } }
            tbody { @for level in &report.size.levels { tr {
                td { (level.alpha) }
                td.n { (level.pooled.rate.unwrap_or(0.0)) } td.n { (interval(&level.pooled)) }
                td.n { (level.e_value.rate.unwrap_or(0.0)) } td.n { (interval(&level.e_value)) }
            } } }
        } }
    };
    document("Stillwatch prove", &body)
}

fn interval(rate: &Rate) -> String {
    format!("{:.4} to {:.4}", rate.low, rate.high)
}

fn kinds(report: &ProveReport, rows: &[KindRow]) -> Markup {
    markup! { div.scroll { table {
        thead { tr { th scope="col" { "kind" } @for test in &report.tests { th.n scope="col" { (test.name) } } } }
        tbody { @for row in rows { tr {
            td { (row.kind) @if row.truth == Truth::Innocent { br; small { (row.situation.words()) @if !row.situation.is_fair() { " *" } } } }
            @for rate in &row.rates { td.n { (rate.count) "/" (rate.n) br; small { (interval(rate)) } } }
        } } }
    } } }
}

/// A line of the shipped audit over kinds at places of an axis.
fn over(
    report: &ProveReport,
    id: &str,
    title: &str,
    caption: &str,
    place: impl Fn(&Diet, u64) -> Option<f64>,
) -> Markup {
    let mut found: Vec<(f64, &KindRow)> = report
        .power
        .iter()
        .filter_map(|row| {
            let kind = report.plan.kinds.iter().find(|k| k.name == row.kind)?;
            Some((place(&kind.diet, kind.passes)?, row))
        })
        .collect();
    if found.len() < 2 {
        return markup! {};
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let last = (found.len() - 1) as f64;
    let at = |i: usize| i as f64 / last;
    let lines: Vec<Line> = report
        .tests
        .iter()
        .enumerate()
        .filter(|(_, test)| test.exact)
        .map(|(t, test)| Line {
            name: test.name.to_owned(),
            points: found
                .iter()
                .enumerate()
                .filter_map(|(i, (_, row))| point(at(i), row.rates.get(t)?))
                .collect(),
        })
        .collect();
    let ticks: Vec<(f64, String)> =
        found.iter().enumerate().map(|(i, (_, row))| (at(i), row.kind.to_owned())).collect();
    markup! { figure { h3 { (title) } figcaption { (caption) } (line_chart(id, title, &ticks, &lines)) } }
}

fn point(x: f64, rate: &Rate) -> Option<Point> {
    Some(Point { x, y: rate.rate?, low: rate.low, high: rate.high })
}

fn doses(report: &ProveReport) -> Markup {
    over(
        report,
        "dose",
        "Power against the dose",
        "Share of the diet that the teacher’s released answers make up; six passes.",
        |diet, passes| match diet {
            Diet::Released { dose } if passes == 6 => Some(*dose),
            _ => None,
        },
    )
}

#[expect(clippy::float_cmp, reason = "the whole diet is written as 1.0 in the plan")]
fn passes(report: &ProveReport) -> Markup {
    over(
        report,
        "passes",
        "Power against passes over the data",
        "Students of the whole diet.",
        |diet, passes| match diet {
            Diet::Released { dose } if *dose == 1.0 => Some(passes as f64),
            _ => None,
        },
    )
}

fn strengths(report: &ProveReport) -> Markup {
    over(
        report,
        "strength",
        "Power against the strength of rewording by rule",
        "Synonyms, omissions, order and marks; a model’s rewriting is another matter.",
        |diet, _| match diet {
            Diet::Paraphrased { strength } => Some(*strength),
            _ => None,
        },
    )
}

fn pairs(report: &ProveReport) -> Markup {
    let Some(most) = report.needed_pairs.first().map(|n| n.points.len()) else {
        return markup! {};
    };
    if most < 2 {
        return markup! {};
    }
    let at = |i: usize| i as f64 / (most - 1) as f64;
    let lines: Vec<Line> = report
        .needed_pairs
        .iter()
        .map(|needed| Line {
            name: needed.kind.to_owned(),
            points: needed
                .points
                .iter()
                .enumerate()
                .filter_map(|(i, p)| point(at(i), &p.power))
                .collect(),
        })
        .collect();
    let ticks: Vec<(f64, String)> = report
        .needed_pairs
        .first()
        .into_iter()
        .flat_map(|n| n.points.iter().enumerate())
        .map(|(i, p)| (at(i), p.n_pairs.to_string()))
        .collect();
    markup! { figure { h3 { "Power against the number of pairs" }
    figcaption { "Pooled test on random subsets of the stored pairs. Subsets of one model overlap, so the intervals are too narrow for a statement about models." }
    (line_chart("pairs", "Power against pairs", &ticks, &lines)) } }
}
