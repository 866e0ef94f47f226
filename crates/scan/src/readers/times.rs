//! Times, as logs spell them, to milliseconds since the epoch.

use super::json::Json;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// 2015-01-01 UTC: nobody had logs of language models before; what says so is a broken clock.
pub(crate) const PLAUSIBLE_FROM_MS: i64 = 1_420_070_400_000;
/// One day: clocks differ, but not by more.
pub(crate) const PLAUSIBLE_AHEAD_MS: i64 = 86_400_000;

/// RFC 3339; or date and time parted by a space or a `T`, UTC where there is no zone; or a number
/// of seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by its size
/// (any of them between 1973 and 5138), as number or text.
pub(super) fn time_ms(json: &Json<'_>) -> Option<i64> {
    match json {
        Json::Int(n) => Some(since_epoch(*n)),
        #[expect(clippy::cast_possible_truncation, reason = "a cast of floats saturates")]
        Json::Number(n) if n.abs() < 1e11 => Some((n * 1000.0).round() as i64),
        #[expect(clippy::cast_possible_truncation, reason = "a cast of floats saturates")]
        Json::Number(n) => Some(since_epoch(*n as i64)),
        Json::Text(text) => text_ms(text),
        _ => None,
    }
}

fn since_epoch(n: i64) -> i64 {
    match n.unsigned_abs() {
        0..100_000_000_000 => n * 1000,
        100_000_000_000..100_000_000_000_000 => n,
        100_000_000_000_000..100_000_000_000_000_000 => n / 1000,
        _ => n / 1_000_000,
    }
}

/// See [`time_ms`].
pub(super) fn text_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(ms) = plain_ms(text.as_bytes()) {
        return Some(ms);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-')
        && let Ok(number) = text.parse::<f64>()
    {
        return match text.parse::<i64>() {
            Ok(whole) => Some(since_epoch(whole)),
            Err(_) => time_ms(&Json::Number(number)),
        };
    }
    let civil = |text: &str| {
        let time: DateTime = text.parse().ok()?;
        Offset::UTC.to_timestamp(time).ok()
    };
    // Some write the zone apart ("… UTC", "… +00:00").
    let zoneless = text.strip_suffix("UTC").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    civil(zoneless.trim_end()).map(Timestamp::as_millisecond).or_else(|| {
        let (time, zone) = text.rsplit_once(' ')?;
        format!("{time}{zone}").parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
    })
}

/// The usual spelling, `2026-02-03T10:00:00[.fraction]Z`, without a detour.
fn plain_ms(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        text.get(from..to)?
            .iter()
            .try_fold(0, |n, byte| byte.is_ascii_digit().then(|| n * 10 + i64::from(byte - b'0')))
    };
    let is = |at: usize, what: u8| text.get(at) == Some(&what);
    let (fraction, end) = text.get(19..)?.split_last().map(|(end, fraction)| (fraction, *end))?;
    let in_place = is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':');
    if !in_place || end != b'Z' {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let last_day = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last_day).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let milliseconds = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let padded = digits.iter().copied().chain([b'0'; 3]).take(3);
            if !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            padded.fold(0, |n, byte| n * 10 + i64::from(byte - b'0'))
        }
        _ => return None,
    };
    let days = days_since_epoch(year, month, day);
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milliseconds)
}

/// Days from 1970-01-01 in the Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms", `days_from_civil`), for years from 0 on.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The time inside a UUID of version 7 (RFC 9562, section 5.7): its first 48 bits.
pub(super) fn uuid7_ms(id: &str) -> Option<i64> {
    let digits: String = id.chars().filter(|c| *c != '-').take(13).collect();
    let (time, version) = digits.split_at_checked(12)?;
    if version != "7" {
        return None;
    }
    i64::from_str_radix(time, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<i64> {
        time_ms(&Json::Text(text.into()))
    }

    #[test]
    fn spellings_of_one_moment() {
        let moment = Some(1_770_112_800_120);
        for spelt in [
            "2026-02-03T10:00:00.120Z",
            "2026-02-03T10:00:00.120000Z",
            "2026-02-03T11:00:00.12+01:00",
            "2026-02-03 10:00:00.120000",
            "2026-02-03T10:00:00.120",
            "2026-02-03 10:00:00.12+00",
            "2026-02-03 10:00:00.12 +00:00",
            "2026-02-03 10:00:00.12 UTC",
            "1770112800120",
            "1770112800120000000",
            "1770112800.12",
        ] {
            assert_eq!(text(spelt), moment, "{spelt}");
        }
        assert_eq!(time_ms(&Json::Number(1_770_112_800.12)), moment);
        assert_eq!(time_ms(&Json::Int(1_770_112_800_120)), moment);
        assert_eq!(time_ms(&Json::Int(1_770_112_800_120_000)), moment);
        assert_eq!(time_ms(&Json::Int(1_770_112_800)), Some(1_770_112_800_000));
    }

    #[test]
    fn what_is_no_time() {
        for spelt in ["", "yesterday", "2026-02-30T10:00:00Z", "2026-13-01T10:00:00Z", "-", "."] {
            assert_eq!(text(spelt), None, "{spelt}");
        }
    }

    #[test]
    fn the_short_way_agrees_with_the_calendar() {
        let mut seconds = -5_000_000_000_i64;
        while seconds < 20_000_000_000 {
            let time = Timestamp::from_second(seconds).expect("in range");
            assert_eq!(plain_ms(time.to_string().as_bytes()), Some(seconds * 1000), "{time}");
            seconds += 7_654_321;
        }
    }

    #[test]
    fn the_example_of_the_standard() {
        // RFC 9562, appendix A.6.
        let id = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F";
        assert_eq!(uuid7_ms(id), Some(0x017F_22E2_79B0));
        assert_eq!(uuid7_ms("550e8400-e29b-41d4-a716-446655440000"), None);
        assert_eq!(uuid7_ms("é"), None);
    }
}
