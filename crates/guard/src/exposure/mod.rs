//! Randomised exposure: of two sampled answers a coin sends one, the other never leaves.
//!
//! Nothing here may depend on the coin, except which slot's bytes go out: both slots have the
//! same upstream, parameters, patience and filters, both are read to the end whatever the client
//! does, and a pair is kept or left out by functions that don't change when the two are swapped.

use crate::{GuardError, Identity, request::RequestView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Capture of exposures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExposureConfig {
    /// Share of eligible requests that are exposed, 0 to 1.
    pub rate: f64,
}

impl Default for ExposureConfig {
    fn default() -> Self {
        Self { rate: 0.01 }
    }
}

/// Captures exposures.
#[derive(Debug)]
pub struct Capture {
    _config: ExposureConfig,
}

impl Capture {
    /// Opens or creates the ledger in `data/ledger`; `None` where the rate is 0.
    ///
    /// # Errors
    /// The ledger can't be opened or written.
    pub async fn open(config: &ExposureConfig, _data: &Path) -> Result<Option<Self>, GuardError> {
        Ok((config.rate > 0.0).then(|| Self { _config: config.clone() }))
    }

    /// Whether this request is to be exposed. Looks at the request only.
    pub fn wants(&self, _who: &Identity, _request: &RequestView, _now_ms: i64) -> bool {
        false
    }

    /// Waits until everything acknowledged is on the disk.
    pub async fn close(&self) {}
}
