//! Whole batches of texts that exist already: canaries, drafts, benchmarks, buffered answers.
//!
//! Every step is on the disk before the next begins, and all of it can be repeated: secrets are
//! kept before the first entries are written, so that a crash at any point costs nothing but time.

use super::{
    CoinSource, ExposureRequest, Ledger, LedgerError, Opening, SignedHead, files::append_lines,
};
use crate::beacon::{Chain, CheckedRound};
use crate::jsonl::Validate;
use crate::{Exposure, JsonLines, Limits, Message, ReadError, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Entries written with one sync.
const CHUNK: usize = 256;

/// Texts of which a coin will release one. In slot order, which the coin doesn't know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Unique name.
    pub id: String,
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// Two or more texts, all equally fit to be released.
    pub texts: Vec<String>,
    /// Whom the released one goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Model that wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Sampling parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<serde_json::Value>,
    /// When it was asked, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

impl Validate for Draft {
    fn validate(&self) -> Result<(), String> {
        match self.texts.len() {
            2..=super::SLOTS_MAX => Ok(()),
            n => Err(format!("texts: {n} of them, expected 2 to {}", super::SLOTS_MAX)),
        }
    }
}

/// The round that will throw a draft's coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FutureRound {
    /// The beacon.
    pub chain: Chain,
    /// Its round.
    pub round: u64,
}

/// A draft with what opens its entries: secret until it is in a file of exposures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeptDraft {
    /// The draft.
    pub draft: Draft,
    /// Salts and slot.
    pub opening: Opening,
    /// The round that chooses; absent where the owner's coin has chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon: Option<FutureRound>,
}

impl Validate for KeptDraft {
    fn validate(&self) -> Result<(), String> {
        self.draft.validate()?;
        if self.draft.id != self.opening.id || self.draft.texts.len() != self.opening.salts.len() {
            return Err("opening: it is of another draft".to_owned());
        }
        Ok(())
    }
}

fn request(draft: &Draft, beacon: Option<FutureRound>) -> ExposureRequest<'_> {
    ExposureRequest {
        id: &draft.id,
        messages: &draft.messages,
        account: draft.account.as_deref(),
        model: draft.model.as_deref(),
        params: draft.params.as_ref(),
        time: draft.time.as_deref(),
        n_slots: draft.texts.len(),
        coin: beacon.map_or(CoinSource::Server, |FutureRound { chain, round }| {
            CoinSource::Beacon { chain, round }
        }),
    }
}

impl KeptDraft {
    fn texts(&self) -> Vec<&str> {
        self.draft.texts.iter().map(String::as_str).collect()
    }

    /// The exposure under a head that covers it, once its coin is known.
    ///
    /// # Errors
    /// Not ended under this head, or its round is missing.
    pub fn exposure(
        &self,
        ledger: &Ledger,
        head: &SignedHead,
        rounds: &[CheckedRound],
    ) -> Result<Exposure, LedgerError> {
        let refused = |reason: String| LedgerError::refused(&self.draft.id, reason);
        let commitment = ledger.commitment(&self.opening, head)?;
        let slot = match self.beacon {
            None => self.opening.slot.ok_or_else(|| refused("its slot is missing".to_owned()))?,
            Some(FutureRound { chain, round }) => {
                let checked = rounds
                    .iter()
                    .find(|known| (known.chain(), known.round()) == (chain, round))
                    .ok_or_else(|| refused(format!("round {round} of its beacon is missing")))?;
                let leaf = ledger.leaf_hash(commitment.leaf_index);
                let leaf = leaf.ok_or_else(|| refused("its leaf is missing".to_owned()))?;
                checked.coin(&leaf, self.draft.texts.len())
            }
        };
        self.opening
            .exposure(&request(&self.draft, self.beacon), &self.texts(), slot, commitment)
            .ok_or_else(|| refused(format!("it has no slot {slot}")))
    }
}

/// Reads kept drafts; of several with one id the last counts, the others never reached the log.
///
/// # Errors
/// The file can't be read, or a line is no kept draft.
pub fn read_kept(path: &Path) -> Result<Vec<KeptDraft>, ReadError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
    let mut all: Vec<KeptDraft> = Vec::new();
    for kept in read_all::<KeptDraft>(path)? {
        if let Some(earlier) = by_id.get(&kept.draft.id).and_then(|&at| all.get_mut(at)) {
            *earlier = kept;
        } else {
            by_id.insert(kept.draft.id.clone(), all.len());
            all.push(kept);
        }
    }
    Ok(all)
}

/// Reads drafts; a bad line is an error, nothing is dropped.
///
/// # Errors
/// The file can't be read, or a line is no draft.
pub fn read_drafts(path: &Path) -> Result<Vec<Draft>, ReadError> {
    read_all(path)
}

fn read_all<T: serde::de::DeserializeOwned + Validate>(path: &Path) -> Result<Vec<T>, ReadError> {
    let mut all = Vec::new();
    for record in JsonLines::<T>::open(path, &Limits::default())? {
        match record? {
            Record::Good { value, .. } => all.push(value),
            Record::Bad(reject) => {
                return Err(ReadError::Line {
                    file: path.to_path_buf(),
                    line: reject.line,
                    problem: reject.reason,
                    hint: None,
                });
            }
        }
    }
    Ok(all)
}

/// How many drafts were new, and how many had to be finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Appended {
    /// Drafts whose first entry was written.
    pub n_committed: usize,
    /// Drafts whose second entry was written.
    pub n_finished: usize,
}

/// Writes both entries of every draft; salts and slots go to the file `kept` first, which only
/// its owner can read. Repeating it after a crash continues where it stopped.
///
/// # Errors
/// A draft that the ledger refuses, an id whose opening isn't in `kept`, a full disk.
pub fn append_drafts(
    ledger: &mut Ledger,
    drafts: &[Draft],
    beacon: Option<FutureRound>,
    kept: &Path,
) -> Result<Appended, LedgerError> {
    let (earlier, mut len) = super::files::read_lines::<KeptDraft>(kept)?;
    let mut openings: BTreeMap<String, Opening> =
        earlier.into_iter().map(|kept| (kept.draft.id, kept.opening)).collect();
    super::files::create_private(kept)?;
    let mut appended = Appended::default();
    let new: Vec<&Draft> =
        drafts.iter().filter(|draft| ledger.position(&draft.id).is_none()).collect();
    for chunk in new.chunks(CHUNK) {
        let requests: Vec<_> = chunk.iter().map(|draft| request(draft, beacon)).collect();
        let committed = ledger.commit_exposures_keeping(&requests, &mut |drawn| {
            let lines: Vec<KeptDraft> = chunk
                .iter()
                .zip(drawn)
                .map(|(draft, opening)| KeptDraft {
                    draft: (*draft).clone(),
                    opening: opening.clone(),
                    beacon,
                })
                .collect();
            len = append_lines(kept, len, &lines)?;
            Ok(())
        })?;
        appended.n_committed += committed.len();
        openings.extend(committed.into_iter().map(|(opening, _)| (opening.id.clone(), opening)));
    }
    let open = |draft: &&Draft| ledger.position(&draft.id).is_some_and(|at| at.outcome.is_none());
    let unfinished: Vec<&Draft> = drafts.iter().filter(open).collect();
    for chunk in unfinished.chunks(CHUNK) {
        let texts: Vec<Vec<&str>> =
            chunk.iter().map(|draft| draft.texts.iter().map(String::as_str).collect()).collect();
        let mut outcomes = Vec::with_capacity(chunk.len());
        for (draft, texts) in chunk.iter().zip(&texts) {
            let opening = openings.get(&draft.id).ok_or_else(|| {
                let reason = format!("its first entry exists, but {} has no salts", kept.display());
                LedgerError::refused(&draft.id, reason)
            })?;
            outcomes.push((opening, texts.as_slice()));
        }
        appended.n_finished += ledger.record_outcomes(&outcomes)?.len();
    }
    Ok(appended)
}
