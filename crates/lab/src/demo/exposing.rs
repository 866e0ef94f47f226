//! Coins, slots and commitments: what is published and what is withheld, through the ledger.

use super::DemoCoins;
use crate::LabError;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use stillwatch_evidence::ledger::{
    CoinSource, Entropy, ExposureRequest, Ledger, LedgerError, Opening, OsEntropy, SignedHead,
};
use stillwatch_evidence::{Exposure, Message, atomic};

/// Stream of the seed's generator that coins and salts are drawn from; nothing else uses it.
const COIN_STREAM: u64 = 1;

struct SeededEntropy(ChaCha8Rng);

impl Entropy for SeededEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LedgerError> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

/// The source of coins, salts and the ledger's key.
pub(super) fn entropy(coins: DemoCoins, seed: u64) -> Box<dyn Entropy> {
    match coins {
        DemoCoins::OperatingSystem => Box::new(OsEntropy),
        DemoCoins::Seed => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(COIN_STREAM);
            Box::new(SeededEntropy(rng))
        }
    }
}

/// Something that will be exposed: asked and fixed before its coin is thrown.
pub(super) struct Ask {
    pub(super) id: String,
    pub(super) account: Option<String>,
    pub(super) messages: Vec<Message>,
}

fn request<'a>(ask: &'a Ask, n_slots: usize, model: &'a str) -> ExposureRequest<'a> {
    ExposureRequest {
        id: &ask.id,
        account: ask.account.as_deref(),
        model: Some(model),
        messages: &ask.messages,
        params: None,
        time: None,
        n_slots,
        coin: CoinSource::Server,
    }
}

/// First entries: the requests, and the sealed coin of each.
pub(super) fn commit(
    ledger: &mut Ledger,
    asks: &[Ask],
    n_slots: usize,
    model: &str,
) -> Result<Vec<Opening>, LabError> {
    let requests: Vec<_> = asks.iter().map(|ask| request(ask, n_slots, model)).collect();
    let committed = ledger.commit_exposures(&requests)?;
    Ok(committed.into_iter().map(|(opening, _receipt)| opening).collect())
}

/// Second entries: all texts in slot order; then the exposures under a signed head.
pub(super) fn expose(
    ledger: &mut Ledger,
    (asks, openings): (&[Ask], &[Opening]),
    texts: &[Vec<String>],
    model: &str,
    now: jiff::Timestamp,
) -> Result<(Vec<Exposure>, SignedHead), LabError> {
    let slots: Vec<Vec<&str>> =
        texts.iter().map(|set| set.iter().map(String::as_str).collect()).collect();
    let outcomes: Vec<_> = openings.iter().zip(slots.iter().map(Vec::as_slice)).collect();
    ledger.record_outcomes(&outcomes)?;
    let head = ledger.close_epoch(now)?;
    let mut exposures = Vec::with_capacity(asks.len());
    for ((ask, opening), slots) in asks.iter().zip(openings).zip(&slots) {
        let commitment = ledger.commitment(opening, &head)?;
        let request = request(ask, slots.len(), model);
        let exposure = opening
            .slot
            .and_then(|slot| opening.exposure(&request, slots, slot, commitment))
            .ok_or_else(|| LabError::Data(format!("exposure {} has no released slot", ask.id)))?;
        exposures.push(exposure);
    }
    Ok((exposures, head))
}

/// Writes exposures as JSON lines.
pub(super) fn write_exposures(path: &Path, exposures: &[Exposure]) -> Result<(), LabError> {
    let mut text = String::new();
    for exposure in exposures {
        let line = serde_json::to_string(exposure)
            .map_err(|e| LabError::Format { path: path.to_owned(), reason: e.to_string() })?;
        text.push_str(&line);
        text.push('\n');
    }
    atomic::write(path, text.as_bytes())?;
    Ok(())
}

/// First and last sequence number of exposures.
pub(super) fn range(exposures: &[Exposure]) -> (u64, u64) {
    let sequences = || exposures.iter().filter_map(|e| e.commitment.as_ref()).map(|c| c.sequence);
    (sequences().min().unwrap_or(0), sequences().max().unwrap_or(0))
}
