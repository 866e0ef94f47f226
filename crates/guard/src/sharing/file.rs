//! The file that providers exchange: campaigns as sets of keyed hashes, padded to one size.
//!
//! Each campaign is a fixed number of 8-byte hashes, so that a file doesn't say how much text a
//! campaign shares: what is missing is filled up with random values that match nothing. A hash is
//! `BLAKE3_keyed(file key, salt ‖ item)`, cut to 64 bits, where `item` is the detector's own keyed
//! hash of a shingle, an opening, a closing or a shape; the salt is new for each file, so that two
//! files can't be compared by who hasn't the key. Counts are rounded to powers of two, times to
//! days. There is no prompt, no account and no address in it.
//!
//! Who has the key can test guesses: is this text among your templates? That is what sharing is.

use super::SharedKey;
use crate::GuardError;
use serde::{Deserialize, Serialize};
use stillwatch_evidence::ledger::{Entropy, from_hex_exact, to_hex};
use stillwatch_traffic::Campaign;

/// Version of the file.
pub const FILE_VERSION: u32 = 1;
/// Hashes of each campaign.
pub const HASHES: usize = 256;
/// Campaigns of a file at most.
pub const CAMPAIGNS_MAX: usize = 1000;
/// The longest file that is read, bytes.
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// Bits of a hash.
pub const HASH_BITS: u32 = 64;
const DAY_MS: i64 = 86_400_000;

/// What providers exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndicatorFile {
    /// [`FILE_VERSION`].
    pub version: u32,
    /// Who made it, in the provider's own words.
    pub source: String,
    /// The day on which it was made, RFC 3339 date.
    pub made: String,
    /// 16 random bytes, hexadecimal.
    pub salt: String,
    /// A keyed check value: whether the reader has the same key.
    pub key_check: String,
    /// The campaigns.
    pub campaigns: Vec<SharedCampaign>,
}

/// One campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedCampaign {
    /// A random name, hexadecimal: the provider's own name of it stays at home.
    pub id: String,
    /// The day on which it was first seen, if known, RFC 3339 date.
    pub first_seen: Option<String>,
    /// The day on which it was last seen, RFC 3339 date.
    pub last_seen: String,
    /// Families of evidence, sorted.
    pub families: Vec<String>,
    /// Accounts, rounded down to a power of two.
    pub accounts: u64,
    /// [`HASHES`] hashes of 16 hexadecimal digits each, in one text, sorted.
    pub hashes: String,
}

/// A campaign to be shared, with the time for which it is known.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    /// The campaign.
    pub campaign: &'a Campaign,
    /// When it was first seen, milliseconds since the epoch, if known.
    pub first_seen_ms: Option<i64>,
    /// When it was last seen, milliseconds since the epoch.
    pub last_seen_ms: i64,
}

/// Makes a file of flagged campaigns; campaigns that share no text have nothing to be matched by
/// and are left out.
///
/// # Errors
/// The system has no randomness.
pub fn export_file(
    key: &SharedKey,
    source: &str,
    shares: &[Share<'_>],
    now_ms: i64,
    entropy: &mut dyn Entropy,
) -> Result<IndicatorFile, GuardError> {
    let mut salt = [0; 16];
    entropy.fill(&mut salt)?;
    let hasher = FileHasher::new(key, &salt);
    let mut campaigns = Vec::new();
    let shared = shares.iter().filter(|share| {
        share.campaign.flagged && share.campaign.indicators.iter().any(|item| *item != 0)
    });
    for share in shared.take(CAMPAIGNS_MAX) {
        campaigns.push(shared_campaign(&hasher, share, entropy)?);
    }
    // The order must not say which campaign the provider holds for the worst.
    campaigns.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(IndicatorFile {
        version: FILE_VERSION,
        source: source.chars().filter(|c| !c.is_control()).take(100).collect(),
        made: day(now_ms),
        salt: to_hex(&salt),
        key_check: to_hex(&hasher.check()),
        campaigns,
    })
}

fn shared_campaign(
    hasher: &FileHasher,
    share: &Share<'_>,
    entropy: &mut dyn Entropy,
) -> Result<SharedCampaign, GuardError> {
    let campaign = share.campaign;
    let items = campaign.indicators.iter().filter(|item| **item != 0).take(HASHES);
    let mut hashes: Vec<u64> = items.map(|item| hasher.hash(*item)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    while hashes.len() < HASHES {
        let mut filling = [0; 8];
        entropy.fill(&mut filling)?;
        hashes.push(u64::from_be_bytes(filling));
    }
    hashes.sort_unstable();
    let mut id = [0; 8];
    entropy.fill(&mut id)?;
    let mut families = campaign.families.clone();
    families.sort();
    let n = campaign.accounts.len() as u64;
    Ok(SharedCampaign {
        id: to_hex(&id),
        first_seen: share.first_seen_ms.map(day),
        last_seen: day(share.last_seen_ms),
        families,
        accounts: if n == 0 { 0 } else { 1 << n.ilog2() },
        hashes: to_hex(&hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect::<Vec<u8>>()),
    })
}

/// Reads a file that another provider made.
///
/// # Errors
/// It isn't one, it is longer than it may be, or it was made under another key; the message names
/// the campaign and the field.
pub fn import_file(key: &SharedKey, text: &[u8]) -> Result<IndicatorFile, GuardError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(wrong(format!(
            "it has {} bytes, expected at most {FILE_BYTES_MAX}",
            text.len()
        )));
    }
    let file: IndicatorFile = serde_json::from_slice(text).map_err(|e| wrong(e.to_string()))?;
    if file.version != FILE_VERSION {
        return Err(wrong(format!("version: {}, expected {FILE_VERSION}", file.version)));
    }
    if file.source.len() > 400 || file.source.chars().any(char::is_control) {
        return Err(wrong("source: expected at most 400 bytes without control characters"));
    }
    check_day("made", &file.made)?;
    let hasher = file.hasher(key)?;
    let check: [u8; 16] =
        from_hex_exact(&file.key_check).map_err(|e| wrong(format!("key_check: {e}")))?;
    if check != hasher.check() {
        return Err(wrong(
            "key_check: it was made under another key; both sides need the same one".to_owned(),
        ));
    }
    if file.campaigns.len() > CAMPAIGNS_MAX {
        return Err(wrong(format!(
            "campaigns: {} of them, expected at most {CAMPAIGNS_MAX}",
            file.campaigns.len()
        )));
    }
    for (i, campaign) in file.campaigns.iter().enumerate() {
        campaign.check().map_err(|problem| wrong(format!("campaigns[{i}].{problem}")))?;
    }
    Ok(file)
}

impl IndicatorFile {
    /// As JSON, one campaign a line for reviews.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    pub(super) fn hasher(&self, key: &SharedKey) -> Result<FileHasher, GuardError> {
        let salt = from_hex_exact(&self.salt).map_err(|e| wrong(format!("salt: {e}")))?;
        Ok(FileHasher::new(key, &salt))
    }
}

impl SharedCampaign {
    fn check(&self) -> Result<(), String> {
        from_hex_exact::<8>(&self.id).map_err(|e| format!("id: {e}"))?;
        if let Some(first) = &self.first_seen {
            check_day("first_seen", first).map_err(|e| e.to_string())?;
        }
        check_day("last_seen", &self.last_seen).map_err(|e| e.to_string())?;
        let is_name = |name: &String| {
            (1..=32).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        if self.families.len() > 16 || !self.families.iter().all(is_name) {
            return Err("families: expected at most 16 names of a-z and _".to_owned());
        }
        let sorted = self.parsed_hashes().ok_or_else(|| {
            format!("hashes: expected {HASHES} times 16 lowercase hexadecimal digits")
        })?;
        if !sorted.is_sorted() {
            return Err("hashes: expected in ascending order".to_owned());
        }
        Ok(())
    }

    /// The hashes; `None` where the text isn't what it should be.
    pub(super) fn parsed_hashes(&self) -> Option<Vec<u64>> {
        let (digits, rest) = self.hashes.as_bytes().as_chunks::<16>();
        if digits.len() != HASHES || !rest.is_empty() {
            return None;
        }
        let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        digits
            .iter()
            .map(|digits| {
                let text = std::str::from_utf8(digits).ok()?;
                digits.iter().all(is_digit).then(|| u64::from_str_radix(text, 16).ok()).flatten()
            })
            .collect()
    }
}

/// Hashes items for one file.
#[derive(Debug)]
pub(super) struct FileHasher {
    key: [u8; 32],
    salt: [u8; 16],
}

impl FileHasher {
    fn new(key: &SharedKey, salt: &[u8; 16]) -> Self {
        Self { key: key.file_key(), salt: *salt }
    }

    /// The hash of one of the detector's items.
    pub(super) fn hash(&self, item: u32) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.salt).update(b"item").update(&item.to_be_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    fn check(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.salt).update(b"check");
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }
}

fn day(ms: i64) -> String {
    let start = ms.div_euclid(DAY_MS) * DAY_MS;
    jiff::Timestamp::from_millisecond(start)
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

fn check_day(field: &str, text: &str) -> Result<(), GuardError> {
    match text.parse::<jiff::civil::Date>() {
        Ok(date) if date.to_string() == text => Ok(()),
        _ => Err(wrong(format!("{field}: {text:?} is no date, expected YYYY-MM-DD"))),
    }
}

fn wrong(problem: impl std::fmt::Display) -> GuardError {
    GuardError::Config {
        file: None,
        line: None,
        problem: format!("the file of indicators: {problem}"),
        hint: Some("ask who sent it for a fresh one, made under the agreed key".to_owned()),
    }
}
