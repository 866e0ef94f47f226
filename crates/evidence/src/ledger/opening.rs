//! What opens an exposure's entries, kept outside the log: salts and slot.

use super::{
    CoinCommitment, CoinSource, Entropy, ExposureLeaf, LEAF_VERSION, LedgerError, RequestSide,
    SLOTS_MAX, Salt, Sha256Hash, coin_commitment, from_hex_exact, request_hash, salt_commitment,
    text_commitment, throw, to_hex,
};
use crate::{Coin, Commitment, Exposure, Message};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An exposure that is about to begin.
#[derive(Debug, Clone, Copy)]
pub struct ExposureRequest<'a> {
    /// Unique name.
    pub id: &'a str,
    /// The conversation up to the answer.
    pub messages: &'a [Message],
    /// Whom the answer goes to.
    pub account: Option<&'a str>,
    /// Model that answers.
    pub model: Option<&'a str>,
    /// Sampling parameters.
    pub params: Option<&'a serde_json::Value>,
    /// When it was asked, RFC 3339.
    pub time: Option<&'a str>,
    /// Number of texts, the released one included: K + 1.
    pub n_slots: usize,
    /// Who throws the coin.
    pub coin: CoinSource,
}

impl<'a> ExposureRequest<'a> {
    /// The part that the first entry binds.
    pub fn side(&self) -> RequestSide<'a> {
        let Self { account, messages, model, params, time, .. } = *self;
        RequestSide { account, messages, model, params, time }
    }
}

/// The secrets of an exposure. Keep it until the exposure is in a file of exposures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Name of the exposure.
    pub id: String,
    /// Dense sequence number.
    pub sequence: u64,
    /// One salt per slot, hexadecimal.
    pub salts: Vec<String>,
    /// The slot that the owner's coin chose; absent where a beacon will choose.
    pub slot: Option<usize>,
}

/// Parses salts as exposures carry them.
///
/// # Errors
/// Which salt isn't one.
pub fn parse_salts(salts: &[String]) -> Result<Vec<Salt>, String> {
    let parse = |(slot, salt): (usize, &String)| {
        from_hex_exact(salt).map_err(|e| format!("the salt of slot {slot}: {e}"))
    };
    salts.iter().enumerate().map(parse).collect()
}

impl Opening {
    /// Draws salts and coin, and makes the first entry.
    pub(crate) fn draw(
        request: &ExposureRequest<'_>,
        sequence: u64,
        account_tag: Option<Sha256Hash>,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, ExposureLeaf), LedgerError> {
        let refused = |reason: String| LedgerError::refused(request.id, reason);
        if !(2..=SLOTS_MAX).contains(&request.n_slots) {
            return Err(refused(format!("{} slots, expected 2 to {SLOTS_MAX}", request.n_slots)));
        }
        let mut salts = vec![Salt::default(); request.n_slots];
        for salt in &mut salts {
            entropy.fill(salt)?;
        }
        let (slot, coin) = match request.coin {
            CoinSource::Server => {
                let slot = throw(entropy, request.n_slots)?;
                let hash = coin_commitment(request.id, slot, &salts);
                (Some(slot), CoinCommitment::Server(hash))
            }
            CoinSource::Beacon { chain, round } => {
                if chain.round_time(round).is_none() {
                    return Err(refused(format!("the beacon has no round {round}")));
                }
                (None, CoinCommitment::Beacon { chain, round })
            }
        };
        let leaf = ExposureLeaf {
            version: LEAF_VERSION,
            id: request.id.to_owned(),
            request_hash: request_hash(&request.side(), &salts).map_err(refused)?,
            slot_hashes: salts.iter().map(salt_commitment).collect(),
            coin_commitment: coin.to_string(),
            account_tag,
        };
        let salts = salts.iter().map(|salt| to_hex(salt)).collect();
        Ok((Self { id: request.id.to_owned(), sequence, salts, slot }, leaf))
    }

    /// Whether this opens that first entry.
    pub(crate) fn check_first(&self, first: &ExposureLeaf) -> Result<(), String> {
        let salts = parse_salts(&self.salts)?;
        let hashes: Vec<_> = salts.iter().map(salt_commitment).collect();
        if self.id != first.id || hashes != first.slot_hashes {
            return Err("the opening isn't that of its first entry".to_owned());
        }
        check_slot(first, self.slot, &salts)
    }

    /// The second entry.
    pub(crate) fn outcome(
        &self,
        first: &ExposureLeaf,
        texts: &[&str],
    ) -> Result<ExposureLeaf, String> {
        let salts = parse_salts(&self.salts)?;
        if texts.len() != salts.len() {
            return Err(format!("{} texts for {} slots", texts.len(), salts.len()));
        }
        let slot_hashes = salts.iter().zip(texts).map(|(salt, text)| text_commitment(salt, text));
        Ok(ExposureLeaf { slot_hashes: slot_hashes.collect(), ..first.clone() })
    }

    /// The exposure, once its coin is known: `slot` is that of the opening, or what the beacon's
    /// round gave ([`crate::beacon::CheckedRound::coin`]). `None` if `slot` has no text.
    pub fn exposure(
        &self,
        request: &ExposureRequest<'_>,
        texts: &[&str],
        slot: usize,
        commitment: Commitment,
    ) -> Option<Exposure> {
        let released = (*texts.get(slot)?).to_owned();
        let withheld = texts.iter().enumerate().filter(|&(at, _)| at != slot);
        Some(Exposure {
            id: self.id.clone(),
            messages: request.messages.to_vec(),
            released,
            withheld: withheld.map(|(_, text)| (*text).to_owned()).collect(),
            coin: match request.coin {
                CoinSource::Server => Coin::Server,
                CoinSource::Beacon { .. } => Coin::Public,
            },
            account: request.account.map(str::to_owned),
            time: request.time.map(str::to_owned),
            model: request.model.map(str::to_owned),
            params: request.params.cloned(),
            slot: Some(slot),
            commitment: Some(commitment),
        })
    }
}

/// Whether `slot` is what the owner's coin was committed to; a beacon's leaf names no slot.
pub(crate) fn check_slot(
    leaf: &ExposureLeaf,
    slot: Option<usize>,
    salts: &[Salt],
) -> Result<(), String> {
    match leaf.coin_commitment.parse::<CoinCommitment>()? {
        CoinCommitment::Beacon { .. } => Ok(()),
        CoinCommitment::Server(hash) => match slot {
            Some(slot) if coin_commitment(&leaf.id, slot, salts) == hash => Ok(()),
            Some(slot) => Err(format!("slot {slot} isn't the one that the coin was committed to")),
            None => Err("the slot is missing".to_owned()),
        },
    }
}
