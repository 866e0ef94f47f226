//! When accounts ask: the rhythm of people, offices, schedulers and scripts.

use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use std::ops::RangeInclusive;

pub(super) const SECOND: i64 = 1_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// Normal deviate (Box–Muller).
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Log-normal deviate with this median.
pub(super) fn lognormal(rng: &mut ChaCha8Rng, median: f64, sigma: f64) -> f64 {
    median * (sigma * normal(rng)).exp()
}

/// Milliseconds of so many seconds.
#[expect(clippy::cast_possible_truncation, reason = "spans of days at most")]
pub(super) fn seconds(seconds: f64) -> i64 {
    (seconds * SECOND as f64) as i64
}

/// Milliseconds of so many minutes.
pub(super) fn minutes(minutes: f64) -> i64 {
    seconds(60.0 * minutes)
}

/// Milliseconds of so many hours.
pub(super) fn hours(hours: f64) -> i64 {
    seconds(3_600.0 * hours)
}

/// A long-tailed number with this median, within bounds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the deviate is positive and clamped"
)]
pub(super) fn count(
    rng: &mut ChaCha8Rng,
    median: f64,
    sigma: f64,
    bounds: RangeInclusive<usize>,
) -> usize {
    (lognormal(rng, median, sigma) as usize).clamp(*bounds.start(), *bounds.end())
}

/// A span of time in which a replay happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start_ms: i64,
    pub(super) days: u32,
}

impl Span {
    pub(super) fn end_ms(self) -> i64 {
        self.start_ms + i64::from(self.days) * DAY
    }

    fn day(self, rng: &mut ChaCha8Rng) -> i64 {
        i64::from(rng.random_range(0..self.days.max(1)))
    }

    /// Times in order, within the span.
    fn clean(self, mut times: Vec<i64>, n: usize) -> Vec<i64> {
        let last = self.end_ms() - 1;
        for time in &mut times {
            *time = (*time).clamp(self.start_ms, last);
        }
        times.sort_unstable();
        times.truncate(n);
        times
    }

    /// A person: days on and off, sessions around favourite hours, minutes between questions.
    pub(super) fn person(self, rng: &mut ChaCha8Rng, n: usize, zone_h: i64) -> Vec<i64> {
        let favourite = *[8.5, 10.5, 14.0, 16.0, 19.0, 21.0, 22.5].choose(rng).unwrap_or(&12.0);
        let mut times = Vec::with_capacity(n);
        while times.len() < n {
            let mut day = self.day(rng);
            let weekend = (self.start_ms / DAY + day + 3) % 7 >= 5;
            if weekend && rng.random_bool(0.4) {
                day = self.day(rng);
            }
            let hour = if rng.random_bool(0.7) {
                favourite + 1.2 * normal(rng)
            } else {
                rng.random_range(7.5..24.0)
            };
            let local = self.start_ms + day * DAY + hours(hour);
            let mut time = local - zone_h * HOUR;
            let session = 1 + count(rng, 1.8, 0.9, 0..=40);
            for _ in 0..session.min(n - times.len()) {
                times.push(time);
                time += seconds(lognormal(rng, 75.0, 0.9));
            }
        }
        self.clean(times, n)
    }

    /// Somebody at work: weekdays, nine to six.
    pub(super) fn office(self, rng: &mut ChaCha8Rng, n: usize, zone_h: i64) -> Vec<i64> {
        let mut times = Vec::with_capacity(n);
        let weekdays: Vec<i64> = (0..i64::from(self.days))
            .filter(|day| (self.start_ms / DAY + day + 3) % 7 < 5)
            .collect();
        while times.len() < n {
            let day = weekdays.choose(rng).copied().unwrap_or(0);
            let hour = (13.0 + 2.6 * normal(rng)).clamp(7.5, 19.5);
            let mut time = self.start_ms + day * DAY + hours(hour) - zone_h * HOUR;
            for _ in 0..rng.random_range(1..=4_usize).min(n - times.len()) {
                times.push(time);
                time += seconds(lognormal(rng, 120.0, 0.8));
            }
        }
        self.clean(times, n)
    }

    /// A scheduler: every day at that hour, so many in a row, so far apart.
    pub(super) fn nightly(
        self,
        rng: &mut ChaCha8Rng,
        n: usize,
        hour: f64,
        gap_ms: i64,
    ) -> Vec<i64> {
        let days = i64::from(self.days.max(1));
        let per_day = n.div_ceil(self.days.max(1) as usize);
        let mut times = Vec::with_capacity(n);
        for day in 0..days {
            let mut time = self.start_ms + day * DAY + hours(hour);
            for _ in 0..per_day {
                times.push(time);
                time += gap_ms + rng.random_range(0..=gap_ms / 4);
            }
        }
        self.clean(times, n)
    }

    /// A service: at any time, more by day than by night.
    pub(super) fn service(self, rng: &mut ChaCha8Rng, n: usize, zone_h: i64) -> Vec<i64> {
        let length = i64::from(self.days) * DAY;
        let mut times = Vec::with_capacity(n);
        while times.len() < n {
            let time = self.start_ms + rng.random_range(0..length);
            let local_h = ((time + zone_h * HOUR) % DAY) as f64 / HOUR as f64;
            let busy = 0.55 - 0.45 * ((local_h - 14.0) / 24.0 * std::f64::consts::TAU).cos().abs();
            if rng.random_bool(1.0 - busy.clamp(0.0, 0.9)) {
                times.push(time);
            }
        }
        self.clean(times, n)
    }

    /// A script that never sleeps.
    pub(super) fn flat(self, rng: &mut ChaCha8Rng, n: usize) -> Vec<i64> {
        let length = i64::from(self.days) * DAY;
        self.clean((0..n).map(|_| self.start_ms + rng.random_range(0..length)).collect(), n)
    }

    /// A few bursts, seconds apart.
    pub(super) fn bursts(self, rng: &mut ChaCha8Rng, n: usize, bursts: usize) -> Vec<i64> {
        let mut times = Vec::with_capacity(n);
        for burst in 0..bursts.max(1) {
            let share = (n + burst) / bursts.max(1);
            let length = i64::from(self.days) * DAY;
            let mut time = self.start_ms + rng.random_range(0..length - HOUR);
            for _ in 0..share {
                times.push(time);
                time += seconds(lognormal(rng, 4.0, 0.5));
            }
        }
        self.clean(times, n)
    }

    /// 6 to 26 requests a day from some day on, in waking hours of a zone.
    pub(super) fn slow(self, rng: &mut ChaCha8Rng, n: usize, zone_h: i64) -> Vec<i64> {
        let needed = u32::try_from(n / 16 + 1).unwrap_or(u32::MAX);
        let mut day = i64::from(rng.random_range(0..self.days.saturating_sub(needed).max(1)));
        let mut times = Vec::with_capacity(n);
        while times.len() < n {
            for _ in 0..rng.random_range(6..=26_usize).min(n - times.len()) {
                let hour = rng.random_range(7.0..23.5);
                let local = self.start_ms + day * DAY + hours(hour);
                times.push(local - zone_h * HOUR);
            }
            day += 1;
        }
        self.clean(times, n)
    }

    /// A moment in the span, at least this far from its end.
    pub(super) fn moment(self, rng: &mut ChaCha8Rng, before_end_ms: i64) -> i64 {
        let length = (i64::from(self.days) * DAY - before_end_ms).max(1);
        self.start_ms + rng.random_range(0..length)
    }
}
