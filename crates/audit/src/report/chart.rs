//! Axes and scales of the report's drawings: SVG made here, no library, no script.

use crate::format::{thousands, trimmed};
use maud::{Markup, html};

/// Width of every drawing in its own units; the page scales it.
pub(super) const WIDTH: f64 = 720.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 46.0;

/// A linear scale from data to drawing units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// Drawing position of a value, clamped into the frame.
    pub(super) fn at(&self, value: f64) -> f64 {
        let span = self.to - self.from;
        let t = if span > 0.0 { ((value - self.from) / span).clamp(0.0, 1.0) } else { 0.5 };
        self.start + t * (self.end - self.start)
    }
}

/// A frame with two axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub x: Scale,
    pub y: Scale,
    pub height: f64,
}

impl Frame {
    /// A frame over the given ranges.
    pub(super) fn new(x: (f64, f64), y: (f64, f64), height: f64) -> Self {
        Self::with_left(x, y, height, LEFT)
    }

    /// A frame with its own left margin, for long names.
    pub(super) fn with_left(x: (f64, f64), y: (f64, f64), height: f64, left: f64) -> Self {
        Self {
            x: Scale { from: x.0, to: x.1, start: left, end: WIDTH - RIGHT },
            y: Scale { from: y.0, to: y.1, start: height - BOTTOM, end: TOP },
            height,
        }
    }

    pub(super) fn left(&self) -> f64 {
        self.x.start
    }

    pub(super) fn right(&self) -> f64 {
        self.x.end
    }

    pub(super) fn top(&self) -> f64 {
        self.y.end
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y.start
    }

    /// The horizontal axis with its ticks and title.
    pub(super) fn x_axis(&self, title: &str) -> Markup {
        let ticks = ticks(self.x.from, self.x.to, 8);
        html! {
            line.axis x1=(px(self.left())) x2=(px(self.right())) y1=(px(self.bottom())) y2=(px(self.bottom())) {}
            @for tick in &ticks {
                @let x = px(self.x.at(*tick));
                line.axis x1=(x) x2=(x) y1=(px(self.bottom())) y2=(px(self.bottom() + 4.0)) {}
                text.tick x=(x) y=(px(self.bottom() + 17.0)) text-anchor="middle" { (label(*tick)) }
            }
            text.title x=(px(f64::midpoint(self.left(), self.right()))) y=(px(self.height - 8.0)) text-anchor="middle" { (title) }
        }
    }

    /// The vertical axis with grid lines and title; `name` writes a tick.
    pub(super) fn y_axis(&self, title: &str, name: impl Fn(f64) -> String) -> Markup {
        let ticks = ticks(self.y.from, self.y.to, 5);
        let middle = f64::midpoint(self.top(), self.bottom());
        html! {
            @for tick in &ticks {
                @let y = self.y.at(*tick);
                line.grid x1=(px(self.left())) x2=(px(self.right())) y1=(px(y)) y2=(px(y)) {}
                text.tick x=(px(self.left() - 7.0)) y=(px(y + 4.0)) text-anchor="end" { (name(*tick)) }
            }
            text.title x="0" y="0" text-anchor="middle" transform=(format!("translate(13 {}) rotate(-90)", px(middle))) { (title) }
        }
    }

    /// A vertical mark with a label on top of it, kept inside the frame.
    pub(super) fn mark_x(&self, value: f64, class: &str, text: &str, line: u8) -> Markup {
        let x = self.x.at(value);
        let near_right = x > self.right() - 185.0;
        let anchor = if near_right { "end" } else { "start" };
        let shift = if near_right { -5.0 } else { 5.0 };
        let y = self.top() + 10.0 + 15.0 * f64::from(line);
        html! {
            line class=(format!("mark {class}")) x1=(px(x)) x2=(px(x)) y1=(px(self.top())) y2=(px(self.bottom())) {}
            text class=(format!("label {class}")) x=(px(x + shift)) y=(px(y)) text-anchor=(anchor) { (text) }
        }
    }

    /// A horizontal mark with its label above or below the line's right end.
    pub(super) fn mark_y(&self, value: f64, class: &str, text: &str) -> Markup {
        let y = self.y.at(value);
        let label_y = if y < self.top() + 14.0 { y + 15.0 } else { y - 6.0 };
        html! {
            line class=(format!("mark {class}")) x1=(px(self.left())) x2=(px(self.right())) y1=(px(y)) y2=(px(y)) {}
            text class=(format!("label {class}")) x=(px(self.right() - 4.0)) y=(px(label_y)) text-anchor="end" { (text) }
        }
    }
}

/// An SVG with its name and description for readers that don't see it.
pub(super) fn svg(id: &str, name: &str, description: &str, height: f64, body: &Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {} {}", px(WIDTH), px(height))) role="img"
            aria-labelledby=(format!("{id}-t {id}-d")) xmlns="http://www.w3.org/2000/svg" {
            title id=(format!("{id}-t")) { (name) }
            desc id=(format!("{id}-d")) { (description) }
            (body)
        }
    }
}

/// A polyline's path through drawing points.
pub(super) fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut d = String::new();
    for (i, (x, y)) in points.into_iter().enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        d.push(command);
        d.push_str(&px(x));
        d.push(' ');
        d.push_str(&px(y));
    }
    d
}

/// A drawing coordinate, one decimal.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Round numbers inside a range, about `wanted` of them (Heckbert's 1, 2, 5 steps).
pub(super) fn ticks(from: f64, to: f64, wanted: usize) -> Vec<f64> {
    let span = to - from;
    if !(span > 0.0 && span.is_finite()) {
        return vec![from];
    }
    let rough = span / wanted as f64;
    let unit = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * unit)
        .find(|s| *s >= rough * 0.999)
        .unwrap_or(10.0 * unit);
    let first = (from / step - 1e-9).ceil();
    (0..100)
        .map(|i| (first + f64::from(i)) * step)
        .take_while(|t| *t <= to + step * 1e-6)
        .map(|t| if t.abs() < step * 1e-9 { 0.0 } else { t })
        .collect()
}

/// A tick's text.
fn label(value: f64) -> String {
    if value.abs() >= 1000.0 && value.fract() == 0.0 {
        thousands(value)
    } else {
        minus(&trimmed(value, 3))
    }
}

/// A real minus sign.
pub(super) fn minus(text: &str) -> String {
    text.replacen('-', "\u{2212}", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        for (from, to, want) in [
            (0.0, 597.0, vec![0.0, 100.0, 200.0, 300.0, 400.0, 500.0]),
            (-1.0, 1.0, vec![-1.0, -0.5, 0.0, 0.5, 1.0]),
            (0.0, 0.0, vec![0.0]),
        ] {
            assert_eq!(ticks(from, to, 6), want, "{from} to {to}");
        }
        assert!(ticks(f64::NEG_INFINITY, 1.0, 5).len() == 1);
    }
}
