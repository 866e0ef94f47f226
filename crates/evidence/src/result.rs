//! What an audit found: the JSON that every consumer reads.
//!
//! Field names and their order are a contract; numbers are finite, and where a probability
//! underflows its `log10_…` field rules.

use crate::Coin;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The one word that a reader takes home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The declared exact test passed its alpha, and the grade of the coin allows it.
    Established,
    /// A test that is not exact, or whose assumptions the case can't secure.
    Indicated,
    /// Nothing found, and the run had the power to find the target effect.
    NoEvidence,
    /// Too little power or data, or a coin in doubt.
    Inconclusive,
}

/// Which number decides, declared beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decide {
    /// The fixed-n p-value.
    P,
    /// The anytime-valid e-process, in ledger order.
    E,
}

/// How alpha is divided between the questions, fixed beforehand; the parts sum to at most alpha.
pub type AlphaSplit = BTreeMap<String, f64>;

/// What secures that the coin was thrown as claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CoinEvidence {
    /// Both ledger entries of every exposure were checked.
    Ledger,
    /// The owner says so.
    Declared,
}

/// Whether a plan was sealed before the first query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlanState {
    /// It was, and this run followed it.
    Sealed,
    /// It was not.
    None,
}

/// A model whose weights predate the coins, put to the same test, two-sided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceboFinding {
    /// Model string.
    pub model: String,
    /// Two-sided p-value of the identical test; a rejection puts the coin in doubt.
    pub p_value_two_sided: f64,
}

/// What secures the verdict besides the statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grade {
    /// Grade of the coin (the lowest among the exposures).
    pub coin: Coin,
    /// What secures the coin.
    pub coin_evidence: CoinEvidence,
    /// Whether the plan was sealed.
    pub plan: PlanState,
    /// Placebos that took the test.
    pub placebos: Vec<PlaceboFinding>,
}

/// What is known about a reference's age relative to the first coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Predates {
    /// Its hash is in the ledger before the first coin.
    Ledger,
    /// The auditor declares it.
    Declared,
    /// Nobody says; the finding without it decides.
    Unknown,
}

/// A reference and what the correction made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceFinding {
    /// Model string, or the name of its columns.
    pub model: String,
    /// Its non-negative coefficient.
    pub beta: f64,
    /// The twins test of the reference itself, two-sided; no clearance.
    pub own_p_value_two_sided: f64,
    /// Whether its weights are older than the coins.
    pub predates_coin: Predates,
}

/// An effect with its unit and interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// The estimate.
    pub estimate: f64,
    /// Its unit, in words.
    pub unit: String,
    /// 95% confidence interval.
    pub ci95: [f64; 2],
}

/// One test's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Name of the test.
    pub test: String,
    /// The null hypothesis in words.
    pub null: String,
    /// Units (coins) that entered.
    pub n: usize,
    /// The statistic.
    pub statistic: f64,
    /// p-value, absent where none is valid.
    pub p_value: Option<f64>,
    /// Base-10 logarithm of the p-value.
    pub log10_p_value: Option<f64>,
    /// e-value, absent where none is valid or it overflows.
    pub e_value: Option<f64>,
    /// Base-10 logarithm of the e-value.
    pub log10_e_value: Option<f64>,
    /// Size of the effect.
    pub effect: Option<Effect>,
    /// The smallest effect, in the unit of `effect`, that this run would have seen with power 0.8.
    pub min_detectable_effect: Option<f64>,
    /// What it assumes.
    pub assumptions: Vec<String>,
    /// What it cannot say.
    pub cannot_say: Vec<String>,
}

/// One account's answer, with the family-wise error held over all accounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccountFinding {
    /// The account.
    pub account: String,
    /// Units (coins) of it.
    pub n: usize,
    /// p-value of the account alone.
    pub p_value: Option<f64>,
    /// Its base-10 logarithm.
    pub log10_p_value: Option<f64>,
    /// e-value of the account alone.
    pub e_value: Option<f64>,
    /// Its base-10 logarithm.
    pub log10_e_value: Option<f64>,
    /// Units below which the account can't be named at this alpha whatever they show.
    pub pairs_needed: usize,
    /// Named, with the family-wise error held.
    pub rejected: bool,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditResult {
    /// Name and version of this format.
    pub schema: String,
    /// The verdict.
    pub verdict: VerdictKind,
    /// The verdict in one plain sentence with its error rate.
    pub sentence: String,
    /// The error rate chosen beforehand.
    pub alpha: f64,
    /// How it was divided.
    pub alpha_split: AlphaSplit,
    /// Which number decides.
    pub decide: Decide,
    /// Seed of everything stochastic but the coins.
    pub seed: u64,
    /// What secures the verdict.
    pub grade: Grade,
    /// Units (coins) tested.
    pub n_pairs: usize,
    /// Pairs set aside by coin-blind rules (identical twins, failures on either text).
    pub n_set_aside: usize,
    /// References.
    pub references: Vec<ReferenceFinding>,
    /// Findings, the deciding one first.
    pub findings: Vec<Finding>,
    /// Accounts, sorted by name.
    pub accounts: Vec<AccountFinding>,
    /// Stopped before its end: resume possible.
    pub partial: bool,
}
