//! The entries of the log, as RFC 8785 JSON: what a leaf says, and how it is read back.
//!
//! An exposure has two: `commit` before anything is asked of the model, `outcome` when all slots
//! have ended. Plans, weights, deletions and heads of other logs are
//! entries too. Texts, accounts and salts are never
//! in the log.

use super::{LedgerError, Sha256Hash};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the leaf format.
pub const LEAF_VERSION: u32 = 1;
/// Longest encoded leaf, bytes.
pub const LEAF_BYTES_MAX: usize = 64 * 1024;
/// Longest identifier of an entry, bytes.
pub const ID_BYTES_MAX: usize = 512;
/// Most slots of one exposure.
pub const SLOTS_MAX: usize = 64;

/// An entry of an exposure, the first or the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExposureLeaf {
    /// [`LEAF_VERSION`].
    pub version: u32,
    /// The exposure's identifier.
    pub id: String,
    /// Salted hash of the request side.
    pub request_hash: Sha256Hash,
    /// In slot order: commitments to the salts in the first entry, to the texts in the second.
    pub slot_hashes: Vec<Sha256Hash>,
    /// Salted hash of the slot that the owner's coin chose, or `drand:CHAIN:ROUND` for the round
    /// that will choose.
    pub coin_commitment: String,
    /// Pseudonym of the account, the same in all its leaves; absent without account. It is what
    /// lets a deletion be checked to remove whole accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_tag: Option<Sha256Hash>,
}

/// A sealed plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanLeaf {
    /// [`LEAF_VERSION`].
    pub version: u32,
    /// Name of the plan.
    pub id: String,
    /// SHA-256 of the plan's RFC 8785 JSON.
    pub plan_hash: Sha256Hash,
    /// SHA-256 of the exposure file, if the plan names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposures_sha256: Option<Sha256Hash>,
    /// First and last sequence number, if the plan names a range of this ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequences: Option<[u64; 2]>,
}

/// Weights of a model that existed when this was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightsLeaf {
    /// [`LEAF_VERSION`].
    pub version: u32,
    /// Name of the model.
    pub id: String,
    /// Hash of its weights, as `models` computes it.
    pub weights_hash: Sha256Hash,
}

/// Deletion of a whole account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletionLeaf {
    /// [`LEAF_VERSION`].
    pub version: u32,
    /// Why or on whose request, without personal data.
    pub id: String,
    /// Pseudonym of the account.
    pub account_tag: Sha256Hash,
}

/// The latest head of another log, as this log's owner saw it: a log that is cut back or
/// rewritten later contradicts those that recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnchorLeaf {
    /// [`LEAF_VERSION`].
    pub version: u32,
    /// Whose log it is, without personal data.
    pub id: String,
    /// The other log.
    pub log_id: String,
    /// Its number of leaves.
    pub tree_size: u64,
    /// Hash of its head ([`super::SignedHead::head_hash`]).
    pub head_hash: Sha256Hash,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Leaf {
    /// First entry of an exposure.
    Commit(ExposureLeaf),
    /// Second entry of an exposure.
    Outcome(ExposureLeaf),
    /// A sealed plan.
    Plan(PlanLeaf),
    /// Weights that exist.
    Weights(WeightsLeaf),
    /// Deletion of an account.
    Deletion(DeletionLeaf),
    /// Head of another log.
    Anchor(AnchorLeaf),
}

impl Leaf {
    /// The identifier and version of the entry.
    pub fn id_and_version(&self) -> (&str, u32) {
        match self {
            Self::Commit(l) | Self::Outcome(l) => (&l.id, l.version),
            Self::Plan(l) => (&l.id, l.version),
            Self::Weights(l) => (&l.id, l.version),
            Self::Deletion(l) => (&l.id, l.version),
            Self::Anchor(l) => (&l.id, l.version),
        }
    }

    /// RFC 8785 JSON of the entry: the leaf's data.
    ///
    /// # Errors
    /// The entry breaks a limit.
    pub fn encode(&self) -> Result<Vec<u8>, LedgerError> {
        let id = self.id_and_version().0;
        self.check().map_err(|reason| LedgerError::refused(id, reason))?;
        let data = serde_json_canonicalizer::to_vec(self)
            .map_err(|e| LedgerError::refused(id, e.to_string()))?;
        if data.len() > LEAF_BYTES_MAX {
            let reason =
                format!("its entry has {} bytes, the limit is {LEAF_BYTES_MAX}", data.len());
            return Err(LedgerError::refused(id, reason));
        }
        Ok(data)
    }

    /// Reads a leaf's data, whose checksum vouches for the spelling.
    pub(crate) fn decode(data: &[u8], index: u64) -> Result<Self, LedgerError> {
        let wrong = |reason: String| LedgerError::Leaf { index, reason };
        if data.len() > LEAF_BYTES_MAX {
            return Err(wrong(format!("longer than {LEAF_BYTES_MAX} bytes")));
        }
        let leaf: Self = serde_json::from_slice(data).map_err(|e| wrong(e.to_string()))?;
        leaf.check().map_err(wrong)?;
        Ok(leaf)
    }

    /// Reads a leaf's data from a stranger: besides, it must be spelt as RFC 8785 has it.
    ///
    /// # Errors
    /// [`LedgerError::Leaf`] with what was expected.
    pub fn decode_strict(data: &[u8], index: u64) -> Result<Self, LedgerError> {
        let leaf = Self::decode(data, index)?;
        if leaf.encode()? != data {
            let reason = "not in the canonical form of RFC 8785".to_owned();
            return Err(LedgerError::Leaf { index, reason });
        }
        Ok(leaf)
    }

    fn check(&self) -> Result<(), String> {
        let (id, version) = self.id_and_version();
        if version != LEAF_VERSION {
            return Err(format!("version {version} is unknown, expected {LEAF_VERSION}"));
        }
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(format!("its id has {} bytes, expected 1 to {ID_BYTES_MAX}", id.len()));
        }
        match self {
            Self::Commit(leaf) | Self::Outcome(leaf) => {
                let n_slots = leaf.slot_hashes.len();
                if !(2..=SLOTS_MAX).contains(&n_slots) {
                    return Err(format!("{n_slots} slots, expected 2 to {SLOTS_MAX}"));
                }
                leaf.coin_commitment.parse::<super::CoinCommitment>().map(|_| ())
            }
            Self::Plan(PlanLeaf { sequences: Some([first, last]), .. }) if first > last => {
                Err(format!("sequences run from {first} to {last}, expected first ≤ last"))
            }
            _ => Ok(()),
        }
    }
}
