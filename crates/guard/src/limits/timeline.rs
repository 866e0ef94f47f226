//! Time that doesn't run backwards, made of a wall clock that may.
//!
//! Buckets fill by differences of this time. When the wall clock is set back, this time goes on
//! from where it was: nothing is reset, nobody waits for the clock to catch up. Readings that
//! are a little out of order (threads) are no jump.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Readings may be this much out of order, milliseconds.
const ORDER_MS: i64 = 2_000;

/// Time that doesn't run backwards.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    offset: AtomicI64,
    latest: AtomicI64,
    jump: Mutex<()>,
}

impl Timeline {
    /// A timeline that agrees with the clock now.
    pub(super) fn new(wall_ms: i64) -> Self {
        Self { latest: AtomicI64::new(wall_ms), ..Self::default() }
    }

    /// This time at a reading of the wall clock, milliseconds.
    pub(super) fn at(&self, wall_ms: i64) -> i64 {
        let time = wall_ms.saturating_add(self.offset.load(Ordering::Relaxed));
        let latest = self.latest.fetch_max(time, Ordering::Relaxed).max(time);
        if latest - time > ORDER_MS {
            let _one_at_a_time = self.jump.lock().unwrap_or_else(PoisonError::into_inner);
            let latest = self.latest();
            let time = wall_ms.saturating_add(self.offset.load(Ordering::Relaxed));
            if latest - time > ORDER_MS {
                self.offset.fetch_add(latest - time, Ordering::Relaxed);
            }
        }
        latest
    }

    /// The latest time that was seen.
    pub(super) fn latest(&self) -> i64 {
        self.latest.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_neither_resets_nor_stops_time() {
        let time = Timeline::new(10_000_000);
        assert_eq!(time.at(10_000_500), 10_000_500);
        assert_eq!(time.at(10_000_400), 10_000_500, "out of order");
        assert_eq!(time.at(10_000_600), 10_000_600);
        assert_eq!(time.at(6_400_000), 10_000_600, "set back by an hour");
        assert_eq!(time.at(6_400_700), 10_001_300, "and time goes on");
        assert_eq!(time.at(10_001_000), 13_601_600, "set forward");
    }
}
