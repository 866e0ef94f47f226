//! What a scan found, as text for a terminal: reasons, innocent explanations, examples.

use crate::exhibits::{Exhibit, redacted};
use crate::{ScanAccount, ScanCampaign, ScanResult};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Accounts of a campaign, campaigns and single accounts that a person is shown.
const MEMBERS_SHOWN: usize = 8;
const UNFLAGGED_SHOWN: usize = 10;
const SINGLES_SHOWN: usize = 20;
const EXAMPLES_SHOWN: usize = 3;
/// Characters of an example.
const EXAMPLE_CHARS: usize = 100;

/// The result as a text; prompts are shown only where that is wanted, else their shape.
pub fn in_words(
    result: &ScanResult,
    exhibits: &BTreeMap<String, Exhibit>,
    show_texts: bool,
) -> String {
    let mut text = String::new();
    // Writing to a string doesn't fail.
    write_all(&mut text, result, exhibits, show_texts).ok();
    text.trim_end().to_owned()
}

fn write_all(
    out: &mut String,
    result: &ScanResult,
    exhibits: &BTreeMap<String, Exhibit>,
    show_texts: bool,
) -> fmt::Result {
    writeln!(
        out,
        "{} exchanges of {} accounts; {} without an account, {} without a time, {} bad lines",
        result.n_exchanges,
        result.n_accounts,
        result.n_without_account,
        result.n_without_time,
        result.n_rejected
    )?;
    for campaign in result.flagged() {
        one(out, campaign, result.fdr, exhibits.get(&campaign.id), show_texts)?;
    }
    let rest: Vec<&ScanCampaign> = result.campaigns.iter().filter(|c| !c.flagged).collect();
    if !rest.is_empty() {
        writeln!(out, "\nNot flagged, though connected:")?;
    }
    for campaign in rest.iter().take(UNFLAGGED_SHOWN) {
        let families = campaign.families.join(", ");
        let (id, n) = (&campaign.id, campaign.accounts.len());
        writeln!(out, "  {id} · {n} accounts · score {:.2} · {families}", campaign.score)?;
    }
    let singles: Vec<&ScanAccount> =
        result.accounts.iter().filter(|a| a.campaign.is_none()).collect();
    if !singles.is_empty() {
        writeln!(out, "\nAlone (never flagged for what they do alone):")?;
    }
    for account in singles.iter().take(SINGLES_SHOWN) {
        let why = account.reasons.first().map_or("", |reason| reason.text.as_str());
        let p = account.p_value.map(|p| format!(" · p {p:.3}")).unwrap_or_default();
        writeln!(out, "  {} · score {:.2}{p} · {why}", account.account, account.score)?;
    }
    write!(out, "\n{}", result.sentence)
}

fn one(
    out: &mut String,
    campaign: &ScanCampaign,
    fdr: f64,
    exhibit: Option<&Exhibit>,
    show_texts: bool,
) -> fmt::Result {
    let n = campaign.accounts.len();
    let requests = exhibit.map(|e| format!(" · {} requests", e.n)).unwrap_or_default();
    writeln!(out, "\n{} · {n} accounts{requests} · score {:.2}", campaign.id, campaign.score)?;
    match (campaign.e_value, campaign.fdr_rejected) {
        (Some(e), Some(rejected)) => {
            let verdict = if rejected { "rejected" } else { "not rejected" };
            writeln!(
                out,
                "  e-value {e:.1} against \"like comparable accounts\": {verdict} at a false \
                 discovery rate of {fdr}"
            )?;
        }
        _ => writeln!(out, "  no e-value: the halves of its members share too little to test")?,
    }
    for reason in &campaign.evidence {
        writeln!(out, "  • {}", reason.text)?;
        writeln!(out, "    innocent? {}", reason.innocent)?;
    }
    for example in exhibit.iter().flat_map(|e| &e.examples).take(EXAMPLES_SHOWN) {
        let prompt = if show_texts {
            let line = example.prompt.replace(char::is_control, " ");
            line.chars().take(EXAMPLE_CHARS).collect()
        } else {
            redacted(&example.prompt, EXAMPLE_CHARS)
        };
        let place = match example.line {
            0 => example.id.clone(),
            line => format!("{}:{line}", example.file),
        };
        writeln!(out, "  e.g. {} {place}: {prompt}", example.account)?;
    }
    let shown: Vec<&str> =
        campaign.accounts.iter().take(MEMBERS_SHOWN).map(String::as_str).collect();
    let more = if n > MEMBERS_SHOWN {
        format!(" … {} more (--json lists them)", n - MEMBERS_SHOWN)
    } else {
        String::new()
    };
    writeln!(out, "  {}{more}", shown.join(" "))
}
