//! Wrong keys by address: a few are mistakes, many are guesses.
//!
//! A token bucket per address (IPv6: per /64), touched only when a key was wrong. Memory is
//! bounded: when it is full the address that was wrong the longest ago is forgotten.

use super::KeyError;
use super::hash::network;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Wrong keys that an address may present at once.
const BURST: f64 = 10.0;
/// How long until one more is forgiven, milliseconds.
const FORGIVE_MS: f64 = 6_000.0;
const SHARDS: usize = 64;
const PER_SHARD: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Address {
    network: [u8; 9],
    level: f64,
    at_ms: i64,
}

/// Wrong keys by address.
#[derive(Debug)]
pub(super) struct Guesses {
    shards: Vec<Mutex<Vec<Address>>>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Guesses {
    /// Counts a wrong key.
    ///
    /// # Errors
    /// [`KeyError::TooManyGuesses`].
    pub(super) fn wrong(&self, ip: IpAddr, now_ms: i64) -> Result<(), KeyError> {
        let network = network(ip);
        let sum = network.iter().fold(0_usize, |h, b| h.wrapping_mul(31).wrapping_add((*b).into()));
        let Some(shard) = self.shards.get(sum % SHARDS) else { return Ok(()) };
        let mut addresses = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = addresses.iter_mut().find(|address| address.network == network);
        let Some(address) = known else {
            if addresses.len() >= PER_SHARD {
                let oldest = addresses.iter().enumerate().min_by_key(|(_, a)| a.at_ms);
                if let Some((oldest, _)) = oldest {
                    addresses.swap_remove(oldest);
                }
            }
            addresses.push(Address { network, level: BURST - 1.0, at_ms: now_ms });
            return Ok(());
        };
        // A clock that was set back forgives nothing and blocks nobody.
        let passed = now_ms.saturating_sub(address.at_ms).max(0) as f64;
        address.level = (address.level + passed / FORGIVE_MS).min(BURST);
        address.at_ms = now_ms;
        if address.level >= 1.0 {
            address.level -= 1.0;
            return Ok(());
        }
        let wait_ms = ((1.0 - address.level) * FORGIVE_MS).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and FORGIVE_MS"
        )]
        let retry_after_ms = wait_ms as u64;
        Err(KeyError::TooManyGuesses { retry_after_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_stopped_and_forgiven() {
        let guesses = Guesses::default();
        let ip: IpAddr = "10.0.0.1".parse().expect("an address");
        for _ in 0..10 {
            assert_eq!(guesses.wrong(ip, 1_000), Ok(()));
        }
        let wait = KeyError::TooManyGuesses { retry_after_ms: 6_000 };
        assert_eq!(guesses.wrong(ip, 1_000), Err(wait));
        assert_eq!(guesses.wrong("10.0.0.2".parse().expect("an address"), 1_000), Ok(()));
        assert_eq!(guesses.wrong(ip, 7_000), Ok(()));
        assert!(guesses.wrong(ip, 7_000).is_err());
        // Set back by an hour: still stopped, and free again after the same time.
        assert!(guesses.wrong(ip, 7_000 - 3_600_000).is_err());
        assert_eq!(guesses.wrong(ip, 7_000 - 3_600_000 + 6_000), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let guesses = Guesses::default();
        for i in 0..200_000_u32 {
            guesses.wrong(IpAddr::V4(i.into()), i64::from(i)).expect("each is the first");
        }
        let known: usize = guesses.shards.iter().map(|s| s.lock().expect("free").len()).sum();
        assert!(known <= SHARDS * PER_SHARD);
    }
}
