//! Numbers as people write them: `37B`, `14.8T`, `25-45%`, `1.5-4`, and dollars in print.

use super::{CostError, Range};

/// A count with an optional suffix: `37B`, `14.8T`, `2.664M`, `800k`, `1e9`.
///
/// # Errors
/// Not a positive, finite number.
pub fn parse_count(field: &'static str, text: &str) -> Result<f64, CostError> {
    let refuse = || CostError::Field {
        field,
        value: text.to_owned(),
        expected: "a positive number, with k, M, B or T behind it if you like",
    };
    let text = text.trim().trim_start_matches('$').replace(['_', ','], "");
    let (digits, factor) = match text.chars().last() {
        Some('k' | 'K') => (text.trim_end_matches(['k', 'K']), 1e3),
        Some('m' | 'M') => (text.trim_end_matches(['m', 'M']), 1e6),
        Some('b' | 'B' | 'g' | 'G') => (text.trim_end_matches(['b', 'B', 'g', 'G']), 1e9),
        Some('t' | 'T') => (text.trim_end_matches(['t', 'T']), 1e12),
        _ => (text.as_str(), 1.0),
    };
    let value: f64 = digits.trim().parse().map_err(|_| refuse())?;
    let value = value * factor;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(refuse()) }
}

/// A number or a range: `2`, `1.5-4`, `1.5..4`.
///
/// # Errors
/// Not positive, not finite, or the wrong way round.
pub fn parse_range(field: &'static str, text: &str) -> Result<Range, CostError> {
    let parts: Vec<&str> = if text.contains("..") {
        text.split("..").collect()
    } else {
        text.split(['-', '–']).collect()
    };
    let (low, high) = match parts.as_slice() {
        [one] => (*one, *one),
        [low, high] => (*low, *high),
        _ => ("", ""),
    };
    let low = parse_count(field, low);
    let high = parse_count(field, high);
    match (low, high) {
        (Ok(low), Ok(high)) if low <= high => Ok(Range { low, high }),
        _ => Err(CostError::Field {
            field,
            value: text.to_owned(),
            expected: "a positive number, or LOW-HIGH",
        }),
    }
}

/// A share or a range of shares: `0.35`, `35%`, `25-45%`; numbers above 1 are per cent only with
/// the sign.
///
/// # Errors
/// As [`parse_range`].
pub fn parse_share_range(field: &'static str, text: &str) -> Result<Range, CostError> {
    let per_cent = text.contains('%');
    let range = parse_range(field, &text.replace('%', ""))?;
    let factor = if per_cent { 0.01 } else { 1.0 };
    Ok(Range { low: range.low * factor, high: range.high * factor })
}

/// At most `digits` significant digits, no trailing zeros.
pub(super) fn trimmed(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let magnitude = value.abs().log10().floor();
    let decimals = (f64::from(digits) - 1.0 - magnitude).clamp(0.0, 12.0);
    let text = format!("{value:.*}", usize::from(small(decimals)));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=12 by the caller"
)]
fn small(decimals: f64) -> u8 {
    decimals as u8
}

/// A number with its suffix: `3.29 M`.
pub(super) fn suffixed(value: f64, digits: i32) -> String {
    let (scaled, suffix) = match value.abs() {
        v if v >= 1e12 => (value / 1e12, " T"),
        v if v >= 1e9 => (value / 1e9, " B"),
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e3 => (value / 1e3, " K"),
        _ => (value, ""),
    };
    format!("{}{suffix}", trimmed(scaled, digits))
}

/// Dollars in print: `$5.576 M`.
pub fn dollars(value: f64) -> String {
    format!("${}", suffixed(value, 4))
}

/// A range of dollars, one number where both ends are one.
pub(super) fn dollar_range(range: Range) -> String {
    let round = |v: f64| format!("${}", suffixed(v, 3));
    if round(range.low) == round(range.high) {
        round(range.low)
    } else {
        format!("{} to {}", round(range.low), round(range.high))
    }
}

/// A range of counts.
pub(super) fn count_range(range: Range) -> String {
    let (low, high) = (suffixed(range.low, 3), suffixed(range.high, 3));
    if low == high { low } else { format!("{low} to {high}") }
}

/// A share in per cent, one decimal.
pub(super) fn per_cent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// A range of shares in per cent.
pub(super) fn per_cent_range(range: Range) -> String {
    let (low, high) = (trimmed(range.low * 100.0, 3), trimmed(range.high * 100.0, 3));
    if low == high { format!("{low}%") } else { format!("{low} to {high}%") }
}

/// `3.29e24`.
pub fn scientific(value: f64) -> String {
    format!("{value:.2e}")
}
