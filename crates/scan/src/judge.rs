//! From sketches to accounts and campaigns.

use crate::engine::Sketched;
use crate::result::{ScanAccount, ScanCampaign, ScanResult};
use stillwatch_traffic::analyse;

/// What the sketches show. `fdr`: level of the list of campaigns.
pub fn judge(sketched: &Sketched, fdr: f64) -> ScanResult {
    let analysis = analyse(sketched.accounts.iter().map(|(n, s)| (n.as_str(), s)), sketched.now_ms);
    ScanResult {
        n_exchanges: sketched.n_exchanges,
        n_accounts: sketched.accounts.len() as u64,
        n_without_account: sketched.n_without_account,
        n_without_time: sketched.n_without_time,
        n_rejected: sketched.n_rejected,
        fdr,
        accounts: analysis.accounts.into_iter().map(ScanAccount::from).collect(),
        campaigns: analysis.campaigns.into_iter().map(ScanCampaign::from).collect(),
        partial: false,
    }
}
