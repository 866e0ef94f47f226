//! Indicators that providers exchange without exchanging prompts: salted hashes of templates.

mod key;

pub use key::SharedKey;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keyed sharing of indicators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SharingConfig {
    /// Environment variable with the key that the sharing providers agreed on.
    pub key_env: Option<String>,
}
