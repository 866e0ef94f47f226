//! The sealed plan of an audit: what will be asked, how, and what it may cost, fixed beforehand.
//!
//! A plan is sealed by its hash, as an entry of the ledger or, without one, by a signature over
//! hash and time. Plans over the same exposures share the error: plan j gets
//! `alpha / (j (j + 1))`, which sums to alpha over all j. Whether a run kept to its plan is
//! answered by [`SealedPlan::check`] with every difference; what follows is the audit's business.

use crate::ledger::{
    Filter, LEAF_VERSION, Ledger, LedgerError, LogKey, LogView, PLAN_DOMAIN, PlanLeaf, Sha256Hash,
    verify_signature,
};
use crate::{AlphaSplit, Decide};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the plan's format.
pub const PLAN_VERSION: u32 = 1;
/// Largest seed that RFC 8785 JSON carries exactly, 2^53 − 1.
pub const SEED_MAX: u64 = (1 << 53) - 1;

/// A model that takes part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedModel {
    /// Model string, with the endpoint or path.
    pub model: String,
    /// Hash of its weights, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Sha256Hash>,
}

/// What may be spent at most; absent means without limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedBudget {
    /// Units (coins) scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<u64>,
    /// Requests to endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens to and from endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money, in the currency of the price list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<f64>,
}

/// A range of a ledger with a filter that is blind to the coin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedRange {
    /// The log.
    pub log_id: String,
    /// First sequence number.
    pub first_sequence: u64,
    /// Last sequence number, included.
    pub last_sequence: u64,
    /// Which exposures of it.
    #[serde(default)]
    pub filter: Filter,
}

/// Which exposures are asked about; at least one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedExposures {
    /// SHA-256 of the file of exposures (or scores).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Hash>,
    /// The range of a ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<PlannedRange>,
}

/// Everything that is fixed before the first query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// Name of the plan.
    pub name: String,
    /// The model asked about.
    pub suspect: PlannedModel,
    /// Models whose scores are subtracted.
    #[serde(default)]
    pub references: Vec<PlannedModel>,
    /// Models that take the same test and must not reject.
    #[serde(default)]
    pub placebos: Vec<PlannedModel>,
    /// The error rate, before it is shared with earlier plans.
    pub alpha: f64,
    /// How it is divided between the questions.
    #[serde(default)]
    pub alpha_split: AlphaSplit,
    /// Which number decides.
    pub decide: Decide,
    /// The deciding statistic.
    pub statistic: String,
    /// In which order pairs are scored.
    pub order: String,
    /// Seeds by what they drive.
    #[serde(default)]
    pub seeds: BTreeMap<String, u64>,
    /// What may be spent.
    #[serde(default)]
    pub budget: PlannedBudget,
    /// Which exposures.
    pub exposures: PlannedExposures,
    /// When scoring stops.
    pub stopping_rule: String,
    /// The smallest effect worth finding, in the unit of the report.
    pub target_effect: f64,
}

/// One thing that a run does otherwise than planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Path of the field, with dots.
    pub field: String,
    /// What was planned; absent = null.
    pub planned: Value,
    /// What the run does; absent = null.
    pub actual: Value,
}

fn refused(plan: &Plan, reason: impl Into<String>) -> LedgerError {
    LedgerError::Refused { id: plan.name.clone(), reason: reason.into() }
}

impl Plan {
    /// Checks that the plan can be sealed.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), LedgerError> {
        if self.version != PLAN_VERSION {
            let reason = format!("version {} is unknown, expected {PLAN_VERSION}", self.version);
            return Err(refused(self, reason));
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(refused(self, format!("alpha is {}, expected within (0, 1)", self.alpha)));
        }
        let parts = self.alpha_split.values();
        if parts.clone().any(|part| part.is_nan() || *part < 0.0)
            || parts.sum::<f64>() > self.alpha * (1.0 + 1e-12)
        {
            return Err(refused(
                self,
                "alpha_split has a negative part or sums to more than alpha",
            ));
        }
        if !(self.target_effect > 0.0 && self.target_effect.is_finite()) {
            return Err(refused(self, "target_effect isn't a positive number"));
        }
        if self.budget.money.is_some_and(|money| !(money >= 0.0 && money.is_finite())) {
            return Err(refused(self, "budget.money isn't a number ≥ 0"));
        }
        if let Some((name, seed)) = self.seeds.iter().find(|(_, seed)| **seed > SEED_MAX) {
            return Err(refused(self, format!("seed {name} is {seed}, the limit is 2^53 − 1")));
        }
        let PlannedExposures { sha256, ledger } = &self.exposures;
        if sha256.is_none() && ledger.is_none() {
            return Err(refused(self, "it names neither a file of exposures nor a ledger range"));
        }
        if ledger.as_ref().is_some_and(|range| range.first_sequence > range.last_sequence) {
            return Err(refused(self, "its ledger range ends before it begins"));
        }
        Ok(())
    }

    /// RFC 8785 JSON of the plan.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn canonical_json(&self) -> Result<Vec<u8>, LedgerError> {
        self.validate()?;
        serde_json_canonicalizer::to_vec(self).map_err(|e| refused(self, e.to_string()))
    }

    /// SHA-256 of [`Self::canonical_json`].
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn hash(&self) -> Result<Sha256Hash, LedgerError> {
        Ok(Sha256Hash::of(&self.canonical_json()?))
    }

    /// Every field in which `actual` differs from this plan, by path.
    pub fn differences(&self, actual: &Self) -> Vec<Difference> {
        let value = |plan| serde_json::to_value(plan).unwrap_or(Value::Null);
        let mut found = Vec::new();
        compare("", &value(self), &value(actual), &mut found);
        found
    }

    fn leaf(&self) -> Result<PlanLeaf, LedgerError> {
        let PlannedExposures { sha256, ledger } = &self.exposures;
        Ok(PlanLeaf {
            version: LEAF_VERSION,
            id: self.name.clone(),
            plan_hash: self.hash()?,
            exposures_sha256: *sha256,
            sequences: ledger.as_ref().map(|range| [range.first_sequence, range.last_sequence]),
        })
    }
}

fn compare(path: &str, planned: &Value, actual: &Value, found: &mut Vec<Difference>) {
    let (Value::Object(left), Value::Object(right)) = (planned, actual) else {
        if planned != actual {
            let field = path.trim_start_matches('.').to_owned();
            found.push(Difference { field, planned: planned.clone(), actual: actual.clone() });
        }
        return;
    };
    let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for key in keys {
        let at =
            |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or(Value::Null);
        compare(&format!("{path}.{key}"), &at(left), &at(right), found);
    }
}

/// The share of `alpha` for the `number`-th plan over the same exposures, from 1.
pub fn alpha_of_plan(alpha: f64, number: u64) -> f64 {
    let j = number.max(1) as f64;
    alpha / (j * (j + 1.0))
}

/// A plan that can't be changed without notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedPlan {
    /// The plan.
    pub plan: Plan,
    /// SHA-256 of its RFC 8785 JSON.
    pub plan_hash: Sha256Hash,
    /// When it was sealed, by the sealer's clock.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// It is the `number`-th plan over these exposures, from 1.
    pub number: u64,
    /// Leaf of its entry, where a ledger seals it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf_index: Option<u64>,
    /// Public key of the log, or of whoever sealed it, hexadecimal.
    pub public_key: String,
    /// Signature over hash, time, number and leaf, hexadecimal.
    pub signature: String,
}

#[derive(Serialize)]
struct Sealed<'a> {
    plan_hash: &'a Sha256Hash,
    time: &'a Timestamp,
    number: u64,
    leaf_index: Option<u64>,
}

/// Whether two plans ask about the same exposures: the same file, or ranges that overlap.
fn overlap(left: &PlanLeaf, right: &PlanLeaf) -> bool {
    let same_file =
        left.exposures_sha256.is_some() && left.exposures_sha256 == right.exposures_sha256;
    let ranges = left.sequences.zip(right.sequences);
    same_file || ranges.is_some_and(|([a, b], [c, d])| a <= d && c <= b)
}

fn number_among(leaf: &PlanLeaf, earlier: &[(u64, PlanLeaf)], before: u64) -> u64 {
    let earlier = earlier.iter().filter(|(index, _)| *index < before);
    1 + earlier.filter(|(_, other)| overlap(leaf, other)).count() as u64
}

impl SealedPlan {
    fn sign(
        plan: Plan,
        time: Timestamp,
        number: u64,
        leaf_index: Option<u64>,
        key: &LogKey,
    ) -> Result<Self, LedgerError> {
        let plan_hash = plan.hash()?;
        let sealed = Sealed { plan_hash: &plan_hash, time: &time, number, leaf_index };
        let signature = key.sign(PLAN_DOMAIN, &sealed)?;
        let public_key = key.public_key();
        Ok(Self { plan, plan_hash, time, number, leaf_index, public_key, signature })
    }

    /// Checks hash and signature. Whether the key is the right one, the caller knows.
    ///
    /// # Errors
    /// [`LedgerError::Verification`] with the reason.
    pub fn verify(&self) -> Result<(), LedgerError> {
        if self.plan.hash()? != self.plan_hash {
            return Err(LedgerError::verification(
                "sealed plan",
                "its hash isn't that of the plan",
            ));
        }
        let sealed = Sealed {
            plan_hash: &self.plan_hash,
            time: &self.time,
            number: self.number,
            leaf_index: self.leaf_index,
        };
        let (key, signature) = (&self.public_key, &self.signature);
        verify_signature("sealed plan", PLAN_DOMAIN, &sealed, key, signature)
    }

    /// Besides, checks its entry in the ledger and counts the earlier plans.
    ///
    /// # Errors
    /// [`LedgerError::Verification`] with the reason.
    pub fn verify_in(&self, view: &LogView) -> Result<(), LedgerError> {
        self.verify()?;
        let failed = |reason: &str| LedgerError::verification("sealed plan", reason);
        if self.public_key != view.identity().public_key {
            return Err(failed("it is sealed by another key than the log's"));
        }
        let leaf = self.plan.leaf()?;
        let at = self.leaf_index.ok_or_else(|| failed("it has no entry in a ledger"))?;
        if !view.plans().contains(&(at, leaf.clone())) {
            return Err(failed("the ledger has another entry at its leaf"));
        }
        if number_among(&leaf, view.plans(), at) != self.number {
            return Err(failed("the ledger has another number of earlier plans"));
        }
        Ok(())
    }

    /// The error rate that this plan may spend.
    pub fn alpha(&self) -> f64 {
        alpha_of_plan(self.plan.alpha, self.number)
    }

    /// The split of [`Self::alpha`], in the plan's proportions.
    pub fn alpha_split(&self) -> AlphaSplit {
        let scale =
            |(name, part): (&String, &f64)| (name.clone(), alpha_of_plan(*part, self.number));
        self.plan.alpha_split.iter().map(scale).collect()
    }

    /// Every difference between the sealed plan and what a run does; empty if it keeps to it.
    ///
    /// # Errors
    /// The seal doesn't verify.
    pub fn check(&self, run: &Plan) -> Result<Vec<Difference>, LedgerError> {
        self.verify()?;
        Ok(self.plan.differences(run))
    }
}

/// Seals a plan as an entry of a ledger.
///
/// # Errors
/// The plan is out of its ranges or sealed already, names another log or a range beyond this
/// one, or the disk is full.
pub fn seal_in_ledger(
    ledger: &mut Ledger,
    plan: Plan,
    time: Timestamp,
) -> Result<SealedPlan, LedgerError> {
    let leaf = plan.leaf()?;
    if let Some(range) = &plan.exposures.ledger {
        if range.log_id != ledger.identity().log_id {
            return Err(refused(&plan, "its range is of another log"));
        }
        if range.last_sequence >= ledger.n_sequences() {
            return Err(refused(&plan, "its range ends beyond the ledger"));
        }
    }
    let sealed = ledger.plans().iter().find(|(_, other)| other.plan_hash == leaf.plan_hash);
    if let Some((index, _)) = sealed {
        return Err(refused(&plan, format!("it is sealed already, by leaf {index}")));
    }
    let number = number_among(&leaf, ledger.plans(), u64::MAX);
    let index = ledger.record_plan(leaf)?;
    SealedPlan::sign(plan, time, number, Some(index), ledger.key())
}

/// Seals a plan without a ledger; `earlier` are the plans sealed before it, of which those over
/// the same exposures are counted. Nobody but the sealer vouches for time and count.
///
/// # Errors
/// The plan is out of its ranges.
pub fn seal_alone(
    plan: Plan,
    time: Timestamp,
    key: &LogKey,
    earlier: &[SealedPlan],
) -> Result<SealedPlan, LedgerError> {
    let leaf = plan.leaf()?;
    let mut number = 1;
    for other in earlier {
        other.verify()?;
        if overlap(&leaf, &other.plan.leaf()?) {
            number += 1;
        }
    }
    SealedPlan::sign(plan, time, number, None, key)
}
