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
    /// Families of evidence: those of the account's own connections in its campaign, and those of
    /// its own statistics.
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
        let families = families_of_members(campaign);
        for (account, families) in campaign.accounts.iter().zip(families) {
            let risk = risks.get(account.as_str());
            found.entry(account.as_str()).or_insert_with(|| {
                let mut subject = Subject {
                    account,
                    plan: "",
                    campaign: Some(campaign),
                    families,
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
        if risk.flagged && !risk.reasons.is_empty() {
            // Statistics of one account are one family, however many of them stand out: they
            // depend on each other.
            self.families.insert("account");
        }
    }
}

/// The families on the connections of each member.
fn families_of_members(campaign: &Campaign) -> Vec<BTreeSet<&str>> {
    let mut families = vec![BTreeSet::new(); campaign.accounts.len()];
    for (a, b, names) in &campaign.edges {
        for index in [*a, *b] {
            if let Some(of_member) = families.get_mut(index as usize) {
                of_member.extend(names.iter().map(String::as_str));
            }
        }
    }
    families
}
