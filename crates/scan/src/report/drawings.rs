//! The drawings of a campaign: SVG made here, no library, no script.

use crate::exhibits::Exhibit;
use crate::result::ScanCampaign;
use maud::{Markup, html};
use std::f64::consts::TAU;

const WIDTH: f64 = 720.0;
/// Members that are drawn at most.
const NODES_MAX: usize = 120;
const EDGES_MAX: usize = 600;
/// Rows and columns of a timeline at most.
const ROWS_MAX: usize = 24;
const DAYS_MAX: i64 = 62;
const LEFT: f64 = 150.0;
const ROW: f64 = 15.0;
const TOP: f64 = 22.0;

fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// A name cut to what fits beside a row.
fn short(name: &str) -> String {
    const CHARS: usize = 17;
    if name.chars().count() <= CHARS {
        return name.to_owned();
    }
    name.chars().take(CHARS - 1).chain(['…']).collect()
}

/// Members on a ring with the evidence between them.
pub(super) fn graph(i: usize, campaign: &ScanCampaign) -> Markup {
    let n = campaign.accounts.len().min(NODES_MAX);
    let (height, radius) = (360.0, 150.0);
    let at = |place: u32| {
        let angle = f64::from(place) / n.max(1) as f64 * TAU - TAU / 4.0;
        (WIDTH / 2.0 + radius * angle.cos(), height / 2.0 + radius * angle.sin())
    };
    let shown = |place: u32| (place as usize) < n;
    let edges: Vec<_> =
        campaign.edges.iter().filter(|e| shown(e.a) && shown(e.b)).take(EDGES_MAX).collect();
    let description =
        format!("{} members, {} lines of evidence are drawn", campaign.accounts.len(), edges.len());
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby=(format!("g{i}-t g{i}-d")) xmlns="http://www.w3.org/2000/svg" {
            title id=(format!("g{i}-t")) { "Graph of " (campaign.id) }
            desc id=(format!("g{i}-d")) { (description) }
            @for edge in &edges {
                @let (x1, y1) = at(edge.a);
                @let (x2, y2) = at(edge.b);
                line.edge x1=(px(x1)) y1=(px(y1)) x2=(px(x2)) y2=(px(y2)) stroke-width=(px(0.4 + 0.5 * edge.families.len() as f64)) {}
            }
            @for (place, account) in (0u32..).zip(campaign.accounts.iter().take(n)) {
                @let (x, y) = at(place);
                circle.node cx=(px(x)) cy=(px(y)) r="4.5" { title { (account) } }
            }
            @if campaign.accounts.len() > n {
                text.tick x="8" y=(px(height - 8.0)) { "the first " (n) " of " (campaign.accounts.len()) " members" }
            }
        }
    }
}

/// Requests by member and day.
pub(super) fn timeline(i: usize, campaign: &ScanCampaign, exhibit: &Exhibit) -> Markup {
    let Some(last) = exhibit.days.keys().next_back().copied() else {
        return html! { p.soft { "None of their exchanges has a time." } };
    };
    let first = exhibit.days.keys().next().copied().unwrap_or(last).max(last - DAYS_MAX + 1);
    let n_days = (last - first + 1).max(1) as f64;
    let cell = (WIDTH - LEFT - 8.0) / n_days;
    let rows: Vec<_> = exhibit.member_days.iter().take(ROWS_MAX).collect();
    let most = rows.iter().flat_map(|(_, days)| days.values()).max().copied().unwrap_or(1);
    let height = TOP + ROW * rows.len() as f64 + 8.0;
    let date = |day: i64| {
        jiff::Timestamp::from_second(day.saturating_mul(86_400))
            .map(|t| t.strftime("%Y-%m-%d").to_string())
            .unwrap_or_default()
    };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", px(height))) role="img" aria-labelledby=(format!("t{i}-t t{i}-d")) xmlns="http://www.w3.org/2000/svg" {
            title id=(format!("t{i}-t")) { "Days of " (campaign.id) }
            desc id=(format!("t{i}-d")) { "Requests by member and day from " (date(first)) " to " (date(last)) ", at most " (most) " a day" }
            text.tick x=(px(LEFT)) y="14" { (date(first)) }
            @if last > first { text.tick x=(px(WIDTH - 8.0)) y="14" text-anchor="end" { (date(last)) } }
            @for (row, (place, days)) in rows.iter().enumerate() {
                @let y = TOP + ROW * row as f64;
                text.tick x=(px(LEFT - 8.0)) y=(px(y + 11.0)) text-anchor="end" { (campaign.accounts.get(**place).map(|a| short(a)).unwrap_or_default()) }
                @for (day, count) in days.range(first..) {
                    @let share = *count as f64 / most as f64;
                    rect.cell x=(px(LEFT + cell * (day - first) as f64)) y=(px(y)) width=(px((cell - 1.0).max(0.5))) height=(px(ROW - 2.0)) fill-opacity=(format!("{:.2}", 0.15 + 0.85 * share)) {
                        title { (date(*day)) ": " (count) }
                    }
                }
            }
        }
    }
}
