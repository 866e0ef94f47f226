//! Slows down whoever guesses admin keys, by address.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// Wrong keys that an address may present before it has to wait.
const FREE_FAILURES: u32 = 5;

/// The longest wait, milliseconds.
const WAIT_MS_MAX: i64 = 15 * 60_000;

/// Addresses remembered; the one that failed longest ago is forgotten first.
const ADDRESSES_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: i64,
}

/// Who failed, and when.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Mutex<BTreeMap<Option<IpAddr>, Failures>>,
}

/// An address as one caller: IPv6 callers own a whole /64.
fn caller(ip: Option<IpAddr>) -> Option<IpAddr> {
    ip.map(|ip| match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & !u128::from(u64::MAX)).into()),
        ip @ IpAddr::V4(_) => ip,
    })
}

/// How long after its last failure a caller has to wait.
fn wait_ms(count: u32) -> i64 {
    match count.checked_sub(FREE_FAILURES) {
        None => 0,
        Some(more) => 1_000_i64.checked_shl(more.min(20)).unwrap_or(WAIT_MS_MAX).min(WAIT_MS_MAX),
    }
}

impl Throttle {
    /// How long this caller has to wait now, milliseconds; 0: not at all.
    pub(super) fn wait(&self, ip: Option<IpAddr>, now_ms: i64) -> i64 {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(failures) = failures.get(&caller(ip)) else { return 0 };
        // A clock that jumped back must not lock anyone out for longer than the wait itself.
        let since = (now_ms - failures.last_ms).max(0);
        (wait_ms(failures.count) - since).max(0)
    }

    /// Notes a wrong key.
    pub(super) fn failed(&self, ip: Option<IpAddr>, now_ms: i64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let caller = caller(ip);
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&caller) {
            let oldest = failures.iter().min_by_key(|(_, f)| f.last_ms).map(|(ip, _)| *ip);
            if let Some(oldest) = oldest {
                failures.remove(&oldest);
            }
        }
        let one = failures.entry(caller).or_insert(Failures { count: 0, last_ms: now_ms });
        // Failures of long ago are forgiven.
        if now_ms - one.last_ms > WAIT_MS_MAX {
            one.count = 0;
        }
        *one = Failures { count: one.count.saturating_add(1), last_ms: now_ms };
    }

    /// Forgets a caller that presented the right key.
    pub(super) fn succeeded(&self, ip: Option<IpAddr>) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&caller(ip));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_gets_slower_and_a_right_key_ends_that() {
        let throttle = Throttle::default();
        let ip = Some(IpAddr::from([10, 0, 0, 1]));
        let other = Some(IpAddr::from([10, 0, 0, 2]));
        for now in 0..5 {
            assert_eq!(throttle.wait(ip, now), 0);
            throttle.failed(ip, now);
        }
        assert_eq!(throttle.wait(ip, 4), 1_000);
        assert_eq!(throttle.wait(ip, 1_004), 0);
        throttle.failed(ip, 1_004);
        assert_eq!(throttle.wait(ip, 1_004), 2_000);
        assert_eq!(throttle.wait(ip, -5_000), 2_000, "a clock that jumps back");
        assert_eq!(throttle.wait(other, 1_004), 0);
        for _ in 0..100 {
            throttle.failed(ip, 2_000);
        }
        assert_eq!(throttle.wait(ip, 2_000), WAIT_MS_MAX);
        throttle.succeeded(ip);
        assert_eq!(throttle.wait(ip, 2_000), 0);
    }

    #[test]
    fn a_v6_network_is_one_caller_and_memory_is_bounded() {
        let throttle = Throttle::default();
        for host in 0..6_u16 {
            let ip = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
            throttle.failed(Some(ip), 0);
        }
        let neighbour = IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, 9]);
        assert_eq!(throttle.wait(Some(neighbour), 0), 2_000);
        for n in 0..10_000_u32 {
            throttle.failed(Some(IpAddr::from(n.to_be_bytes())), i64::from(n) + 1);
        }
        let failures = throttle.failures.lock().expect("no panic before");
        assert_eq!(failures.len(), ADDRESSES_MAX);
    }
}
