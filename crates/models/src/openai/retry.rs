//! When to try again, and how long to wait before it.
//!
//! Which answers are worth another attempt, the doubling wait with seeded jitter, and
//! `Retry-After` in seconds or as an HTTP date. Dates are read against the response's own `Date`
//! header, so no local clock is asked; without one the usual wait applies.

use super::EndpointOptions;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use std::time::Duration;

/// Doublings after which the wait stops growing in any case.
const MOST_DOUBLINGS: u32 = 16;

/// Whether a server that answers so may answer better later.
pub(super) fn is_transient(status: StatusCode) -> bool {
    // 408 timeout, 425 too early, 429 too many requests; 501 is a server that will never learn.
    matches!(status.as_u16(), 408 | 425 | 429)
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// How long the server asks to wait.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// The waits of one request: the same for the same seed, stream and attempt.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    rng: ChaCha8Rng,
    doublings: u32,
}

impl Backoff {
    /// `stream` tells requests apart, so that they don't come back all at once.
    pub(super) fn new(options: &EndpointOptions, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(stream);
        Self { first: options.first_wait, longest: options.longest_wait, rng, doublings: 0 }
    }

    /// The next wait. `asked` is the server's wish; `None` when it exceeds the longest wait.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let full = self.first.saturating_mul(1 << self.doublings).min(self.longest);
        self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
        let jittered = full.mul_f64(self.rng.random_range(0.5..=1.0));
        match asked {
            Some(asked) if asked > self.longest => None,
            Some(asked) => Some(asked.max(jittered)),
            None => Some(jittered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (&'a [(&'static str, &'a str)], Option<f64>);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.insert(*name, value.parse().expect("header value"));
        }
        map
    }

    #[test]
    fn reads_retry_after() {
        let date = ("date", "Tue, 24 Nov 2026 11:00:00 GMT");
        let cases: &[Case<'_>] = &[
            (&[("retry-after", "7")], Some(7.0)),
            (&[("retry-after", "0.25")], Some(0.25)),
            (&[("retry-after", "-3")], Some(0.0)),
            (&[("retry-after", "NaN")], Some(0.0)),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "Tue, 24 Nov 2026 11:00:09 GMT"), date], Some(9.0)),
            (&[("retry-after", "Tue, 24 Nov 2026 10:59:00 GMT"), date], Some(0.0)),
            (&[("retry-after", "Tue, 24 Nov 2026 11:00:09 GMT")], None),
            (&[("retry-after", "soon"), date], None),
            (&[date], None),
        ];
        for (given, expected) in cases {
            let got = retry_after(&headers(given)).map(|d| d.as_secs_f64());
            assert_eq!(got, *expected, "{given:?}");
        }
    }

    #[test]
    fn waits_double_within_bounds_and_repeat_by_seed() {
        let options = EndpointOptions {
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(1),
            ..EndpointOptions::default()
        };
        let waits = |stream| {
            let mut backoff = Backoff::new(&options, stream);
            (0..40).map(|_| backoff.next(None).expect("no wish")).collect::<Vec<_>>()
        };
        assert_eq!(waits(3), waits(3));
        assert_ne!(waits(3), waits(4));
        for (i, wait) in waits(3).into_iter().enumerate() {
            let full = (100.0 * 2f64.powi(i.min(10).try_into().expect("small"))).min(1000.0);
            let millis = wait.as_secs_f64() * 1e3;
            assert!(millis >= full / 2.0 - 1e-6 && millis <= full + 1e-6, "{i}: {millis}");
        }
        let mut backoff = Backoff::new(&options, 0);
        assert_eq!(backoff.next(Some(Duration::from_secs(1))), Some(Duration::from_secs(1)));
        assert_eq!(backoff.next(Some(Duration::from_secs(2))), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (code, expected) in [
            (408, true),
            (425, true),
            (429, true),
            (500, true),
            (502, true),
            (503, true),
            (504, true),
            (529, true),
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (422, false),
            (501, false),
        ] {
            let status = StatusCode::from_u16(code).expect("status");
            assert_eq!(is_transient(status), expected, "{code}");
        }
    }
}
