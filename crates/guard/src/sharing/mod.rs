//! Indicators that providers exchange without exchanging prompts: salted, keyed hashes of what the
//! prompts of a campaign share.
//!
//! [`export_file`] makes a file of what the detector flagged, [`import_file`] reads one that another
//! provider made under the same key, [`matches()`] says what of it is met here and how often that
//! happens to the innocent. A match is a reason to look, never a decision.

mod file;
mod key;
mod matches;

pub use file::{
    CAMPAIGNS_MAX, FILE_BYTES_MAX, FILE_VERSION, HASH_BITS, HASHES, IndicatorFile, Share,
    SharedCampaign, export_file, import_file,
};
pub use key::SharedKey;
pub use matches::{LocalItems, MATCHED_MIN, Match, MatchReport, local_campaigns, matches};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keyed sharing of indicators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SharingConfig {
    /// Environment variable with the key that the sharing providers agreed on.
    pub key_env: Option<String>,
}
