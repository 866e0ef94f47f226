//! The ledger: who fixed what, and when, so that a coin can be believed.
//!
//! An append-only Merkle log (RFC 6962 hashing, the same as RFC 9162's) in a folder, with two
//! entries per exposure: [`Ledger::commit_exposure`] before the model is asked,
//! [`Ledger::record_outcome`] when all slots have ended. Epochs close with a count in a signed
//! head, heads are cosigned by witnesses and published. [`LogView`] reads a log and proves;
//! [`account_for_range`] accounts for every exposure of a range, which is what raises the
//! evidence for a coin from `declared` to `ledger`.
//!
//! It has no network, no clock and no opinion on statistics: times are passed in, randomness
//! comes from an [`Entropy`], and what a missing exposure costs is the audit's business.

mod account;
mod batch;
mod coin;
mod entropy;
mod error;
mod files;
mod frames;
mod hash;
mod leaf;
mod log;
mod opening;
mod proof;
mod replay;
mod sign;
mod tree;
mod view;

pub use account::{
    Adverse, AdverseReason, Filter, LedgerCheck, LedgerClaim, OpenedExposure, Unfinished,
    account_for_range,
};
pub use batch::{Appended, Draft, FutureRound, KeptDraft, append_drafts, read_drafts, read_kept};
pub use coin::{CoinCommitment, CoinSource};
pub use entropy::{Entropy, OsEntropy, throw, unbiased};
pub use error::LedgerError;
pub use files::{LogIdentity, read_key, write_key};
pub use hash::{
    HexError, RequestSide, SALT_BYTES, Salt, Sha256Hash, coin_commitment, from_hex, from_hex_exact,
    request_hash, salt_commitment, tagged, text_commitment, to_hex,
};
pub use leaf::{
    AnchorLeaf, DeletionLeaf, ExposureLeaf, ID_BYTES_MAX, LEAF_BYTES_MAX, LEAF_VERSION, Leaf,
    PlanLeaf, SLOTS_MAX, WeightsLeaf,
};
pub use log::Ledger;
pub use opening::{ExposureRequest, Opening, parse_salts};
pub use proof::{ConsistencyProof, InclusionProof};
pub use replay::Position;
pub use sign::{Cosignature, LogKey, Receipt, SignedHead, TreeHead, log_id};
pub(crate) use sign::{PLAN_DOMAIN, verify as verify_signature};
pub use tree::{TREE_SIZE_MAX, Tree, leaf_hash, verify_consistency, verify_inclusion};
pub use view::{LogView, check_entries};
