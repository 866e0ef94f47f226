//! Numbers, times and names as the pages show them.

use jiff::Timestamp;
use maud::{Markup, html};

/// A time, UTC, to the second.
pub(super) fn time(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

/// Hour and minute, UTC.
pub(super) fn clock(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%H:%M").to_string(),
        Err(_) => String::new(),
    }
}

/// A time that a machine can read, shown for people.
pub(super) fn when(ms: i64) -> Markup {
    let machine = Timestamp::from_millisecond(ms).map(|time| time.to_string()).unwrap_or_default();
    html! { time datetime=(machine) { (time(ms)) } }
}

/// A count with thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A large count, short: 1.2k, 3.4M.
pub(super) fn short(n: f64) -> String {
    for (size, unit) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if n >= size {
            let value = n / size;
            return if value < 10.0 && value.fract() != 0.0 {
                format!("{value:.1}{unit}")
            } else {
                format!("{value:.0}{unit}")
            };
        }
    }
    number(n)
}

/// A number with three significant digits at most.
pub(super) fn number(x: f64) -> String {
    if !x.is_finite() {
        return "none".to_owned();
    }
    let size = x.abs();
    let digits = if size >= 100.0 || x.fract() == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 0.01 {
        2
    } else {
        4
    };
    let text = format!("{x:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.to_owned()
}

/// A share as percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "none".to_owned();
    }
    format!("{}%", number(100.0 * part as f64 / whole as f64))
}

/// A duration, in the unit that fits.
pub(super) fn duration(duration: Option<std::time::Duration>) -> String {
    let Some(duration) = duration else { return "none".to_owned() };
    let us = duration.as_secs_f64() * 1e6;
    match us {
        us if us >= 1e6 => format!("{} s", number(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", number(us / 1e3)),
        us => format!("{} µs", number(us)),
    }
}

/// Bytes, in the unit that fits.
pub(super) fn bytes(n: u64) -> String {
    format!("{} MB", number((n as f64 / 1e6 * 10.0).round() / 10.0))
}

/// A score from 0 to 1 with a gauge beside it.
pub(super) fn score(score: f64) -> Markup {
    let text = format!("{score:.2}");
    html! { span.score { meter min="0" max="1" value=(text) aria-hidden="true" {} " " (text) } }
}

/// One segment of a path, escaped.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

/// A link to an account's page.
pub(super) fn account(name: &str) -> Markup {
    html! { a href=(format!("/accounts/{}", segment(name))) { (name) } }
}

/// A link to a campaign's page.
pub(super) fn campaign(name: &str) -> Markup {
    html! { a href=(format!("/campaigns/{}", segment(name))) { (name) } }
}

/// A snake-case name as words.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_readable() {
        let counts = [0, 7, 999, 1_000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "7", "999", "1,000", "1,234,567"]);
        let numbers = [0.0, 1.0, 0.5, 0.123_4, 12.34, 1234.5, 0.001_2, f64::NAN].map(number);
        assert_eq!(numbers, ["0", "1", "0.5", "0.12", "12.3", "1234", "0.0012", "none"]);
        assert_eq!(
            [999.0, 1_500.0, 25_000.0, 3_400_000.0].map(short),
            ["999", "1.5k", "25k", "3.4M"]
        );
        assert_eq!(percent(1, 8), "12.5%");
        assert_eq!(percent(1, 0), "none");
        assert_eq!(duration(Some(std::time::Duration::from_micros(2_500))), "2.5 ms");
    }

    #[test]
    fn a_segment_of_a_path_stays_one() {
        assert_eq!(segment("../a b/<script>"), "%2E%2E%2Fa%20b%2F%3Cscript%3E");
        assert_eq!(segment("key-0aF_~"), "key-0aF_~");
    }
}
