//! A released text with its withheld alternatives, and the commitment to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One chat message of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text of the message.
    pub content: String,
}

/// Who threw the coin, from the least to the most convincing.
///
/// The order is that of conviction, so `a < b` means that `b` may reach a higher verdict.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Coin {
    /// No coin: indicates at most, no p-value.
    None,
    /// A sibling sampled later from the same model and settings: indicates at most.
    Iid,
    /// The owner's own random generator at serving time.
    Server,
    /// A public beacon round after both texts were committed by slot.
    Public,
}

/// Where the two ledger entries of an exposure are to be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// Hash that names the log (of its public key).
    pub log_id: String,
    /// Dense sequence number of the exposure in the log.
    pub sequence: u64,
    /// Index of the second entry's leaf in the tree.
    pub leaf_index: u64,
    /// Size of the tree whose head is `root`.
    pub tree_size: u64,
    /// Root hash, hexadecimal.
    pub root: String,
    /// One salt per slot, in slot order, hexadecimal; kept outside the log.
    pub salts: Vec<String>,
}

/// A released text with its withheld siblings: one throw of one coin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// Unique name of the exposure in its file.
    pub id: String,
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The text that went out.
    pub released: String,
    /// The texts that did not, one to K of them.
    pub withheld: Vec<String>,
    /// The grade of the coin that chose.
    pub coin: Coin,
    /// Whom it was sent to; without it there is no account test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When it was sent, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Sampling parameters as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<serde_json::Value>,
    /// Which slot was released, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<usize>,
    /// The ledger's entries for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<Commitment>,
}
