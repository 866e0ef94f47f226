//! From sketches to accounts and campaigns.
//!
//! | module | thought |
//! | --- | --- |
//! | `signature` | by what members of a campaign are known again among other accounts |
//! | `conduct` | how an account behaves, as numbers that don't look at the signature |
//! | `cross_fit` | signatures discovered on one half of the accounts, tested on the other |
//! | [`innocents`] | p-values against accounts that are declared innocent |
//!
//! What `traffic` flags rests on thresholds: a score. The e-values beside it speak against nulls
//! that are said in words ([`NULLS`]); none of them is "innocent", so a flag needs a human either
//! way.

mod conduct;
mod cross_fit;
pub mod innocents;
mod signature;

pub use cross_fit::{N_PERMUTATIONS, NULLS};
pub use innocents::Innocents;

use crate::engine::Sketched;
use crate::result::{SCAN_SCHEMA, ScanAccount, ScanCampaign, ScanEdge, ScanResult};
use cross_fit::Tested;
use jiff::Timestamp;
use std::collections::BTreeMap;
use stillwatch_stats::Alpha;
use stillwatch_traffic::{AccountRisk, Analysis, Campaign, analyse};

/// How sketches are judged.
#[derive(Debug, Clone)]
pub struct JudgeParams {
    /// Keys the split of the accounts into halves and seeds permutations; the hashes' key.
    pub key: [u8; 32],
    /// Level of the false discovery rate of the list of signatures.
    pub fdr: Alpha,
    /// Permutations of each test.
    pub n_permutations: u32,
    /// Accounts declared innocent.
    pub innocents: Innocents,
}

/// What the sketches show.
pub fn judge(sketched: &Sketched, params: &JudgeParams) -> ScanResult {
    let accounts = || sketched.accounts.iter().map(|(name, sketch)| (name.as_str(), sketch));
    let analysis = analyse(accounts(), sketched.now_ms);
    let tested = cross_fit::cross_fit(&sketched.accounts, sketched.now_ms, &analysis, params);
    let p_values = innocents::p_values(&analysis, &sketched.accounts, &params.innocents);
    let Analysis { accounts, campaigns, .. } = analysis;
    let campaigns: Vec<ScanCampaign> =
        campaigns.into_iter().zip(tested.campaigns).map(|(c, t)| campaign(c, &t)).collect();
    let e_values: BTreeMap<&str, Option<f64>> =
        campaigns.iter().map(|campaign| (campaign.id.as_str(), campaign.e_value)).collect();
    let accounts: Vec<ScanAccount> = accounts
        .into_iter()
        .map(|risk| {
            let e_value = risk.campaign.as_deref().and_then(|c| e_values.get(c).copied().flatten());
            let p_value = p_values.get(&risk.account).copied();
            account(risk, p_value, e_value)
        })
        .collect();
    let until = Timestamp::from_millisecond(sketched.now_ms).ok();
    let mut result = ScanResult {
        schema: SCAN_SCHEMA.to_owned(),
        sentence: String::new(),
        n_exchanges: sketched.n_exchanges,
        n_accounts: sketched.accounts.len() as u64,
        n_without_account: sketched.n_without_account,
        n_without_time: sketched.n_without_time,
        n_rejected: sketched.n_rejected,
        until: until.map(|time| time.to_string()),
        files: Vec::new(),
        unreadable: Vec::new(),
        seed: None,
        fdr: params.fdr.value(),
        n_signatures: tested.n_signatures,
        nulls: NULLS.map(str::to_owned).to_vec(),
        accounts,
        campaigns,
        partial: false,
    };
    result.sentence = sentence(&result);
    result
}

fn account(risk: AccountRisk, p_value: Option<f64>, e_value: Option<f64>) -> ScanAccount {
    let AccountRisk { account, n, score, flagged, campaign, reasons } = risk;
    let reasons = reasons.into_iter().map(Into::into).collect();
    ScanAccount { account, n, p_value, e_value, flagged, score, campaign, reasons }
}

fn campaign(campaign: Campaign, tested: &Tested) -> ScanCampaign {
    let Campaign { id, accounts, score, flagged, families, reasons, edges, .. } = campaign;
    ScanCampaign {
        id,
        accounts,
        e_value: tested.e.map(stillwatch_stats::EValue::value),
        log10_e_value: tested.e.map(stillwatch_stats::EValue::log10),
        flagged,
        fdr_rejected: tested.e.map(|_| tested.rejected),
        n_tested: tested.n_carriers,
        score,
        families,
        evidence: reasons.into_iter().map(Into::into).collect(),
        edges: edges.into_iter().map(|(a, b, families)| ScanEdge { a, b, families }).collect(),
    }
}

/// What was found, and what that doesn't establish.
fn sentence(result: &ScanResult) -> String {
    let n_accounts: usize = result.flagged().map(|c| c.accounts.len()).sum();
    let found = match result.flagged().count() {
        0 => "No campaign is flagged".to_owned(),
        1 => format!("One campaign of {n_accounts} accounts is flagged"),
        n => format!("{n} campaigns of {n_accounts} accounts together are flagged"),
    };
    let rest = if n_accounts == 0 {
        "That doesn't establish that nobody harvests: small groups, much cover and lone accounts \
         aren't seen."
    } else {
        "That is a reason to look, and establishes neither that they harvest nor that a model was \
         trained on what they took."
    };
    format!("{found} among {} accounts. {rest}", result.n_accounts)
}
