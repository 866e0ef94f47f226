//! Which parts are degraded, and why: shown by `/healthz` and at the head of the dashboard.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Parts that can be degraded at once; more are not noted.
const PARTS_MAX: usize = 64;

/// What is degraded now. Parts report themselves and take it back.
#[derive(Debug, Default)]
pub struct Health {
    degraded: Mutex<BTreeMap<String, String>>,
}

impl Health {
    /// Notes that a part (`ledger`, `store`, `upstream NAME`) is degraded, and what that means
    /// for requests, in one plain sentence.
    pub fn degrade(&self, part: &str, why: impl Into<String>) {
        let mut degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        if degraded.len() < PARTS_MAX || degraded.contains_key(part) {
            degraded.insert(part.to_owned(), why.into());
        }
    }

    /// Notes that a part is as it should be.
    pub fn restore(&self, part: &str) {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// All degraded parts with what is wrong, by name.
    pub fn degraded(&self) -> Vec<(String, String)> {
        let degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        degraded.iter().map(|(part, why)| (part.clone(), why.clone())).collect()
    }
}
