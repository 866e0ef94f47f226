//! Line charts with intervals, as SVG made here.

use maud::{Markup, html};

/// Width of every drawing in its own units; the page scales it.
const WIDTH: f64 = 720.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 18.0;

/// A value with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// Place on the horizontal axis, 0 to 1.
    pub(crate) x: f64,
    /// The value, 0 to 1.
    pub(crate) y: f64,
    /// Its interval.
    pub(crate) low: f64,
    /// Its interval.
    pub(crate) high: f64,
}

/// A named line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Its name.
    pub(crate) name: String,
    /// Its points, left to right.
    pub(crate) points: Vec<Point>,
}

/// An SVG with its name and description for readers that don't see it.
pub(crate) fn svg(id: &str, name: &str, description: &str, height: f64, body: &Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {} {}", px(WIDTH), px(height))) role="img"
            aria-labelledby=(format!("{id}-t {id}-d")) xmlns="http://www.w3.org/2000/svg" {
            title id=(format!("{id}-t")) { (name) }
            desc id=(format!("{id}-d")) { (description) }
            (body)
        }
    }
}

/// Shares between 0 and 1 against named places, with intervals.
pub(crate) fn line_chart(id: &str, title: &str, ticks: &[(f64, String)], lines: &[Line]) -> Markup {
    let height = 230.0 + 16.0 * lines.len() as f64;
    let bottom = 190.0;
    let x = |v: f64| LEFT + 20.0 + v * (RIGHT - LEFT - 40.0);
    let y = |v: f64| bottom - v.clamp(0.0, 1.0) * (bottom - TOP);
    let class = |i: usize| format!("line l{}", i % 4);
    let body = html! {
        @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
            line.grid x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y(tick))) y2=(px(y(tick))) {}
            text.tick x=(px(LEFT - 7.0)) y=(px(y(tick) + 4.0)) text-anchor="end" { (tick) }
        }
        @for (at, name) in ticks {
            text.tick x=(px(x(*at))) y=(px(bottom + 17.0)) text-anchor="middle" { (name) }
        }
        @for (i, line) in lines.iter().enumerate() {
            path class=(class(i)) d=(path(line.points.iter().map(|p| (x(p.x), y(p.y))))) {}
            @for p in &line.points {
                @let shift = 4.0 * i as f64;
                line class=(class(i)) x1=(px(x(p.x) + shift)) x2=(px(x(p.x) + shift)) y1=(px(y(p.low))) y2=(px(y(p.high))) {}
                circle class=(format!("dot l{}", i % 4)) cx=(px(x(p.x))) cy=(px(y(p.y))) r="3.5" {}
            }
            text class=(format!("key l{}", i % 4)) x=(px(LEFT)) y=(px(bottom + 40.0 + 16.0 * i as f64)) { (line.name) }
        }
    };
    svg(
        id,
        title,
        "Shares with their intervals; the same numbers stand in the table.",
        height,
        &body,
    )
}

fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut d = String::new();
    for (i, (x, y)) in points.into_iter().enumerate() {
        d.push(if i == 0 { 'M' } else { 'L' });
        d.push_str(&px(x));
        d.push(' ');
        d.push_str(&px(y));
    }
    d
}

/// A drawing coordinate, one decimal.
pub(crate) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
