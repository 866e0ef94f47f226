//! Whom an analysis speaks of: flagged accounts and the members of flagged campaigns, each with
//! the families of evidence that concern the account itself.

use std::collections::{BTreeMap, BTreeSet};
use stillwatch_traffic::{AccountRisk, Analysis, Campaign, Reason};

/// One account that something was measured of.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) account: &'a str,
    /// Empty where unknown.
    pub(super) plan: &'a str,
    pub(super) campaign: Option<&'a Campaign>,
    /// Families of evidence: those that connect the members of its campaign, or, of an account
    /// that belongs to none, that of its own statistics.
    pub(super) families: BTreeSet<&'a str>,
    /// The weightiest first: the campaign's, then the account's own.
    pub(super) reasons: Vec<&'a Reason>,
    /// Exchanges seen.
    pub(super) n: u64,
}

/// All of them by name.
pub(super) fn subjects(analysis: &Analysis) -> BTreeMap<&str, Subject<'_>> {
    let risks: BTreeMap<&str, &AccountRisk> =
        analysis.accounts.iter().map(|risk| (risk.account.as_str(), risk)).collect();
    let mut found = BTreeMap::new();
    for campaign in analysis.campaigns.iter().filter(|campaign| campaign.flagged) {
        let families = families_of(campaign);
        for account in &campaign.accounts {
            let risk = risks.get(account.as_str());
            found.entry(account.as_str()).or_insert_with(|| {
                let mut subject = Subject {
                    account,
                    plan: "",
                    campaign: Some(campaign),
                    families: families.clone(),
                    reasons: campaign.reasons.iter().collect(),
                    n: risk.map_or(0, |risk| risk.n),
                };
                subject.take(risk.copied());
                subject
            });
        }
    }
    for risk in analysis.accounts.iter().filter(|risk| risk.flagged) {
        found.entry(risk.account.as_str()).or_insert_with(|| {
            let mut subject = Subject {
                account: &risk.account,
                plan: "",
                campaign: None,
                families: BTreeSet::new(),
                reasons: Vec::new(),
                n: risk.n,
            };
            subject.take(Some(risk));
            subject
        });
    }
    found
}

impl<'a> Subject<'a> {
    fn take(&mut self, risk: Option<&'a AccountRisk>) {
        let Some(risk) = risk else { return };
        self.reasons.extend(&risk.reasons);
        if self.campaign.is_none() && !risk.reasons.is_empty() {
            // Statistics of one account are one family, however many of them stand out: they
            // depend on each other.
            self.families.insert("account");
        }
    }
}

/// The families that connect the members: as the analysis says, or else those of its connections.
fn families_of(campaign: &Campaign) -> BTreeSet<&str> {
    if campaign.families.is_empty() {
        let of_edges = campaign.edges.iter().flat_map(|(_, _, families)| families);
        return of_edges.map(String::as_str).collect();
    }
    campaign.families.iter().map(String::as_str).collect()
}
