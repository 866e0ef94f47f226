//! Public randomness: rounds of the League of Entropy's drand beacons, checked offline.
//!
//! A round is a BLS signature over its number; nobody can know it before its time, and anybody
//! can check it afterwards. Nothing here uses the network: rounds are recorded as the beacon's
//! HTTP interface answers them.

use crate::ledger::{LedgerError, Sha256Hash, from_hex, from_hex_exact, unbiased};
use drand_verify::{G1Pubkey, G2PubkeyRfc, Pubkey, derive_randomness};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A beacon of the League of Entropy.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Chain {
    /// Every 3 s, unchained, signatures on G1 after RFC 9380.
    Quicknet,
    /// The first mainnet, every 30 s, each round signs the one before.
    Default,
}

/// What defines a chain. Source: `https://api.drand.sh/HASH/info`; the hash commits to the rest
/// (a test recomputes it).
#[derive(Debug, Clone, Copy)]
pub struct ChainInfo {
    /// Chain hash, hexadecimal.
    pub hash: &'static str,
    /// BLS12-381 public key, compressed, hexadecimal.
    pub public_key: &'static str,
    /// Hash of the group that made the key, hexadecimal.
    pub group_hash: &'static str,
    /// The beacon's name.
    pub beacon_id: &'static str,
    /// Time of round 1, Unix seconds.
    pub genesis_time: i64,
    /// Seconds between rounds.
    pub period: u32,
}

const QUICKNET: ChainInfo = ChainInfo {
    hash: "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
    public_key: "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3a\
                 c6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5\
                 a6e9c76a4bc09e76eae8991ef5ece45a",
    group_hash: "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
    beacon_id: "quicknet",
    genesis_time: 1_692_803_367,
    period: 3,
};

const DEFAULT: ChainInfo = ChainInfo {
    hash: "8990e7a9aaed2ffed73dbd7092123d6f289930540d7651336225dc172e51b2ce",
    public_key: "868f005eb8e6e4ca0a47c8a77ceaa5309a47978a7c71bc5cce96366b5d7a569937c529eeda66c729\
                 3784a9402801af31",
    group_hash: "176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a",
    beacon_id: "default",
    genesis_time: 1_595_431_050,
    period: 30,
};

impl Chain {
    /// All chains that are known.
    pub const ALL: [Self; 2] = [Self::Quicknet, Self::Default];

    /// Its constants.
    pub const fn info(self) -> &'static ChainInfo {
        match self {
            Self::Quicknet => &QUICKNET,
            Self::Default => &DEFAULT,
        }
    }

    /// The chain with this hash.
    pub fn from_hash(hash: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chain| chain.info().hash == hash)
    }

    /// When `round` is due; `None` for round 0 and beyond the calendar.
    pub fn round_time(self, round: u64) -> Option<Timestamp> {
        let info = self.info();
        let since = i64::try_from(round.checked_sub(1)?).ok()?.checked_mul(info.period.into())?;
        Timestamp::from_second(info.genesis_time.checked_add(since)?).ok()
    }

    /// The first round that is due strictly after `time`.
    pub fn round_after(self, time: Timestamp) -> u64 {
        let info = self.info();
        let since = time.as_second() - info.genesis_time;
        u64::try_from(since).map_or(1, |since| since / u64::from(info.period) + 2)
    }
}

/// A round as `GET /HASH/public/N` answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// Number of the round, from 1.
    pub round: u64,
    /// SHA-256 of the signature, hexadecimal.
    pub randomness: Sha256Hash,
    /// BLS signature, hexadecimal.
    pub signature: String,
    /// The round before's signature, hexadecimal; only chained beacons have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_signature: Option<String>,
}

/// A round whose signature was checked: only such throws coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedRound {
    chain: Chain,
    round: u64,
    randomness: Sha256Hash,
}

impl Round {
    /// Checks signature and randomness against the chain's public key.
    ///
    /// # Errors
    /// [`LedgerError::Verification`] with the reason.
    pub fn check(&self, chain: Chain) -> Result<CheckedRound, LedgerError> {
        let failed = |reason: &str| {
            LedgerError::verification("beacon round", format!("round {}: {reason}", self.round))
        };
        let hex = |text: &str| from_hex(text).map_err(|e| failed(&e.to_string()));
        if chain.round_time(self.round).is_none() {
            return Err(failed("rounds count from 1"));
        }
        let signature = hex(&self.signature)?;
        let previous = hex(self.previous_signature.as_deref().unwrap_or_default())?;
        let key = chain.info().public_key;
        let valid = match chain {
            Chain::Quicknet if !previous.is_empty() => {
                return Err(failed("quicknet's rounds have no previous signature"));
            }
            Chain::Quicknet => {
                let key = from_hex_exact(key).map_err(|e| failed(&e.to_string()))?;
                G2PubkeyRfc::from_fixed(key)
                    .map_err(|e| failed(&e.to_string()))?
                    .verify(self.round, b"", &signature)
            }
            Chain::Default => {
                let key = from_hex_exact(key).map_err(|e| failed(&e.to_string()))?;
                G1Pubkey::from_fixed(key)
                    .map_err(|e| failed(&e.to_string()))?
                    .verify(self.round, &previous, &signature)
            }
        };
        if !valid.map_err(|e| failed(&e.to_string()))? {
            return Err(failed("its signature isn't the beacon's"));
        }
        if derive_randomness(&signature) != *self.randomness.as_bytes() {
            return Err(failed("its randomness isn't the hash of its signature"));
        }
        Ok(CheckedRound { chain, round: self.round, randomness: self.randomness })
    }
}

impl CheckedRound {
    /// The chain.
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// The number of the round.
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// Its 32 random bytes.
    pub const fn randomness(&self) -> &Sha256Hash {
        &self.randomness
    }

    /// The slot that the round chooses for the leaf with this hash.
    ///
    /// `SHA-256(randomness ‖ leaf hash)` is read as four big-endian 64-bit words; the first
    /// below the largest multiple of `n_slots` gives the slot as its remainder (for two slots:
    /// the last bit of the first word), and if none is, the digest is hashed again. Every slot
    /// has the same probability exactly, given uniform digests.
    pub fn coin(&self, leaf_hash: &Sha256Hash, n_slots: usize) -> usize {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(self.randomness.as_bytes());
        bytes[32..].copy_from_slice(leaf_hash.as_bytes());
        let mut digest = Sha256Hash::of(&bytes);
        loop {
            let words = digest.as_bytes().as_chunks::<8>().0;
            let slot = words.iter().find_map(|w| unbiased(u64::from_be_bytes(*w), n_slots.max(1)));
            match slot {
                Some(slot) => return slot,
                None => digest = Sha256Hash::of(digest.as_bytes()),
            }
        }
    }
}
