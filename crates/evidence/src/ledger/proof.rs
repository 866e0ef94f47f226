//! Proofs that travel: a leaf is in the log, a log only grew. Checked without the log at hand.

use super::{Leaf, LedgerError, Sha256Hash, SignedHead, tree};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A leaf stands at this place of the tree with this root (RFC 6962, section 2.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// The log.
    pub log_id: String,
    /// Index of the leaf.
    pub leaf_index: u64,
    /// Number of leaves of the tree.
    pub tree_size: u64,
    /// Root of the tree.
    pub root: Sha256Hash,
    /// The leaf's data, RFC 8785 JSON.
    pub leaf: String,
    /// Sibling hashes from the leaf to the root.
    pub hashes: Vec<Sha256Hash>,
}

impl InclusionProof {
    /// Checks the proof against a signed head, and returns the leaf.
    ///
    /// # Errors
    /// Head or proof don't verify, or belong to different trees.
    pub fn verify(&self, head: &SignedHead) -> Result<Leaf, LedgerError> {
        head.verify()?;
        if (&self.log_id, self.tree_size, self.root)
            != (&head.head.log_id, head.head.tree_size, head.head.root)
        {
            let reason = "it is of another log or another tree size than the head";
            return Err(LedgerError::verification("inclusion proof", reason));
        }
        let data = self.leaf.as_bytes();
        tree::verify_inclusion(data, self.leaf_index, self.tree_size, &self.root, &self.hashes)?;
        Leaf::decode_strict(data, self.leaf_index)
    }
}

/// The tree of the first size is the beginning of that of the second (RFC 6962, section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// The log.
    pub log_id: String,
    /// Size of the earlier tree.
    pub first_size: u64,
    /// Size of the later tree.
    pub second_size: u64,
    /// The hashes.
    pub hashes: Vec<Sha256Hash>,
}

impl ConsistencyProof {
    /// Checks that the log of `second` only appended to what `first` had signed.
    ///
    /// # Errors
    /// A head or the proof doesn't verify, or they belong to different trees.
    pub fn verify(&self, first: &SignedHead, second: &SignedHead) -> Result<(), LedgerError> {
        first.verify()?;
        second.verify()?;
        let what = "consistency proof";
        if self.log_id != first.head.log_id || self.log_id != second.head.log_id {
            return Err(LedgerError::verification(what, "proof and heads name different logs"));
        }
        if (self.first_size, self.second_size) != (first.head.tree_size, second.head.tree_size) {
            return Err(LedgerError::verification(what, "its sizes aren't those of the heads"));
        }
        tree::verify_consistency(
            self.first_size,
            &first.head.root,
            self.second_size,
            &second.head.root,
            &self.hashes,
        )
    }
}
