//! SHA-256 values as the ledger writes them, and the salted, domain-separated hashes of its leaves.
//!
//! A tagged hash is `SHA-256(domain ‖ 0x00 ‖ len(part_1) ‖ part_1 ‖ …)` with lengths as eight
//! big-endian bytes, so that no two lists of parts share one encoding. Merkle hashing is not
//! here but in [`super::tree`].

use crate::Message;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Why a hexadecimal text isn't what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// Another number of digits.
    #[error("expected {expected} hexadecimal digits, found {found}")]
    Length {
        /// Digits expected.
        expected: usize,
        /// Digits found.
        found: usize,
    },
    /// Something else than `0-9a-f`.
    #[error("expected lowercase hexadecimal digits, found another character")]
    Digit,
}

/// Lowercase hexadecimal digits of `bytes`.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for &byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Bytes of a lowercase hexadecimal text. Uppercase is refused: one value, one spelling.
pub fn from_hex(text: &str) -> Result<Vec<u8>, HexError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(HexError::Digit),
    };
    if !text.len().is_multiple_of(2) {
        return Err(HexError::Length { expected: text.len() + 1, found: text.len() });
    }
    text.as_bytes()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&[high, low]| Ok(digit(high)? << 4 | digit(low)?))
        .collect()
}

/// Exactly `N` bytes of a lowercase hexadecimal text.
pub fn from_hex_exact<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let wrong = HexError::Length { expected: 2 * N, found: text.len() };
    if text.len() != 2 * N {
        return Err(wrong);
    }
    from_hex(text)?.try_into().map_err(|_| wrong)
}

/// A SHA-256 value; written as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha256Hash([u8; 32]);

impl Sha256Hash {
    /// Wraps a value computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// SHA-256 of `data`, without tag.
    pub fn of(data: &[u8]) -> Self {
        Self(Sha256::digest(data).into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256Hash {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        from_hex_exact(text).map(Self)
    }
}

impl Serialize for Sha256Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sha256Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Sha256Hash {
    fn schema_name() -> Cow<'static, str> {
        "Sha256Hash".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

/// 32 bytes that keep a slot's text from being guessed; written in hexadecimal.
pub const SALT_BYTES: usize = 32;

/// One slot's salt.
pub type Salt = [u8; SALT_BYTES];

/// `SHA-256(domain ‖ 0x00 ‖ len ‖ part ‖ …)`.
pub fn tagged(domain: &str, parts: &[&[u8]]) -> Sha256Hash {
    let mut hasher = Sha256::new();
    hasher.update(domain.as_bytes());
    hasher.update([0]);
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    Sha256Hash(hasher.finalize().into())
}

/// What the first entry says of one slot: its salt is fixed, its text is not known yet.
pub fn salt_commitment(salt: &Salt) -> Sha256Hash {
    tagged("stillwatch/salt/v1", &[salt])
}

/// What the second entry says of one slot: its text.
pub fn text_commitment(salt: &Salt, text: &str) -> Sha256Hash {
    tagged("stillwatch/text/v1", &[salt, text.as_bytes()])
}

/// Commitment to the slot that the owner's own coin chose. Whoever holds all salts can open it.
pub fn coin_commitment(id: &str, slot: usize, salts: &[Salt]) -> Sha256Hash {
    let slot = (slot as u64).to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![id.as_bytes(), &slot];
    parts.extend(salts.iter().map(Salt::as_slice));
    tagged("stillwatch/coin/v1", &parts)
}

/// The request side of an exposure: everything known before the coin, bound by the first entry.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RequestSide<'a> {
    /// Whom the answer goes to.
    pub account: Option<&'a str>,
    /// The conversation up to the answer.
    pub messages: &'a [Message],
    /// Model that answers.
    pub model: Option<&'a str>,
    /// Sampling parameters.
    pub params: Option<&'a serde_json::Value>,
    /// When it was asked, RFC 3339.
    pub time: Option<&'a str>,
}

/// Salted hash of the request side: RFC 8785 JSON with `null` for what is absent, under all salts.
///
/// # Errors
/// A number in `params` that RFC 8785 can't write (not finite).
pub fn request_hash(request: &RequestSide<'_>, salts: &[Salt]) -> Result<Sha256Hash, String> {
    let json = serde_json_canonicalizer::to_vec(request).map_err(|e| e.to_string())?;
    let mut parts: Vec<&[u8]> = vec![&json];
    parts.extend(salts.iter().map(Salt::as_slice));
    Ok(tagged("stillwatch/request/v1", &parts))
}
