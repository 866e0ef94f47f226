//! The cap on what exposures may cost in a day.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Spent {
    day: i64,
    tokens: u64,
}

/// Tokens of the current day, UTC. A clock that jumps back doesn't give a day twice.
#[derive(Debug)]
pub(super) struct Spend {
    path: PathBuf,
    per_day: u64,
    spent: Mutex<Spent>,
}

impl Spend {
    /// Goes on from what was spent before a restart.
    pub(super) fn open(path: PathBuf, per_day: u64) -> Self {
        let bytes = fs_err::read(&path).unwrap_or_default();
        let spent = match bytes.as_chunks::<8>().0 {
            [day, tokens] => {
                Spent { day: i64::from_le_bytes(*day), tokens: u64::from_le_bytes(*tokens) }
            }
            _ => Spent::default(),
        };
        Self { path, per_day, spent: Mutex::new(spent) }
    }

    fn today(&self, now_ms: i64) -> std::sync::MutexGuard<'_, Spent> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let day = now_ms.div_euclid(DAY_MS);
        if day > spent.day {
            *spent = Spent { day, tokens: 0 };
        }
        spent
    }

    /// Reserves an estimate; `false` where the cap leaves no room.
    pub(super) fn reserve(&self, tokens: u64, now_ms: i64) -> bool {
        let mut spent = self.today(now_ms);
        let after = spent.tokens.saturating_add(tokens);
        if after > self.per_day {
            return false;
        }
        spent.tokens = after;
        true
    }

    /// Puts what was really spent in the place of the estimate.
    pub(super) fn settle(&self, reserved: u64, really: u64, now_ms: i64) {
        let mut spent = self.today(now_ms);
        spent.tokens = spent.tokens.saturating_sub(reserved).saturating_add(really);
    }

    /// Tokens spent or reserved today.
    pub(super) fn tokens(&self, now_ms: i64) -> u64 {
        self.today(now_ms).tokens
    }

    /// Writes what was spent.
    pub(super) fn flush(&self) -> std::io::Result<()> {
        let spent = *self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = [spent.day.to_le_bytes(), spent.tokens.to_le_bytes()].concat();
        fs_err::write(&self.path, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_cap_across_restarts_and_clocks_that_jump() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("spent");
        let spend = Spend::open(path.clone(), 100);
        assert!(spend.reserve(80, 10));
        assert!(!spend.reserve(30, 20));
        spend.settle(80, 50, 30);
        assert!(spend.reserve(30, 40));
        spend.flush().expect("writes");
        let again = Spend::open(path, 100);
        assert_eq!(again.tokens(50), 80);
        assert!(again.reserve(100, DAY_MS + 1));
        assert!(!again.reserve(1, 5), "the clock jumped back");
    }
}
