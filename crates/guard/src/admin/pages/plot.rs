//! Drawings of the traffic: SVG made here, positions as attributes, colours by class.

use super::show;
use crate::observe::Totals;
use maud::{Markup, html};
use std::fmt::Write as _;

const WIDTH: f64 = 1_100.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 22.0;
/// Height of the drawing of requests, and of that of tokens below it.
const HEIGHTS: (f64, f64) = (170.0, 110.0);
/// Steps of the vertical axis.
const STEPS: u64 = 4;
/// Ticks of the horizontal axis at most, and minutes between them.
const TICKS_MAX: i64 = 10;
const TICK_MINUTES: [i64; 6] = [5, 10, 20, 30, 60, 180];

/// A position with one decimal.
fn px(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The least round number that is at least this.
fn round_up(n: u64) -> u64 {
    let mut size = 1_u64;
    loop {
        for step in [1, 2, 4, 8] {
            let bound = size.saturating_mul(step);
            if bound >= n.max(STEPS) {
                return bound.div_ceil(STEPS) * STEPS;
            }
        }
        if size > u64::MAX / 100 {
            return u64::MAX;
        }
        size *= 10;
    }
}

struct Axes {
    height: f64,
    top: u64,
    n: usize,
}

impl Axes {
    fn y(&self, value: u64) -> f64 {
        let share = value as f64 / self.top.max(1) as f64;
        TOP + (1.0 - share.min(1.0)) * (self.height - TOP - BOTTOM)
    }

    fn x(&self, at: usize) -> f64 {
        LEFT + at as f64 * (WIDTH - LEFT - RIGHT) / self.n.max(1) as f64
    }

    fn bottom(&self) -> f64 {
        self.height - BOTTOM
    }

    fn frame(&self, bins: &[(i64, Totals)]) -> Markup {
        let span = bins.last().zip(bins.first()).map_or(0, |((last, _), (first, _))| last - first);
        let fits = TICK_MINUTES.iter().find(|minutes| span / (*minutes * 60_000) <= TICKS_MAX);
        let every_ms = fits.unwrap_or(&360) * 60_000;
        html! {
            @for step in 0..=STEPS {
                @let value = self.top / STEPS * step;
                line.grid x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(self.y(value))) y2=(px(self.y(value))) {}
                text.tick x=(px(LEFT - 6.0)) y=(px(self.y(value) + 4.0)) text-anchor="end" { (show::short(value as f64)) }
            }
            line.axis x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(self.bottom())) y2=(px(self.bottom())) {}
            @for (at, (begin, _)) in bins.iter().enumerate().filter(|(_, (begin, _))| begin.rem_euclid(every_ms) == 0) {
                line.axis x1=(px(self.x(at))) x2=(px(self.x(at))) y1=(px(self.bottom())) y2=(px(self.bottom() + 4.0)) {}
                text.tick x=(px(self.x(at))) y=(px(self.height - 4.0)) text-anchor="middle" { (show::clock(*begin)) }
            }
        }
    }
}

/// Requests as bars, failed ones at their foot; exposures as marks above.
pub(super) fn requests(bins: &[(i64, Totals)]) -> Markup {
    let most = bins.iter().map(|(_, t)| t.requests).max().unwrap_or(0);
    let axes = Axes { height: HEIGHTS.0, top: round_up(most), n: bins.len() };
    let width = ((WIDTH - LEFT - RIGHT) / bins.len().max(1) as f64 * 0.82).max(1.0);
    let total: u64 = bins.iter().map(|(_, t)| t.requests).sum();
    let bad: u64 = bins.iter().map(|(_, t)| t.failed + t.refused).sum();
    let label =
        format!("{} requests, {} of them refused or failed", show::count(total), show::count(bad));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHTS.0)) role="img" aria-label=(label) {
            (axes.frame(bins))
            @for (at, (begin, totals)) in bins.iter().enumerate().filter(|(_, (_, t))| t.requests > 0) {
                @let bad = totals.failed + totals.refused;
                g {
                    title { (show::clock(*begin)) ": " (show::count(totals.requests)) " requests, " (show::count(bad)) " refused or failed, " (show::count(totals.exposures)) " exposed" }
                    rect.requests x=(px(axes.x(at))) width=(px(width)) y=(px(axes.y(totals.requests))) height=(px(axes.bottom() - axes.y(totals.requests))) {}
                    @if bad > 0 {
                        @let height = (axes.bottom() - axes.y(bad)).max(1.5);
                        rect.errors x=(px(axes.x(at))) width=(px(width)) y=(px(axes.bottom() - height)) height=(px(height)) {}
                    }
                    @if totals.exposures > 0 {
                        circle.exposed cx=(px(axes.x(at) + width / 2.0)) cy=(px((axes.y(totals.requests) - 5.0).max(4.0))) r="2.5" {}
                    }
                }
            }
        }
    }
}

/// Tokens as a line.
pub(super) fn tokens(bins: &[(i64, Totals)]) -> Markup {
    let most = bins.iter().map(|(_, t)| t.tokens).max().unwrap_or(0);
    let axes = Axes { height: HEIGHTS.1, top: round_up(most), n: bins.len() };
    let half = (WIDTH - LEFT - RIGHT) / bins.len().max(1) as f64 / 2.0;
    let mut path = String::new();
    for (at, (_, totals)) in bins.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        path.push(command);
        // Writing into a string doesn't fail.
        write!(path, "{} {} ", px(axes.x(at) + half), px(axes.y(totals.tokens))).ok();
    }
    let total: u64 = bins.iter().map(|(_, t)| t.tokens).sum();
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHTS.1)) role="img" aria-label=(format!("{} tokens", show::count(total))) {
            (axes.frame(bins))
            @if !path.is_empty() { path.tokens d=(path.trim_end()) {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let ends = [0, 3, 5, 9, 11, 799, 801, 1_000_001].map(round_up);
        assert_eq!(ends, [4, 4, 8, 12, 20, 800, 1_000, 2_000_000]);
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn no_traffic_draws_a_frame_and_no_bar() {
        for n in [0, 1, 180] {
            let bins = vec![(0, Totals::default()); n];
            let drawn = requests(&bins).into_string();
            assert!(!drawn.contains("<rect") && !drawn.contains("NaN"), "{drawn}");
            assert!(!tokens(&bins).into_string().contains("NaN"));
        }
    }
}
