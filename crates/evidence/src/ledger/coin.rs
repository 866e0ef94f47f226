//! What a leaf says about its coin: a sealed slot, or the public round that will choose.

use super::Sha256Hash;
use crate::Coin;
use crate::beacon::Chain;
use std::fmt;
use std::str::FromStr;

/// Who throws the coin of an exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoinSource {
    /// The ledger's owner, now, from the operating system.
    Server,
    /// A beacon's round that isn't known yet.
    Beacon {
        /// The beacon.
        chain: Chain,
        /// Its round.
        round: u64,
    },
}

/// The field `coin_commitment` of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoinCommitment {
    /// Salted hash of the slot ([`super::coin_commitment`]).
    Server(Sha256Hash),
    /// The round that chooses.
    Beacon {
        /// The beacon.
        chain: Chain,
        /// Its round.
        round: u64,
    },
}

impl CoinCommitment {
    /// The best grade that this commitment allows.
    pub const fn grade(&self) -> Coin {
        match self {
            Self::Server(_) => Coin::Server,
            Self::Beacon { .. } => Coin::Public,
        }
    }
}

impl fmt::Display for CoinCommitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(hash) => write!(f, "{hash}"),
            Self::Beacon { chain, round } => write!(f, "drand:{}:{round}", chain.info().hash),
        }
    }
}

impl FromStr for CoinCommitment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("drand:") else {
            return text.parse().map(Self::Server).map_err(|e| {
                format!("coin_commitment: {e}; expected those or drand:CHAIN_HASH:ROUND")
            });
        };
        let parsed = rest.split_once(':').and_then(|(hash, round)| {
            Some(Self::Beacon { chain: Chain::from_hash(hash)?, round: round.parse().ok()? })
        });
        match parsed {
            // One spelling only: no plus sign, no leading zero.
            Some(beacon) if beacon.to_string() == text => Ok(beacon),
            _ => Err(format!("coin_commitment: {text:?} names no known beacon and round")),
        }
    }
}
