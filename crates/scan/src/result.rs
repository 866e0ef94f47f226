//! What a scan says, as JSON.

use serde::{Deserialize, Serialize};
use stillwatch_traffic::{AccountRisk, Campaign, Reason};

/// One account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanAccount {
    /// The account.
    pub account: String,
    /// Its exchanges.
    pub n: u64,
    /// Conformal rank of its score among accounts known to be innocent; none without them.
    pub p_value: Option<f64>,
    /// The e-value of its campaign's test; none where no test applies.
    pub e_value: Option<f64>,
    /// Whether the rules flag it.
    pub flagged: bool,
    /// From 0 to 1; ranks accounts, means no probability.
    pub score: f64,
    /// Its campaign, where it belongs to one.
    pub campaign: Option<String>,
    /// Why, the weightiest first.
    pub reasons: Vec<Reason>,
}

impl From<AccountRisk> for ScanAccount {
    fn from(risk: AccountRisk) -> Self {
        let AccountRisk { account, n, score, flagged, campaign, reasons } = risk;
        Self { account, n, p_value: None, e_value: None, flagged, score, campaign, reasons }
    }
}

/// Accounts that act together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanCampaign {
    /// Name: the same while its core of members is the same.
    pub id: String,
    /// Members, sorted.
    pub accounts: Vec<String>,
    /// The e-value of its test on accounts that it wasn't discovered on; none where no test applies.
    pub e_value: Option<f64>,
    /// Whether the rules flag it.
    pub flagged: bool,
    /// From 0 to 1; ranks campaigns, means no probability.
    pub score: f64,
    /// Families of evidence that connect the members.
    pub families: Vec<String>,
    /// What connects the members, the weightiest first.
    pub evidence: Vec<Reason>,
}

impl From<Campaign> for ScanCampaign {
    fn from(campaign: Campaign) -> Self {
        let Campaign { id, accounts, score, flagged, families, reasons, .. } = campaign;
        Self { id, accounts, e_value: None, flagged, score, families, evidence: reasons }
    }
}

/// The result of a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanResult {
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
    /// Level of the false discovery rate of the list of campaigns.
    pub fdr: f64,
    /// Accounts, the highest score first.
    pub accounts: Vec<ScanAccount>,
    /// Campaigns, the highest score first.
    pub campaigns: Vec<ScanCampaign>,
    /// Whether something that was asked for couldn't be read.
    pub partial: bool,
}
