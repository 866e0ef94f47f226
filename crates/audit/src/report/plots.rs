//! The report's four drawings: e-process, preferences, accounts, power.

use super::chart::{Frame, minus, path, px, svg};
use crate::{
    format::{counted, e_value, thousands, trimmed},
    params::POWER,
    series::{AccountPoint, Series},
};
use maud::{Markup, html};
use stillwatch_evidence::Decide;

/// Points of a line before it is thinned: finer than a printed page shows.
const POINTS_MAX: usize = 1200;
/// Accounts drawn before the rest is only counted.
const ACCOUNTS_MAX: usize = 40;
/// Half the number of bars of the histogram.
const BARS: usize = 16;

/// The e-process over pairs, its threshold, and where it crossed.
pub(super) fn e_process(series: &Series) -> Markup {
    let n = series.e_path.len();
    let finite = |v: &f64| v.is_finite();
    let least = series.e_path.iter().copied().filter(finite).fold(0.0, f64::min);
    let most = series.e_path.iter().copied().filter(finite).fold(series.e_threshold, f64::max);
    let pad = 0.06 * (most - least).max(1.0);
    let frame = Frame::new((0.0, n as f64), ((least - pad).max(-12.0), most + pad), 270.0);
    let stride = n.div_ceil(POINTS_MAX).max(1);
    let kept =
        |i: usize| i.is_multiple_of(stride) || i + 1 == n || Some(i + 1) == series.e_crossing;
    let line = path(
        std::iter::once((frame.x.at(0.0), frame.y.at(0.0))).chain(
            series
                .e_path
                .iter()
                .enumerate()
                .filter(|(i, _)| kept(*i))
                .map(|(i, v)| (frame.x.at((i + 1) as f64), frame.y.at(*v))),
        ),
    );
    let description = match series.e_crossing {
        Some(at) => format!("The e-process reaches its threshold after pair {at} of {n}."),
        None => format!("The e-process does not reach its threshold within {n} pairs."),
    };
    let body = html! {
        (frame.y_axis("e-value (log scale)", power_of_ten))
        (frame.x_axis("pairs, in order"))
        line.zero x1=(px(frame.left())) x2=(px(frame.right())) y1=(px(frame.y.at(0.0))) y2=(px(frame.y.at(0.0))) {}
        (frame.mark_y(series.e_threshold, "threshold", &format!("threshold {}", e_value(series.e_threshold))))
        path.line d=(line) {}
        @if let Some(at) = series.e_crossing {
            @let level = at.checked_sub(1).and_then(|i| series.e_path.get(i)).copied().unwrap_or(series.e_threshold);
            circle.stop cx=(px(frame.x.at(at as f64))) cy=(px(frame.y.at(level))) r="5" {}
            (frame.mark_x(at as f64, "stop", &format!("reached after {}", counted(at, "pair")), 1))
        }
    };
    svg("e", "E-process over pairs", &description, frame.height, &body)
}

fn power_of_ten(log10: f64) -> String {
    if log10 == 0.0 {
        "1".to_owned()
    } else if log10.fract() == 0.0 {
        format!("10{}", superscript(log10))
    } else {
        e_value(log10)
    }
}

fn superscript(value: f64) -> String {
    format!("{value:.0}")
        .chars()
        .map(|c| match c {
            '0' => '⁰',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            '9' => '⁹',
            _ => '⁻',
        })
        .collect()
}

/// The distribution of scaled preferences, with its mirror image: under the null both agree.
pub(super) fn preferences(series: &Series) -> Markup {
    let mut size: Vec<f64> = series.x.iter().map(|x| x.abs()).collect();
    size.sort_by(f64::total_cmp);
    let at = |q: f64| size.get(crate::format::count(q * size.len() as f64)).copied();
    let reach = at(0.985).or(size.last().copied()).filter(|r| *r > 0.0).unwrap_or(1.0);
    let bins = histogram(&series.x, reach);
    let most = bins.iter().copied().max().unwrap_or(1).max(1) as f64;
    let frame = Frame::new((-reach, reach), (0.0, most * 1.12), 250.0);
    let width = (frame.right() - frame.left()) / bins.len() as f64;
    let above = series.x.iter().filter(|x| **x > 0.0).count();
    let below = series.x.iter().filter(|x| **x < 0.0).count();
    let zero = series.x.len() - above - below;
    let mirror = mirror_outline(&bins, &frame, width);
    let note = if zero > 0 { format!(", {} equal", counted(zero, "pair")) } else { String::new() };
    let description = format!(
        "{} prefer the released text, {} the withheld one{note}. The outline mirrors the other side.",
        counted(above, "pair"),
        counted(below, "pair"),
    );
    let body = html! {
        (frame.y_axis("pairs", thousands))
        @for (i, bin) in bins.iter().enumerate() {
            @let side = if i < bins.len() / 2 { "bar withheld" } else { "bar released" };
            @let y = frame.y.at(*bin as f64);
            rect class=(side) x=(px(frame.left() + width * i as f64 + 0.75)) y=(px(y)) width=(px(width - 1.5)) height=(px(frame.bottom() - y)) {}
        }
        path.mirror d=(mirror) {}
        (frame.x_axis("preference for the released text, in the pair’s own scale"))
        line.zero x1=(px(frame.x.at(0.0))) x2=(px(frame.x.at(0.0))) y1=(px(frame.top())) y2=(px(frame.bottom())) {}
        text.label.withheld x=(px(frame.left() + 6.0)) y=(px(frame.top() + 10.0)) { (thousands(below as f64)) " prefer the withheld text" }
        text.label.released x=(px(frame.right() - 6.0)) y=(px(frame.top() + 10.0)) text-anchor="end" { (thousands(above as f64)) " prefer the released text" }
    };
    svg("x", "Distribution of preferences", &description, frame.height, &body)
}

/// Counts in 2 × BARS bins over ±reach; what lies beyond counts in the outermost bins, zeros
/// half on each side (an odd one to the withheld side).
fn histogram(x: &[f64], reach: f64) -> Vec<usize> {
    let mut bins = vec![0usize; 2 * BARS];
    let mut zeros = 0;
    for value in x {
        if *value == 0.0 {
            zeros += 1;
            continue;
        }
        let step = crate::format::count(value.abs() / reach * BARS as f64).min(BARS - 1);
        let index = if *value > 0.0 { BARS + step } else { BARS - 1 - step };
        if let Some(bin) = bins.get_mut(index) {
            *bin += 1;
        }
    }
    if let Some(bin) = bins.get_mut(BARS) {
        *bin += zeros / 2;
    }
    if let Some(bin) = bins.get_mut(BARS - 1) {
        *bin += zeros.div_ceil(2);
    }
    bins
}

fn mirror_outline(bins: &[usize], frame: &Frame, width: f64) -> String {
    path(bins.iter().rev().enumerate().flat_map(|(i, bin)| {
        let left = frame.left() + width * i as f64;
        let y = frame.y.at(*bin as f64);
        [(left, y), (left + width, y)]
    }))
}

/// Each account's strength with the line that the strongest must pass.
pub(super) fn accounts(series: &Series, decide: Decide) -> Markup {
    let mut points: Vec<&AccountPoint> = series.accounts.iter().collect();
    points.sort_by(|a, b| b.strength.total_cmp(&a.strength).then(a.account.cmp(&b.account)));
    points.truncate(ACCOUNTS_MAX);
    let threshold = series.account_threshold;
    let most = points
        .iter()
        .map(|p| p.strength)
        .chain(threshold)
        .filter(|v| v.is_finite())
        .fold(1.0, f64::max);
    let least =
        points.iter().map(|p| p.strength).filter(|v| v.is_finite()).fold(0.0, f64::min).max(-6.0);
    let row = 20.0;
    let height = 90.0 + row * points.len() as f64;
    let frame = Frame::with_left((least, most * 1.06), (0.0, 1.0), height, 150.0);
    let axis = match decide {
        Decide::P => "−log₁₀ p (right is stronger)",
        Decide::E => "log₁₀ e (right is stronger)",
    };
    let named = points.iter().filter(|p| p.named).count();
    let description =
        format!("{} drawn, {} named.", counted(points.len(), "account"), thousands(named as f64));
    let body = html! {
        @for (i, point) in points.iter().enumerate() {
            @let y = frame.top() + 26.0 + row * i as f64;
            @let x = frame.x.at(point.strength);
            @let class = if point.named { "named" } else { "unnamed" };
            line.grid x1=(px(frame.left())) x2=(px(frame.right())) y1=(px(y)) y2=(px(y)) {}
            line class=(format!("stem {class}")) x1=(px(frame.x.at(0.0))) x2=(px(x)) y1=(px(y)) y2=(px(y)) {}
            circle class=(format!("dot {class}")) cx=(px(x)) cy=(px(y)) r="5" {}
            text class=(format!("tick {class}")) x=(px(frame.left() - 8.0)) y=(px(y + 4.0)) text-anchor="end" { (shortened(&point.account)) }
        }
        (frame.x_axis(axis))
        @if let Some(threshold) = threshold {
            (frame.mark_x(threshold, "threshold", "the strongest must pass", 0))
        }
    };
    svg("a", "Accounts", &description, height, &body)
}

fn shortened(account: &str) -> String {
    const MOST: usize = 20;
    if account.chars().count() <= MOST {
        return account.to_owned();
    }
    let head: String = account.chars().take(MOST - 1).collect();
    format!("{head}…")
}

/// Power of the pooled test against the effect, with the target and what was seen.
pub(super) fn power(
    series: &Series,
    detectable: Option<f64>,
    target: f64,
    seen: Option<(f64, [f64; 2])>,
) -> Markup {
    let reach = series.power.last().map_or(1.0, |p| p.0).max(target * 1.1);
    let frame = Frame::new((0.0, reach), (0.0, 1.02), 250.0);
    let line = path(series.power.iter().map(|(e, p)| (frame.x.at(*e), frame.y.at(*p))));
    let description = match detectable {
        Some(effect) => format!(
            "Power reaches {POWER} at an effect of {}; the target is {}.",
            trimmed(effect, 2),
            trimmed(target, 2)
        ),
        None => format!("Power does not reach {POWER}; the target is {}.", trimmed(target, 2)),
    };
    let body = html! {
        (frame.y_axis("power", |v| minus(&trimmed(v, 2))))
        (frame.x_axis("effect, standard deviations of a pair’s preference"))
        line.mark.threshold x1=(px(frame.left())) x2=(px(frame.right())) y1=(px(frame.y.at(POWER))) y2=(px(frame.y.at(POWER))) {}
        @if let Some((estimate, [low, high])) = seen {
            @let y = frame.bottom() - 14.0;
            line.seen x1=(px(frame.x.at(low.max(0.0)))) x2=(px(frame.x.at(high.max(0.0)))) y1=(px(y)) y2=(px(y)) {}
            circle.seen cx=(px(frame.x.at(estimate.max(0.0)))) cy=(px(y)) r="4.5" {}
        }
        path.line d=(line) {}
        (frame.mark_x(target, "target", &format!("target {}", trimmed(target, 2)), 3))
        @if let Some(effect) = detectable.filter(|e| *e <= reach) {
            (frame.mark_x(effect, "stop", &format!("{POWER} from {}", trimmed(effect, 2)), 5))
        }
    };
    svg("p", "Power of the pooled test", &description, frame.height, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_keeps_every_pair_and_is_blind_to_labels() {
        let x = [0.0, 0.0, 0.0, 0.4, -0.4, 9.0, -9.0, 1.0];
        let bins = histogram(&x, 1.0);
        assert_eq!(bins.iter().sum::<usize>(), x.len());
        let flipped: Vec<f64> = x.iter().map(|v| -v).collect();
        let mut mirrored = histogram(&flipped, 1.0);
        mirrored.reverse();
        // Only the odd zero stays on its side.
        let moved: usize = bins.iter().zip(&mirrored).map(|(a, b)| a.abs_diff(*b)).sum();
        assert_eq!(moved, 2);
    }
}
