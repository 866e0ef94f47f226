//! Accounting for every exposure of a ledger range: opened, adverse, excluded or deleted.
//!
//! This is what turns "the coin was thrown as declared" into something that a stranger checks.
//! Nothing in the range is passed over: an exposure that isn't opened, or is opened falsely,
//! counts as adverse, and the audit takes it for a pair of the largest magnitude against itself.
//! The exposures that this check returns as opened are the only ones that may be tested.

use super::opening::{check_slot, parse_salts};
use super::{
    CoinCommitment, ExposureLeaf, Leaf, LedgerError, LogView, Position, RequestSide, Salt,
    Sha256Hash, SignedHead, request_hash, salt_commitment, text_commitment,
};
use crate::beacon::{Chain, CheckedRound};
use crate::{Coin, CoinEvidence, Exposure};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which exposures of a range are asked about. Reads only the request side and the number of
/// slots, which the first entry binds, so it can't depend on the coin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only these accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<BTreeSet<String>>,
    /// Only these models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<BTreeSet<String>>,
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub time_from: Option<Timestamp>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub time_before: Option<Timestamp>,
    /// Only exposures with this number of slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_slots: Option<usize>,
}

impl Filter {
    /// Whether the exposure is asked about. A field that the filter needs and the exposure lacks
    /// excludes it.
    pub fn includes(&self, exposure: &Exposure) -> bool {
        let among = |wanted: &Option<BTreeSet<String>>, value: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| value.as_ref().is_some_and(|v| wanted.contains(v)))
        };
        let time = exposure.time.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        among(&self.accounts, &exposure.account)
            && among(&self.models, &exposure.model)
            && self.time_from.is_none_or(|from| time.is_some_and(|time| time >= from))
            && self.time_before.is_none_or(|before| time.is_some_and(|time| time < before))
            && self.n_slots.is_none_or(|n| exposure.withheld.len() + 1 == n)
    }
}

/// What becomes of a first entry without a second one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unfinished {
    /// It counts as adverse: whoever may drop pairs after the coin could choose which.
    #[default]
    Adverse,
    /// It is counted and set aside, on the owner's word that nothing about the texts decided it.
    SetAside,
}

/// What an audit claims about a log.
#[derive(Debug, Clone, Copy)]
pub struct LedgerClaim<'a> {
    /// First sequence number of the range.
    pub first_sequence: u64,
    /// Last sequence number of the range, included.
    pub last_sequence: u64,
    /// Which exposures of it are asked about.
    pub filter: &'a Filter,
    /// Leaf of the sealed plan; deletions count only before it.
    pub plan_leaf: Option<u64>,
    /// Checked rounds of the beacons that chose.
    pub rounds: &'a [CheckedRound],
    /// Public keys of the witnesses whose time is believed, hexadecimal.
    pub witnesses: &'a [String],
    /// What becomes of unfinished exposures.
    pub unfinished: Unfinished,
}

/// An exposure that was opened, and agrees with both entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenedExposure {
    /// Its sequence number: the order of an e-process.
    pub sequence: u64,
    /// Its index in the list of exposures that was handed in.
    pub index: usize,
}

/// Why an exposure counts as adverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdverseReason {
    /// It isn't among the exposures that were handed in.
    Unopened,
    /// It has no second entry under the head.
    Unfinished,
    /// It was opened, but not to what the entries say.
    Invalid(String),
}

/// An exposure that counts against its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Adverse {
    /// Its sequence number.
    pub sequence: u64,
    /// Its name.
    pub id: String,
    /// Its number of slots.
    pub n_slots: usize,
    /// Why.
    pub reason: AdverseReason,
}

/// The account of a range: every exposure of it is in exactly one of the counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerCheck {
    /// The head that covers the range.
    pub head: SignedHead,
    /// First sequence number.
    pub first_sequence: u64,
    /// Last sequence number, included.
    pub last_sequence: u64,
    /// Leaf of the first coin of the range: weights recorded before it predate the coins.
    pub first_coin_leaf: u64,
    /// Exposures in the range.
    pub n_exposures: u64,
    /// Opened to what the filter leaves out.
    pub n_excluded: u64,
    /// Removed by a deletion before the plan.
    pub n_deleted: u64,
    /// First entries without a second one (also among `adverse` unless set aside).
    pub n_unfinished: u64,
    /// Of those, set aside.
    pub n_set_aside: u64,
    /// Opened, valid and asked about, in ledger order.
    pub opened: Vec<OpenedExposure>,
    /// Counted against the owner, in ledger order.
    pub adverse: Vec<Adverse>,
    /// Lowest grade among the opened ones; a beacon's coin without a trusted witness before its
    /// round is worth the owner's word.
    pub coin: Coin,
    /// What keeps the ledger from being evidence for the coins, in words.
    pub problems: Vec<String>,
}

impl LedgerCheck {
    /// Whether both entries of every exposure were checked and all are accounted for.
    pub fn coin_evidence(&self) -> CoinEvidence {
        if self.problems.is_empty() && !self.opened.is_empty() {
            CoinEvidence::Ledger
        } else {
            CoinEvidence::Declared
        }
    }

    /// Whether these weights were recorded before the first coin of the range.
    pub fn predates(&self, view: &LogView, weights_hash: &Sha256Hash) -> bool {
        view.weights_recorded_at(weights_hash).is_some_and(|leaf| leaf < self.first_coin_leaf)
    }
}

/// Accounts for every exposure of the range against a signed head.
///
/// # Errors
/// The head doesn't verify or isn't this log's, or the range lies beyond it: then nothing can be
/// said. What is wrong with single exposures is in the result instead.
pub fn account_for_range(
    view: &LogView,
    head: &SignedHead,
    claim: &LedgerClaim<'_>,
    exposures: &[Exposure],
) -> Result<LedgerCheck, LedgerError> {
    head.verify()?;
    if head.head.log_id != view.identity().log_id
        || view.root(head.head.tree_size)? != head.head.root
    {
        return Err(LedgerError::verification("tree head", "the entries aren't those it signed"));
    }
    let covered = view.replay.n_sequences_at(head.head.tree_size);
    let (first, last) = (claim.first_sequence, claim.last_sequence);
    if first > last || last >= covered {
        let what = "sequence number";
        return Err(LedgerError::OutOfRange { what, value: last.max(first), limit: covered });
    }
    let mut accountant = Accountant { view, head, claim, accounts: Accounts::default() };
    let mut check = LedgerCheck {
        head: head.clone(),
        first_sequence: first,
        last_sequence: last,
        first_coin_leaf: view.position_of_sequence(first).map_or(0, |at| at.commit),
        n_exposures: last - first + 1,
        n_excluded: 0,
        n_deleted: 0,
        n_unfinished: 0,
        n_set_aside: 0,
        opened: Vec::new(),
        adverse: Vec::new(),
        coin: Coin::Public,
        problems: Vec::new(),
    };
    let by_id = accountant.index(exposures, &mut check.problems);
    for sequence in first..=last {
        accountant.one(sequence, exposures, &by_id, &mut check)?;
    }
    Ok(check)
}

/// Accounts and their pseudonyms must go together one to one.
#[derive(Debug, Default)]
struct Accounts {
    by_tag: BTreeMap<Sha256Hash, String>,
    by_name: BTreeMap<String, Sha256Hash>,
}

impl Accounts {
    fn agree(&mut self, tag: Option<Sha256Hash>, account: Option<&str>) -> Result<(), String> {
        match (tag, account) {
            (None, None) => Ok(()),
            (Some(tag), Some(account)) => {
                let known_name = self.by_tag.entry(tag).or_insert_with(|| account.to_owned());
                let known_tag = self.by_name.entry(account.to_owned()).or_insert(tag);
                if known_name == account && *known_tag == tag {
                    Ok(())
                } else {
                    Err("accounts and their pseudonyms in the log don't go together".to_owned())
                }
            }
            _ => Err("it has an account in one place and none in the other".to_owned()),
        }
    }
}

struct Accountant<'a> {
    view: &'a LogView,
    head: &'a SignedHead,
    claim: &'a LedgerClaim<'a>,
    accounts: Accounts,
}

impl Accountant<'_> {
    /// Exposures by name; what doesn't belong to the range is a problem.
    fn index<'e>(
        &self,
        exposures: &'e [Exposure],
        problems: &mut Vec<String>,
    ) -> BTreeMap<&'e str, usize> {
        let range = self.claim.first_sequence..=self.claim.last_sequence;
        let mut by_id = BTreeMap::new();
        for (index, exposure) in exposures.iter().enumerate() {
            let id = exposure.id.as_str();
            match self.view.position(id) {
                Some(at) if range.contains(&at.sequence) => {
                    if by_id.insert(id, index).is_some() {
                        problems.push(format!("exposure {id:?} occurs twice"));
                    }
                }
                Some(at) => problems.push(format!(
                    "exposure {id:?} has sequence number {}, outside of the range",
                    at.sequence
                )),
                None => problems.push(format!("exposure {id:?} isn't in the ledger")),
            }
        }
        by_id
    }

    fn exposure_leaf(&self, index: u64) -> Result<ExposureLeaf, LedgerError> {
        match self.view.leaf(index)? {
            Leaf::Commit(leaf) | Leaf::Outcome(leaf) => Ok(leaf),
            _ => {
                let reason = "expected an entry of an exposure".to_owned();
                Err(LedgerError::Leaf { index, reason })
            }
        }
    }

    fn one(
        &mut self,
        sequence: u64,
        exposures: &[Exposure],
        by_id: &BTreeMap<&str, usize>,
        check: &mut LedgerCheck,
    ) -> Result<(), LedgerError> {
        let at = self.view.position_of_sequence(sequence).ok_or(LedgerError::OutOfRange {
            what: "sequence number",
            value: sequence,
            limit: self.view.n_sequences(),
        })?;
        let first = self.exposure_leaf(at.commit)?;
        let opened = by_id.get(first.id.as_str()).copied();
        if self.deleted(&first, at.commit) {
            check.n_deleted += 1;
            if opened.is_some() {
                let problem = format!("exposure {:?} of a deleted account is opened", first.id);
                check.problems.push(problem);
            }
            return Ok(());
        }
        let mut adverse = |reason| {
            let (id, n_slots) = (first.id.clone(), first.slot_hashes.len());
            check.adverse.push(Adverse { sequence, id, n_slots, reason });
        };
        let Some(outcome) = at.outcome.filter(|&leaf| leaf < self.head.head.tree_size) else {
            check.n_unfinished += 1;
            match self.claim.unfinished {
                Unfinished::Adverse => adverse(AdverseReason::Unfinished),
                Unfinished::SetAside => check.n_set_aside += 1,
            }
            return Ok(());
        };
        let Some((index, exposure)) = opened.and_then(|i| Some((i, exposures.get(i)?))) else {
            adverse(AdverseReason::Unopened);
            return Ok(());
        };
        let second = self.exposure_leaf(outcome)?;
        match self.open(exposure, at, &first, &second) {
            Err(reason) => adverse(AdverseReason::Invalid(reason)),
            Ok(_) if !self.claim.filter.includes(exposure) => check.n_excluded += 1,
            Ok(coin) => {
                check.coin = check.coin.min(coin).min(exposure.coin);
                check.opened.push(OpenedExposure { sequence, index });
            }
        }
        Ok(())
    }

    /// Whether a deletion covers the exposure: after it, before the plan.
    fn deleted(&self, first: &ExposureLeaf, commit: u64) -> bool {
        let deletion = first.account_tag.and_then(|tag| self.view.deleted_at(&tag));
        deletion
            .zip(self.claim.plan_leaf)
            .is_some_and(|(deletion, plan)| commit < deletion && deletion < plan)
    }

    /// Checks one opening against both entries; returns the grade that it secures.
    fn open(
        &mut self,
        exposure: &Exposure,
        at: Position,
        first: &ExposureLeaf,
        second: &ExposureLeaf,
    ) -> Result<Coin, String> {
        let commitment = exposure.commitment.as_ref().ok_or("it has no commitment")?;
        if commitment.log_id != self.view.identity().log_id {
            return Err("its commitment is to another log".to_owned());
        }
        if commitment.sequence != at.sequence || Some(commitment.leaf_index) != at.outcome {
            return Err("its commitment names another place in the log".to_owned());
        }
        let root = self.view.root(commitment.tree_size).map_err(|e| e.to_string())?;
        if commitment.leaf_index >= commitment.tree_size || root.to_string() != commitment.root {
            return Err("its commitment names a root that isn't this log's".to_owned());
        }
        let salts = parse_salts(&commitment.salts)?;
        let slot = exposure.slot.ok_or("its slot is missing")?;
        let texts = texts_by_slot(exposure, slot)?;
        if salts.len() != first.slot_hashes.len() || texts.len() != salts.len() {
            return Err(format!(
                "{} salts and {} texts for {} slots",
                salts.len(),
                texts.len(),
                first.slot_hashes.len()
            ));
        }
        check_hashes(exposure, first, second, &salts, &texts)?;
        self.accounts.agree(first.account_tag, exposure.account.as_deref())?;
        check_slot(first, Some(slot), &salts)?;
        let grade = match first.coin_commitment.parse::<CoinCommitment>()? {
            CoinCommitment::Server(_) => Coin::Server,
            CoinCommitment::Beacon { chain, round } => {
                self.public_coin(slot, at, salts.len(), chain, round)?
            }
        };
        if exposure.coin == Coin::Public && !first.coin_commitment.starts_with("drand:") {
            return Err("it claims a public coin, but its entries name no beacon".to_owned());
        }
        Ok(grade)
    }

    /// Checks a beacon's coin, and that the texts were fixed under an anchored head before it.
    fn public_coin(
        &self,
        slot: usize,
        at: Position,
        n_slots: usize,
        chain: Chain,
        round: u64,
    ) -> Result<Coin, String> {
        let checked = self
            .claim
            .rounds
            .iter()
            .find(|r| (r.chain(), r.round()) == (chain, round))
            .ok_or_else(|| {
            format!("round {round} of its beacon is missing from the recorded rounds")
        })?;
        let outcome = at.outcome.ok_or("it has no second entry")?;
        let leaf_hash = self.view.leaf_hash(outcome).ok_or("its second entry is missing")?;
        let expected = checked.coin(&leaf_hash, n_slots);
        if expected != slot {
            return Err(format!("round {round} chose slot {expected}, not {slot}"));
        }
        let due = chain.round_time(round).ok_or("its beacon has no such round")?;
        let heads = || self.view.heads().iter().filter(|head| outcome < head.head.tree_size);
        if heads().any(|head| head.witnessed_at(self.claim.witnesses).is_some_and(|t| t < due)) {
            return Ok(Coin::Public);
        }
        if heads().any(|head| head.head.time < due) {
            // Only the owner says that it was in time.
            return Ok(Coin::Server);
        }
        Err(format!("no head over its texts was signed before round {round}, due at {due}"))
    }
}

/// The texts in slot order.
fn texts_by_slot(exposure: &Exposure, slot: usize) -> Result<Vec<&str>, String> {
    let mut texts: Vec<&str> = exposure.withheld.iter().map(String::as_str).collect();
    if slot > texts.len() {
        return Err(format!("slot {slot} of {} texts", texts.len() + 1));
    }
    texts.insert(slot, &exposure.released);
    Ok(texts)
}

fn check_hashes(
    exposure: &Exposure,
    first: &ExposureLeaf,
    second: &ExposureLeaf,
    salts: &[Salt],
    texts: &[&str],
) -> Result<(), String> {
    super::replay::agrees(first, second)?;
    let side = RequestSide {
        account: exposure.account.as_deref(),
        messages: &exposure.messages,
        model: exposure.model.as_deref(),
        params: exposure.params.as_ref(),
        time: exposure.time.as_deref(),
    };
    let slots = salts.iter().zip(texts).zip(first.slot_hashes.iter().zip(&second.slot_hashes));
    for (slot, ((salt, text), (salt_hash, text_hash))) in slots.enumerate() {
        if salt_commitment(salt) != *salt_hash {
            return Err(format!("the salt of slot {slot} isn't the one committed to"));
        }
        if text_commitment(salt, text) != *text_hash {
            return Err(format!("the text of slot {slot} isn't the one committed to"));
        }
    }
    if request_hash(&side, salts)? != first.request_hash {
        return Err(
            "its account, messages, model, params or time aren't those committed to".to_owned()
        );
    }
    Ok(())
}
