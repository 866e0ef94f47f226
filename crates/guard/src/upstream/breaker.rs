//! Leaves an upstream alone that failed several times in a row, and tries it again with single
//! requests (the circuit breaker of Nygard, *Release It!*, 2007, with its half-open state).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// State of one upstream. Without locks: requests only load two numbers while all is well.
#[derive(Debug)]
pub(super) struct Breaker {
    start: Instant,
    failures_max: u32,
    open_for: Duration,
    failures: AtomicU32,
    /// Milliseconds after `start` from which on one probe is allowed; 0 while closed.
    probe_at_ms: AtomicU64,
}

impl Breaker {
    /// Closed. Opens after `failures_max` failures in a row (0: never).
    pub(super) fn new(failures_max: u32, open_for: Duration) -> Self {
        Self {
            start: Instant::now(),
            failures_max,
            open_for,
            failures: AtomicU32::new(0),
            probe_at_ms: AtomicU64::new(0),
        }
    }

    /// Whether requests pass freely.
    pub(super) fn is_closed(&self) -> bool {
        self.probe_at_ms.load(Ordering::Acquire) == 0
    }

    /// Whether it is time for a probe.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let at = self.probe_at_ms.load(Ordering::Acquire);
        at != 0 && self.ms(now) >= at
    }

    /// Takes the one probe of this period; the next is due a period later, so that a probe
    /// that never reports back blocks nothing.
    pub(super) fn take_probe(&self, now: Instant) -> bool {
        let at = self.probe_at_ms.load(Ordering::Acquire);
        at != 0
            && self.ms(now) >= at
            && self
                .probe_at_ms
                .compare_exchange(at, self.next(now), Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// The upstream answered. Whether that closed the breaker.
    pub(super) fn succeeded(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        !self.is_closed() && self.probe_at_ms.swap(0, Ordering::AcqRel) != 0
    }

    /// The upstream didn't. Whether that opened the breaker.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.failures_max != 0
            && failures >= self.failures_max
            && self.probe_at_ms.swap(self.next(now), Ordering::AcqRel) == 0
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    fn next(&self, now: Instant) -> u64 {
        let open_ms = u64::try_from(self.open_for.as_millis()).unwrap_or(u64::MAX);
        self.ms(now).saturating_add(open_ms).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_closes_after_a_probe() {
        let breaker = Breaker::new(3, Duration::from_secs(10));
        let t0 = breaker.start;
        breaker.failed(t0);
        breaker.failed(t0);
        breaker.succeeded();
        breaker.failed(t0);
        breaker.failed(t0);
        assert!(breaker.is_closed(), "a success in between starts the count anew");
        assert!(breaker.failed(t0), "opened");
        assert!(!breaker.is_closed());
        assert!(!breaker.failed(t0), "it was open");
        assert!(!breaker.take_probe(t0 + Duration::from_secs(9)));
        let t1 = t0 + Duration::from_secs(10);
        assert!(breaker.is_due(t1));
        assert!(breaker.take_probe(t1));
        assert!(!breaker.take_probe(t1), "one probe in a period");
        breaker.failed(t1);
        assert!(!breaker.is_due(t1 + Duration::from_secs(9)));
        let t2 = t1 + Duration::from_secs(10);
        assert!(breaker.take_probe(t2));
        assert!(breaker.succeeded(), "closed");
        assert!(!breaker.succeeded(), "it was closed");
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_probe_that_never_reports_back_blocks_nothing() {
        let breaker = Breaker::new(1, Duration::from_secs(1));
        let t0 = breaker.start;
        breaker.failed(t0);
        assert!(breaker.take_probe(t0 + Duration::from_secs(1)));
        assert!(breaker.take_probe(t0 + Duration::from_secs(2)));
    }

    #[test]
    fn zero_failures_means_never() {
        let breaker = Breaker::new(0, Duration::from_secs(1));
        assert!((0..100).all(|_| !breaker.failed(breaker.start)));
        assert!(breaker.is_closed());
    }
}
