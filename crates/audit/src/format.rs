//! Numbers in words: the same in the sentence, the report and the terminal.

/// A probability from its base-10 logarithm: decimal down to 0.001, scientific below.
pub(crate) fn probability(log10: f64) -> String {
    if log10 >= -3.0 {
        return trimmed(10f64.powf(log10), 3);
    }
    scientific(log10)
}

/// A positive number from its base-10 logarithm, as `3.1e-9`; never underflows.
pub(crate) fn scientific(log10: f64) -> String {
    if !log10.is_finite() {
        return if log10 < 0.0 { "0".to_owned() } else { "infinity".to_owned() };
    }
    let mut exponent = log10.floor();
    let mut mantissa = (10f64.powf(log10 - exponent) * 10.0).round() / 10.0;
    if mantissa >= 10.0 {
        mantissa /= 10.0;
        exponent += 1.0;
    }
    format!("{mantissa}e{exponent}")
}

/// An e-value from its base-10 logarithm: decimal between 0.001 and a million, scientific beyond.
pub(crate) fn e_value(log10: f64) -> String {
    if (-3.0..3.0).contains(&log10) {
        trimmed(10f64.powf(log10), 3)
    } else if (3.0..6.0).contains(&log10) {
        thousands(10f64.powf(log10).round())
    } else {
        scientific(log10)
    }
}

/// At most `digits` significant digits, no trailing zeros.
pub(crate) fn trimmed(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let magnitude = value.abs().log10().floor();
    let decimals = (digits as f64 - 1.0 - magnitude).clamp(0.0, 12.0);
    let text = format!("{value:.*}", count(decimals));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A whole number with commas.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

/// An error rate in words: `1 in 1,000`, or the number where that is no whole one.
pub(crate) fn rate(alpha: f64) -> String {
    let inverse = 1.0 / alpha;
    if (inverse - inverse.round()).abs() < 1e-6 * inverse && inverse < 1e12 {
        format!("1 in {}", thousands(inverse.round()))
    } else {
        trimmed(alpha, 3)
    }
}

/// `one`, `two and three`, `a, b and c`; beyond `most` names the rest is counted.
pub(crate) fn list(names: &[String], most: usize) -> String {
    let shown = names.len().min(most);
    let rest = names.len() - shown;
    let mut parts: Vec<String> = names.iter().take(shown).cloned().collect();
    if rest > 0 {
        parts.push(format!("{rest} more"));
    }
    match parts.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// `1 pair`, `2 pairs`.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {noun}{s}", thousands(n as f64))
}

/// A count out of a float that is known to be small and not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of small counts first"
)]
pub(crate) fn count(value: f64) -> usize {
    value.clamp(0.0, 1e12) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (log10, want) in [
            (0.0, "1"),
            (-1.0, "0.1"),
            (0.05f64.log10(), "0.05"),
            (0.0123f64.log10(), "0.0123"),
            (-9.0, "1e-9"),
            (3.14e-9_f64.log10(), "3.1e-9"),
            (-400.5, "3.2e-401"),
            (9.99e-5_f64.log10(), "1e-4"),
        ] {
            assert_eq!(probability(log10), want, "log10 {log10}");
        }
        for (value, want) in
            [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (-1_234_567.0, "-1,234,567")]
        {
            assert_eq!(thousands(value), want);
        }
        for (alpha, want) in
            [(1e-3, "1 in 1,000"), (5e-4, "1 in 2,000"), (0.3, "0.3"), (0.05, "1 in 20")]
        {
            assert_eq!(rate(alpha), want);
        }
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(list(&names, 9), "a, b, c and d");
        assert_eq!(list(&names, 2), "a, b and 2 more");
        assert_eq!(e_value(3.5), "3,162");
    }
}
