//! What a scan says, as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stillwatch_traffic::Reason;

/// Name and version of the result's format.
pub const SCAN_SCHEMA: &str = "stillwatch.scan/1";

/// One reason, with the number it rests on and what is usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanReason {
    /// Stable name, snake case.
    pub code: String,
    /// One plain sentence.
    pub text: String,
    /// What was measured.
    pub value: f64,
    /// What is usual.
    pub baseline: f64,
    /// Who shows the same without harvesting: what to rule out before acting.
    pub innocent: String,
}

impl From<Reason> for ScanReason {
    fn from(reason: Reason) -> Self {
        let Reason { code, text, value, baseline, innocent } = reason;
        Self { code, text, value, baseline, innocent }
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanAccount {
    /// The account.
    pub account: String,
    /// Its exchanges.
    pub n: u64,
    /// Conformal rank of its score among accounts declared innocent; null without them. Its null:
    /// "this account's cluster is exchangeable with those of the declared innocents of its
    /// stratum".
    pub p_value: Option<f64>,
    /// The e-value of its campaign; null outside of campaigns and where no test applies.
    pub e_value: Option<f64>,
    /// Whether its campaign is flagged.
    pub flagged: bool,
    /// From 0 to 1; ranks accounts, means no probability.
    pub score: f64,
    /// Its campaign, where it belongs to one.
    pub campaign: Option<String>,
    /// Why, the weightiest first.
    pub reasons: Vec<ScanReason>,
}

/// Accounts that act together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanCampaign {
    /// Name: the same while its core of members is the same.
    pub id: String,
    /// Members, sorted.
    pub accounts: Vec<String>,
    /// Mean over both directions of the split of the e-values of its signatures, each discovered
    /// on one half of the accounts and tested on the other; a direction without a signature
    /// counts 1. Null where neither half has one.
    pub e_value: Option<f64>,
    /// Base-10 logarithm of the e-value.
    pub log10_e_value: Option<f64>,
    /// Whether the rules flag it: a score's threshold, without an error rate.
    pub flagged: bool,
    /// Whether e-BH rejects, at the list's false discovery rate, that those who carry one of its
    /// signatures behave like comparable accounts. Null where it has no signature.
    pub fdr_rejected: Option<bool>,
    /// Accounts that carry its signatures in the halves that these were tested on.
    pub n_tested: u64,
    /// From 0 to 1; ranks campaigns, means no probability.
    pub score: f64,
    /// Families of evidence that connect the members.
    pub families: Vec<String>,
    /// What connects the members, the weightiest first.
    pub evidence: Vec<ScanReason>,
    /// Pairs of members (places in `accounts`) with the families of evidence between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<ScanEdge>,
}

/// Evidence between two members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanEdge {
    /// Place of the one in `accounts`, counted from 0.
    pub a: u32,
    /// Place of the other.
    pub b: u32,
    /// Families of evidence between them.
    pub families: Vec<String>,
}

/// A log, and what its lines were taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanFile {
    /// The log.
    pub file: String,
    /// What its lines were taken for.
    pub format: String,
    /// What told so.
    pub why: String,
}

/// What couldn't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// File or folder.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// The result of a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanResult {
    /// Name and version of this format.
    pub schema: String,
    /// What was found, and what that doesn't establish.
    pub sentence: String,
    /// Exchanges read.
    pub n_exchanges: u64,
    /// Accounts met.
    pub n_accounts: u64,
    /// Exchanges without an account.
    pub n_without_account: u64,
    /// Exchanges without a time.
    pub n_without_time: u64,
    /// Lines that couldn't be read.
    pub n_rejected: u64,
    /// Time of the latest exchange, RFC 3339.
    pub until: Option<String>,
    /// Logs read.
    pub files: Vec<ScanFile>,
    /// What couldn't be read.
    pub unreadable: Vec<Unreadable>,
    /// Seed of the hashes' key, of the split and of permutations; null where the key was random.
    pub seed: Option<u64>,
    /// Level of the false discovery rate of the list of signatures.
    pub fdr: f64,
    /// Signatures that were tested.
    pub n_signatures: u64,
    /// What e-values speak against, in words. It isn't innocence.
    pub nulls: Vec<String>,
    /// Accounts, flagged ones first, then by score.
    pub accounts: Vec<ScanAccount>,
    /// Campaigns, flagged ones first, then by score.
    pub campaigns: Vec<ScanCampaign>,
    /// Whether something that was asked for couldn't be read.
    pub partial: bool,
}

impl ScanResult {
    /// Drops accounts and campaigns that aren't flagged.
    pub fn keep_flagged(&mut self) {
        self.accounts.retain(|account| account.flagged);
        self.campaigns.retain(|campaign| campaign.flagged);
    }

    /// Flagged campaigns.
    pub fn flagged(&self) -> impl Iterator<Item = &ScanCampaign> {
        self.campaigns.iter().filter(|campaign| campaign.flagged)
    }
}

/// The schema of [`ScanResult`], for the reference pages.
pub fn result_schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut value = settings.into_generator().into_root_schema_for::<ScanResult>().to_value();
    if let Some(object) = value.as_object_mut() {
        object.insert("title".into(), "The result of a scan".into());
    }
    value
}
