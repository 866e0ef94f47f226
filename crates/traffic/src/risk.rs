//! What is said of accounts and of groups: reasons first, one sentence each.

use serde::{Deserialize, Serialize};

/// One reason, with the number it rests on and what is usual.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable name, snake case.
    pub code: String,
    /// One plain sentence.
    pub text: String,
    /// What was measured.
    pub value: f64,
    /// What is usual in the account's stratum.
    pub baseline: f64,
    /// Who shows the same without harvesting: what to rule out before acting.
    #[serde(default)]
    pub innocent: String,
}

/// What is known of one account. A score with reasons, no p-value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountRisk {
    /// The account.
    pub account: String,
    /// Exchanges seen.
    pub n: u64,
    /// From 0 (nothing) to 1; ranks accounts, means no probability.
    pub score: f64,
    /// Whether the rules, all of them together, flag it: it belongs to a flagged campaign. No
    /// account is flagged for what it does alone.
    pub flagged: bool,
    /// The campaign it belongs to, where it belongs to one.
    pub campaign: Option<String>,
    /// Why, the weightiest first.
    pub reasons: Vec<Reason>,
}

/// Accounts that act together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// Name: the same while its core of members is the same.
    pub id: String,
    /// Members, sorted.
    pub accounts: Vec<String>,
    /// From 0 to 1; ranks campaigns, means no probability.
    pub score: f64,
    /// Whether the rules flag it.
    pub flagged: bool,
    /// Independent families of evidence that connect the members, of `text`, `infrastructure`,
    /// `synchrony`, `sharding`, `replay`. Blocking needs three, and a human.
    #[serde(default)]
    pub families: Vec<String>,
    /// What connects the members, the weightiest first.
    pub reasons: Vec<Reason>,
    /// All that was measured of the group, by name, what speaks against a flag included.
    #[serde(default)]
    pub measures: Vec<(String, f64)>,
    /// Hashes of the text that the members share, those of most members first; compare with
    /// [`Features::items`](crate::Features::items). For keyed sharing of indicators and for
    /// template quarantine.
    #[serde(default)]
    pub indicators: Vec<u32>,
    /// Pairs of members (indices into `accounts`) with the families of evidence between them; the
    /// strongest few of each member.
    pub edges: Vec<(u32, u32, Vec<String>)>,
}

/// The state of all accounts at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// When, milliseconds since the epoch.
    pub time_ms: i64,
    /// Accounts with something to say of them, the highest score first.
    pub accounts: Vec<AccountRisk>,
    /// Campaigns, the highest score first.
    pub campaigns: Vec<Campaign>,
    /// Accounts known in all.
    pub n_accounts: u64,
    /// Exchanges seen in all.
    pub n_exchanges: u64,
}
