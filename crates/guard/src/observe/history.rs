//! What the last day was like, minute by minute, for the dashboard's drawing.
//!
//! Requests don't touch it: the totals that are counted anyway are read now and then, and what
//! came since the last time goes to the current minute.

use super::Metrics;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Minutes remembered: a day.
pub const MINUTES_MAX: usize = 24 * 60;

const MINUTE_MS: i64 = 60_000;

/// What came in one minute, or until one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Answered requests.
    pub requests: u64,
    /// Of those, answered with 5xx.
    pub failed: u64,
    /// Of those, answered with 4xx.
    pub refused: u64,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Exposures begun.
    pub exposures: u64,
}

impl Totals {
    fn of(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.n_requests(&["1xx", "2xx", "3xx", "4xx", "5xx"]),
            failed: metrics.n_requests(&["5xx"]),
            refused: metrics.n_requests(&["4xx"]),
            tokens: metrics.prompt_tokens.get() + metrics.completion_tokens.get(),
            exposures: metrics.exposures_begun.get(),
        }
    }

    /// Each number by itself, with a function of two.
    fn each(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            requests: f(self.requests, other.requests),
            failed: f(self.failed, other.failed),
            refused: f(self.refused, other.refused),
            tokens: f(self.tokens, other.tokens),
            exposures: f(self.exposures, other.exposures),
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }
}

#[derive(Debug, Default)]
struct Inner {
    until: Totals,
    /// Minute since the epoch and what came in it, oldest first, ascending.
    minutes: VecDeque<(i64, Totals)>,
}

/// The last day.
#[derive(Debug, Default)]
pub struct History(Mutex<Inner>);

impl History {
    /// Books what came since the last time to the current minute.
    pub fn sample(&self, metrics: &Metrics, now_ms: i64) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = Totals::of(metrics);
        let new = totals.each(inner.until, u64::saturating_sub);
        inner.until = totals;
        let minute = now_ms.div_euclid(MINUTE_MS);
        match inner.minutes.back_mut() {
            // Also when the clock jumped back: the newest minute takes it.
            Some((last, sum)) if *last >= minute => *sum = sum.plus(new),
            _ => inner.minutes.push_back((minute, new)),
        }
        while inner.minutes.len() > MINUTES_MAX {
            inner.minutes.pop_front();
        }
    }

    /// The last `n` minutes, the current one last, in bins of `width` minutes: when each began
    /// (milliseconds since the epoch) and what came in it.
    pub fn last(&self, n: usize, width: usize, now_ms: i64) -> Vec<(i64, Totals)> {
        let width = width.max(1);
        let n_bins = n.min(MINUTES_MAX).div_ceil(width);
        let end = now_ms.div_euclid(MINUTE_MS) + 1;
        let start = end - i64::try_from(n_bins * width).unwrap_or(0);
        let begin = |bin: usize| start + i64::try_from(bin * width).unwrap_or(0);
        let mut bins: Vec<_> =
            (0..n_bins).map(|bin| (begin(bin) * MINUTE_MS, Totals::default())).collect();
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (minute, totals) in &inner.minutes {
            let bin = usize::try_from(minute - start).ok().map(|offset| offset / width);
            if let Some((_, sum)) = bin.and_then(|bin| bins.get_mut(bin)) {
                *sum = sum.plus(*totals);
            }
        }
        bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Cost, request::Api};
    use std::time::Duration;

    #[test]
    fn what_came_goes_to_its_minute() {
        let (history, metrics) = (History::default(), Metrics::new());
        let answer = |status| metrics.answered(Some(Api::Chat), status, None, Duration::ZERO);
        answer(200);
        history.sample(&metrics, 10 * MINUTE_MS);
        answer(200);
        answer(502);
        metrics.spent(Cost { prompt_tokens: 3, completion_tokens: 4 });
        history.sample(&metrics, 12 * MINUTE_MS + 5);
        answer(429);
        history.sample(&metrics, 3 * MINUTE_MS);
        let bins = history.last(4, 1, 12 * MINUTE_MS);
        let requests: Vec<u64> = bins.iter().map(|(_, totals)| totals.requests).collect();
        assert_eq!(requests, [0, 1, 0, 3], "a clock that jumps back loses nothing");
        let last = bins[3].1;
        assert_eq!((last.failed, last.refused, last.tokens), (1, 1, 7));
        let wide = history.last(4, 2, 12 * MINUTE_MS);
        assert_eq!(wide.len(), 2);
        assert_eq!(wide.iter().map(|(_, totals)| totals.requests).sum::<u64>(), 4);
    }

    #[test]
    fn memory_is_bounded() {
        let (history, metrics) = (History::default(), Metrics::new());
        for minute in 0..3_000 {
            history.sample(&metrics, minute * MINUTE_MS);
        }
        assert_eq!(history.0.lock().expect("no panic before").minutes.len(), MINUTES_MAX);
    }
}
