//! Detection while traffic flows: one writer, bounded memory.

use crate::{Analysis, Observation};

/// Bounds and keys of live detection.
#[derive(Debug, Clone)]
pub struct LiveParams {
    /// Keys the hashes, so that prompts can't be made to collide.
    pub hash_key: [u8; 32],
    /// Accounts kept in memory; the least recently seen leave first.
    pub accounts_max: usize,
}

/// The state of detection.
#[derive(Debug)]
pub struct Live {
    params: LiveParams,
    n_exchanges: u64,
}

impl Live {
    /// An empty state.
    pub fn new(params: LiveParams) -> Self {
        Self { params, n_exchanges: 0 }
    }

    /// Takes one exchange in.
    pub fn observe(&mut self, observation: &Observation<'_>) {
        let _known = (observation.account, self.params.accounts_max);
        self.n_exchanges += 1;
    }

    /// What is known now.
    pub fn analyse(&mut self, now_ms: i64) -> Analysis {
        Analysis { time_ms: now_ms, n_exchanges: self.n_exchanges, ..Analysis::default() }
    }
}
