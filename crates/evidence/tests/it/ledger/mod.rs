//! The ledger: hashing, proofs, files, crashes, accounting.

mod batch;
mod beacon;
mod coins;
mod crash;
mod hashing;
mod range;
mod writing;

use jiff::Timestamp;
use std::path::Path;
use stillwatch_evidence::ledger::{
    CoinSource, Entropy, ExposureRequest, Filter, Ledger, LedgerClaim, LedgerError, Opening,
    Sha256Hash, SignedHead, Unfinished,
};
use stillwatch_evidence::{Exposure, Message};

/// Random bytes that repeat: SHA-256 of seed and counter.
pub(crate) struct Repeating {
    seed: u64,
    counter: u64,
}

impl Repeating {
    pub(crate) fn boxed(seed: u64) -> Box<dyn Entropy> {
        Box::new(Self { seed, counter: 0 })
    }
}

impl Entropy for Repeating {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LedgerError> {
        for chunk in bytes.chunks_mut(32) {
            let word = format!("{}/{}", self.seed, self.counter);
            self.counter += 1;
            let block = Sha256Hash::of(word.as_bytes());
            chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("a time in range")
}

pub(crate) fn create(dir: &Path, seed: u64) -> Ledger {
    Ledger::create_with(dir, at(0), Repeating::boxed(seed)).expect("a new ledger")
}

/// What one exposure was made of.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) account: Option<String>,
    pub(crate) texts: Vec<String>,
    pub(crate) coin: CoinSource,
    pub(crate) opening: Option<Opening>,
}

impl Made {
    pub(crate) fn new(number: usize, n_slots: usize) -> Self {
        Self {
            id: format!("exposure-{number}"),
            messages: vec![Message {
                role: "user".to_owned(),
                content: format!("Question {number}?"),
            }],
            account: Some(format!("account-{}", number % 3)),
            texts: (0..n_slots).map(|slot| format!("answer {slot} to {number}")).collect(),
            coin: CoinSource::Server,
            opening: None,
        }
    }

    pub(crate) fn request(&self) -> ExposureRequest<'_> {
        ExposureRequest {
            id: &self.id,
            messages: &self.messages,
            account: self.account.as_deref(),
            model: Some("teacher"),
            params: None,
            time: Some("2026-01-01T00:00:00Z"),
            n_slots: self.texts.len(),
            coin: self.coin,
        }
    }

    pub(crate) fn begin(&mut self, ledger: &mut Ledger) {
        let (opening, receipt) = ledger.commit_exposure(&self.request()).expect("a commit");
        receipt.verify(&ledger.identity().public_key).expect("a receipt");
        self.opening = Some(opening);
    }

    pub(crate) fn opening(&self) -> &Opening {
        self.opening.as_ref().expect("begun")
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        self.texts.iter().map(String::as_str).collect()
    }

    pub(crate) fn end(&self, ledger: &mut Ledger) {
        ledger.record_outcome(self.opening(), &self.texts()).expect("an outcome");
    }

    pub(crate) fn exposure(&self, ledger: &Ledger, head: &SignedHead) -> Exposure {
        let slot = self.opening().slot.expect("the owner's coin");
        self.exposure_with_slot(ledger, head, slot)
    }

    pub(crate) fn exposure_with_slot(
        &self,
        ledger: &Ledger,
        head: &SignedHead,
        slot: usize,
    ) -> Exposure {
        let commitment = ledger.commitment(self.opening(), head).expect("a commitment");
        let texts = self.texts();
        self.opening().exposure(&self.request(), &texts, slot, commitment).expect("a slot")
    }
}

/// A ledger with `n` finished exposures under one head.
pub(crate) fn filled(dir: &Path, n: usize, n_slots: usize) -> (Ledger, SignedHead, Vec<Exposure>) {
    let mut ledger = create(dir, 7);
    let mut all: Vec<Made> = (0..n).map(|number| Made::new(number, n_slots)).collect();
    for made in &mut all {
        made.begin(&mut ledger);
        made.end(&mut ledger);
    }
    let head = ledger.close_epoch(at(1)).expect("a head");
    let exposures = all.iter().map(|made| made.exposure(&ledger, &head)).collect();
    (ledger, head, exposures)
}

pub(crate) fn claim(last: u64, filter: &Filter) -> LedgerClaim<'_> {
    LedgerClaim {
        first_sequence: 0,
        last_sequence: last,
        filter,
        plan_leaf: None,
        rounds: &[],
        witnesses: &[],
        unfinished: Unfinished::Adverse,
    }
}
