//! Signatures: the log's key, signed tree heads, witnesses' cosignatures, receipts.
//!
//! Ed25519 (RFC 8032), checked strictly. What is signed is a domain, a zero byte and the RFC 8785
//! JSON of the signed part, so that no signature can be passed off as another kind.

use super::{Entropy, LedgerError, Sha256Hash, from_hex_exact, to_hex};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

const HEAD_DOMAIN: &str = "stillwatch/tree-head/v1";
const COSIGNATURE_DOMAIN: &str = "stillwatch/cosignature/v1";
const RECEIPT_DOMAIN: &str = "stillwatch/receipt/v1";
pub(crate) const PLAN_DOMAIN: &str = "stillwatch/plan/v1";

/// A secret signing key, of a log or of a witness. Never shown.
#[derive(Clone)]
pub struct LogKey(SigningKey);

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey(secret of {})", self.public_key())
    }
}

impl LogKey {
    /// A new key.
    ///
    /// # Errors
    /// The random source failed.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, LedgerError> {
        let mut secret = [0; 32];
        entropy.fill(&mut secret)?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// The key whose secret has these hexadecimal digits.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn from_secret_hex(text: &str) -> Result<Self, String> {
        let secret = from_hex_exact(text.trim_end()).map_err(|e| e.to_string())?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// The secret in hexadecimal, for the key file alone.
    pub(crate) fn secret_hex(&self) -> String {
        to_hex(self.0.as_bytes())
    }

    /// The public key, hexadecimal.
    pub fn public_key(&self) -> String {
        to_hex(self.0.verifying_key().as_bytes())
    }

    /// The identifier of this key's log.
    pub fn log_id(&self) -> String {
        log_id(&self.public_key())
    }

    /// Pseudonym of an account in this log. Only the key's holder can compute it.
    pub fn account_tag(&self, account: &str) -> Sha256Hash {
        super::tagged("stillwatch/account/v1", &[self.0.as_bytes(), account.as_bytes()])
    }

    pub(crate) fn sign<T: Serialize>(&self, domain: &str, part: &T) -> Result<String, LedgerError> {
        Ok(to_hex(&self.0.sign(&message(domain, part)?).to_bytes()))
    }
}

/// The name of the log with this public key (hexadecimal): the tagged hash of those digits.
pub fn log_id(public_key: &str) -> String {
    super::tagged("stillwatch/log/v1", &[public_key.as_bytes()]).to_string()
}

fn message<T: Serialize>(domain: &str, part: &T) -> Result<Vec<u8>, LedgerError> {
    let mut bytes = domain.as_bytes().to_vec();
    bytes.push(0);
    serde_json_canonicalizer::to_writer(part, &mut bytes)
        .map_err(|e| LedgerError::verification("signature", e.to_string()))?;
    Ok(bytes)
}

pub(crate) fn verify<T: Serialize>(
    what: &'static str,
    domain: &str,
    part: &T,
    public_key: &str,
    signature: &str,
) -> Result<(), LedgerError> {
    let failed = |reason: String| LedgerError::verification(what, reason);
    let key = from_hex_exact(public_key).map_err(|e| failed(format!("public key: {e}")))?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| failed("not a public key".to_owned()))?;
    let signature = from_hex_exact(signature).map_err(|e| failed(format!("signature: {e}")))?;
    key.verify_strict(&message(domain, part)?, &Signature::from_bytes(&signature))
        .map_err(|_| failed("the signature isn't that key's over these values".to_owned()))
}

/// What a tree head says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeHead {
    /// The log.
    pub log_id: String,
    /// Number of leaves.
    pub tree_size: u64,
    /// Merkle tree hash of those leaves.
    pub root: Sha256Hash,
    /// When the epoch was closed, by the owner's clock.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// The epoch that this head closes, from 0.
    pub epoch: u64,
    /// Number of exposures begun (first entries) in the epoch.
    pub epoch_count: u64,
}

/// A witness's signature under a head: it saw this head, and none that contradicts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cosignature {
    /// The witness's public key, hexadecimal.
    pub public_key: String,
    /// When it saw the head, by its own clock.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// Its signature over head hash and time, hexadecimal.
    pub signature: String,
}

#[derive(Serialize)]
struct Cosigned<'a> {
    head_hash: &'a Sha256Hash,
    time: &'a Timestamp,
}

/// A head with its log's signature and those of witnesses: what is exported for anchoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// What it says.
    pub head: TreeHead,
    /// The log's public key, hexadecimal.
    pub public_key: String,
    /// The log's signature, hexadecimal.
    pub signature: String,
    /// Witnesses' signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cosignatures: Vec<Cosignature>,
}

impl SignedHead {
    pub(crate) fn sign(key: &LogKey, head: TreeHead) -> Result<Self, LedgerError> {
        let signature = key.sign(HEAD_DOMAIN, &head)?;
        Ok(Self { head, public_key: key.public_key(), signature, cosignatures: Vec::new() })
    }

    /// SHA-256 of the signed bytes: what to publish for anchoring.
    ///
    /// # Errors
    /// The head can't be written as JSON (never, for one that was read from JSON).
    pub fn head_hash(&self) -> Result<Sha256Hash, LedgerError> {
        Ok(Sha256Hash::of(&message(HEAD_DOMAIN, &self.head)?))
    }

    /// Checks the log's signature, that the log is named after the key, and every cosignature.
    ///
    /// Whether the key is the right one, and which witnesses one trusts, the caller knows.
    ///
    /// # Errors
    /// [`LedgerError::Verification`] naming the first that fails.
    pub fn verify(&self) -> Result<(), LedgerError> {
        if self.head.log_id != log_id(&self.public_key) {
            return Err(LedgerError::verification("tree head", "log_id isn't that of its key"));
        }
        if self.head.tree_size > super::TREE_SIZE_MAX {
            return Err(LedgerError::verification("tree head", "tree_size is beyond 2^53"));
        }
        verify("tree head", HEAD_DOMAIN, &self.head, &self.public_key, &self.signature)?;
        let head_hash = self.head_hash()?;
        self.cosignatures.iter().try_for_each(|cosignature| cosignature.verify(&head_hash))
    }

    /// Adds a witness's signature. The head's own signature is checked first; that the head
    /// continues the last one it saw, the witness checks with a consistency proof.
    ///
    /// # Errors
    /// The head doesn't verify, or the witness is the log itself.
    pub fn cosign(&mut self, witness: &LogKey, time: Timestamp) -> Result<(), LedgerError> {
        self.verify()?;
        if witness.public_key() == self.public_key {
            let reason = "the log's own key can't be a witness; use another key";
            return Err(LedgerError::verification("cosignature", reason));
        }
        let cosigned = Cosigned { head_hash: &self.head_hash()?, time: &time };
        let signature = witness.sign(COSIGNATURE_DOMAIN, &cosigned)?;
        self.cosignatures.push(Cosignature { public_key: witness.public_key(), time, signature });
        Ok(())
    }

    /// The earliest time at which a trusted witness saw this head; without trusted witnesses
    /// nobody but the owner says when.
    pub fn witnessed_at(&self, trusted: &[String]) -> Option<Timestamp> {
        let seen = self.cosignatures.iter().filter(|c| trusted.contains(&c.public_key));
        seen.map(|c| c.time).min()
    }
}

impl Cosignature {
    /// Checks this signature over the head with this hash.
    ///
    /// # Errors
    /// [`LedgerError::Verification`].
    pub fn verify(&self, head_hash: &Sha256Hash) -> Result<(), LedgerError> {
        let cosigned = Cosigned { head_hash, time: &self.time };
        verify("cosignature", COSIGNATURE_DOMAIN, &cosigned, &self.public_key, &self.signature)
    }
}

/// What a client gets: the log's signed promise that this leaf stands at this place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The log.
    pub log_id: String,
    /// Dense sequence number of the exposure.
    pub sequence: u64,
    /// Index of the leaf.
    pub leaf_index: u64,
    /// `SHA-256(0x00 ‖ leaf data)`.
    pub leaf_hash: Sha256Hash,
    /// The log's signature, hexadecimal.
    pub signature: String,
}

#[derive(Serialize)]
struct Promise<'a> {
    log_id: &'a str,
    sequence: u64,
    leaf_index: u64,
    leaf_hash: &'a Sha256Hash,
}

impl Receipt {
    pub(crate) fn sign(
        key: &LogKey,
        log_id: &str,
        sequence: u64,
        leaf_index: u64,
        leaf_hash: Sha256Hash,
    ) -> Result<Self, LedgerError> {
        let promise = Promise { log_id, sequence, leaf_index, leaf_hash: &leaf_hash };
        let signature = key.sign(RECEIPT_DOMAIN, &promise)?;
        Ok(Self { log_id: log_id.to_owned(), sequence, leaf_index, leaf_hash, signature })
    }

    /// Checks that the log with this public key gave this receipt.
    ///
    /// # Errors
    /// [`LedgerError::Verification`].
    pub fn verify(&self, public_key: &str) -> Result<(), LedgerError> {
        if self.log_id != log_id(public_key) {
            return Err(LedgerError::verification("receipt", "log_id isn't that of the key"));
        }
        let promise = Promise {
            log_id: &self.log_id,
            sequence: self.sequence,
            leaf_index: self.leaf_index,
            leaf_hash: &self.leaf_hash,
        };
        verify("receipt", RECEIPT_DOMAIN, &promise, public_key, &self.signature)
    }

    /// One line of JSON, for a response header.
    pub fn to_header(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
