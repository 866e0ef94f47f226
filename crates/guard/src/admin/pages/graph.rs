//! A campaign as a graph: accounts as points, kinds of evidence between them as lines.
//!
//! The layout is a fixed number of steps of attraction and repulsion (Fruchterman and Reingold
//! 1991) from a circle, without chance: the same campaign is drawn the same way.

use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};
use stillwatch_traffic::Campaign;

/// Accounts drawn: those with the most connections.
pub(super) const NODES_MAX: usize = 60;
/// Lines drawn at most.
const EDGES_MAX: usize = 600;
const STEPS: usize = 120;
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 460.0;
const MARGIN: f64 = 60.0;
/// Names are written beside points while there are few.
const NAMES_MAX: usize = 24;
/// Longer names are cut in the drawing; the table has them whole.
const NAME_CHARS_MAX: usize = 16;

/// Kinds of evidence with their class of line.
const FAMILIES: [(&str, &str); 5] = [
    ("text", "text"),
    ("infrastructure", "infrastructure"),
    ("synchrony", "synchrony"),
    ("sharding", "sharding"),
    ("replay", "replay"),
];

fn class(family: &str) -> &'static str {
    FAMILIES.iter().find(|(start, _)| family.starts_with(start)).map_or("other", |(_, class)| class)
}

fn px(x: f64) -> String {
    format!("{x:.1}")
}

/// What is drawn: indices of accounts, and lines between positions in that list.
struct Drawn<'a> {
    nodes: Vec<usize>,
    edges: Vec<(usize, usize, &'a [String])>,
}

fn choose(campaign: &Campaign) -> Drawn<'_> {
    let n = campaign.accounts.len();
    let mut degrees = vec![0_usize; n];
    for (a, b, _) in &campaign.edges {
        for end in [*a, *b] {
            if let Some(degree) = degrees.get_mut(end as usize) {
                *degree += 1;
            }
        }
    }
    let mut nodes: Vec<usize> = (0..n).collect();
    nodes.sort_by_key(|at| std::cmp::Reverse(degrees.get(*at).copied().unwrap_or(0)));
    nodes.truncate(NODES_MAX);
    let places: BTreeMap<usize, usize> = nodes.iter().enumerate().map(|(p, at)| (*at, p)).collect();
    let edges = campaign.edges.iter().filter_map(|(a, b, families)| {
        let ends = (places.get(&(*a as usize))?, places.get(&(*b as usize))?);
        (ends.0 != ends.1).then_some((*ends.0, *ends.1, families.as_slice()))
    });
    let edges = edges.take(EDGES_MAX).collect();
    Drawn { nodes, edges }
}

/// Positions in a square of side 1.
fn place(n: usize, edges: &[(usize, usize, &[String])]) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = (0..n)
        .map(|at| {
            let angle = std::f64::consts::TAU * at as f64 / n.max(1) as f64;
            (0.5 + 0.4 * angle.cos(), 0.5 + 0.4 * angle.sin())
        })
        .collect();
    let ideal = 0.75 / (n.max(1) as f64).sqrt();
    for step in 0..STEPS {
        let reach = 0.08 * (1.0 - step as f64 / STEPS as f64);
        let moves: Vec<(f64, f64)> = (0..n).map(|at| pull(at, &points, edges, ideal)).collect();
        for (point, (dx, dy)) in points.iter_mut().zip(moves) {
            let length = dx.hypot(dy).max(1e-9);
            let step = length.min(reach) / length;
            point.0 = (point.0 + dx * step).clamp(0.0, 1.0);
            point.1 = (point.1 + dy * step).clamp(0.0, 1.0);
        }
    }
    fill(&mut points);
    points
}

/// The force on one point.
fn pull(
    at: usize,
    points: &[(f64, f64)],
    edges: &[(usize, usize, &[String])],
    ideal: f64,
) -> (f64, f64) {
    let here = points.get(at).copied().unwrap_or_default();
    let mut force = ((0.5 - here.0) * 0.3, (0.5 - here.1) * 0.3);
    let mut add = |other: usize, strength: fn(f64, f64) -> f64| {
        let Some(there) = points.get(other) else { return };
        let (dx, dy) = (there.0 - here.0, there.1 - here.1);
        let distance = dx.hypot(dy).max(1e-3);
        let size = strength(distance, ideal) / distance;
        force.0 += dx * size;
        force.1 += dy * size;
    };
    for other in (0..points.len()).filter(|other| *other != at) {
        add(other, |distance, ideal| -ideal * ideal / distance);
    }
    for (a, b, _) in edges {
        if *a == at {
            add(*b, |distance, ideal| distance * distance / ideal);
        } else if *b == at {
            add(*a, |distance, ideal| distance * distance / ideal);
        }
    }
    force
}

/// Stretches the drawing to the whole square.
fn fill(points: &mut [(f64, f64)]) {
    let bounds = |f: fn(&(f64, f64)) -> f64| {
        let least = points.iter().map(f).fold(f64::INFINITY, f64::min);
        let most = points.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
        (least, (most - least).max(1e-9))
    };
    let (x, y) = (bounds(|p| p.0), bounds(|p| p.1));
    if points.len() > 1 {
        for point in points {
            *point = ((point.0 - x.0) / x.1, (point.1 - y.0) / y.1);
        }
    }
}

/// The drawing with its legend.
pub(super) fn draw(campaign: &Campaign) -> Markup {
    let drawn = choose(campaign);
    let points: Vec<(f64, f64)> = place(drawn.nodes.len(), &drawn.edges)
        .into_iter()
        .map(|(x, y)| (MARGIN + x * (WIDTH - 2.0 * MARGIN), 24.0 + y * (HEIGHT - 60.0)))
        .collect();
    let families: BTreeSet<&str> = drawn
        .edges
        .iter()
        .flat_map(|(_, _, families)| families.iter().map(String::as_str))
        .collect();
    let label = format!("{} accounts with {} connections", drawn.nodes.len(), drawn.edges.len());
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
                @for (a, b, families) in &drawn.edges { (edge(&points, *a, *b, families)) }
                @for (at, (x, y)) in drawn.nodes.iter().zip(&points) {
                    @let name = campaign.accounts.get(*at).map_or("", String::as_str);
                    g {
                        title { (name) }
                        circle.node cx=(px(*x)) cy=(px(*y)) r="6" {}
                        @if drawn.nodes.len() <= NAMES_MAX {
                            text.name x=(px(*x)) y=(px(*y + 21.0)) text-anchor="middle" { (cut(name)) }
                        }
                    }
                }
            }
            ul.legend aria-label="Kinds of evidence" { @for family in &families { li {
                svg viewBox="0 0 36 10" aria-hidden="true" { path class=(format!("edge {}", class(family))) d="M0 5H36" {} }
                (family.replace('_', " "))
            } } }
        }
    }
}

fn cut(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(NAME_CHARS_MAX - 1).collect();
    short.push('…');
    short
}

/// Lines between two accounts, one for each kind of evidence, side by side.
fn edge(points: &[(f64, f64)], a: usize, b: usize, families: &[String]) -> Markup {
    let (Some(from), Some(to)) = (points.get(a), points.get(b)) else { return html! {} };
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(1e-9);
    let normal = (-dy / length, dx / length);
    html! {
        @for (at, family) in families.iter().enumerate() {
            @let offset = 3.0 * (at as f64 - (families.len() as f64 - 1.0) / 2.0);
            @let (x, y) = (normal.0 * offset, normal.1 * offset);
            path class=(format!("edge {}", class(family)))
                d=(format!("M{} {}L{} {}", px(from.0 + x), px(from.1 + y), px(to.0 + x), px(to.1 + y))) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(n: usize, edges: &[(u32, u32)]) -> Campaign {
        Campaign {
            id: "c".to_owned(),
            accounts: (0..n).map(|at| format!("account-{at:05}")).collect(),
            score: 0.5,
            flagged: true,
            edges: edges.iter().map(|(a, b)| (*a, *b, vec!["text".to_owned()])).collect(),
            ..Campaign::default()
        }
    }

    #[test]
    fn any_campaign_is_drawn_within_its_bounds() {
        let star: Vec<(u32, u32)> = (1..200).map(|at| (0, at)).collect();
        for (n, edges) in
            [(0, vec![]), (1, vec![]), (2, vec![(0, 1)]), (3, vec![(0, 9), (1, 1)]), (200, star)]
        {
            let campaign = campaign(n, &edges);
            let drawn = draw(&campaign).into_string();
            assert!(!drawn.contains("NaN"), "{n}");
            assert_eq!(drawn.matches("<circle").count(), n.min(NODES_MAX), "{n}");
            let points = place(n.min(60), &[]);
            assert!(points.iter().all(|(x, y)| (0.0..=1.0).contains(x) && (0.0..=1.0).contains(y)));
            assert_eq!(drawn, draw(&campaign).into_string(), "the same each time");
        }
    }
}
