//! `scan`: who harvested, by the logs that are there.

use crate::{
    cli::scan::ScanArgs,
    outcome::{Exit, Failure},
    printer::Printer,
};
use std::fmt::Write as _;
use stillwatch_scan::{ScanParams, ScanResult, scan};

/// Scans logs and says what is found.
pub fn run(args: &ScanArgs, printer: Printer) -> Result<Exit, Failure> {
    let params =
        ScanParams { paths: args.logs.clone(), hash_key: hash_key(args.seed)?, fdr: args.fdr };
    let mut result = scan(&params).map_err(|error| Failure::report(&error))?;
    if !args.all {
        result.accounts.retain(|account| account.flagged);
    }
    let found = result.campaigns.iter().any(|campaign| campaign.flagged);
    if printer.is_json() {
        printer.json(&result);
    } else {
        printer.out(&in_words(&result));
    }
    Ok(match (result.partial, found) {
        (true, _) => Exit::Partial,
        (false, true) => Exit::Finding,
        (false, false) => Exit::Clean,
    })
}

/// The key of all hashes: random, or the seed's.
fn hash_key(seed: Option<u64>) -> Result<[u8; 32], Failure> {
    let mut key = [0; 32];
    match seed {
        Some(seed) => {
            for (to, from) in key.iter_mut().zip(seed.to_le_bytes()) {
                *to = from;
            }
        }
        None => getrandom::fill(&mut key)
            .map_err(|error| Failure::new(Exit::Internal, "randomness", error))?,
    }
    Ok(key)
}

fn in_words(result: &ScanResult) -> String {
    let mut text = format!(
        "{} exchanges of {} accounts, {} bad lines",
        result.n_exchanges, result.n_accounts, result.n_rejected
    );
    // Writing to a string doesn't fail.
    for campaign in result.campaigns.iter().filter(|c| c.flagged) {
        write!(text, "\n{} · {} accounts", campaign.id, campaign.accounts.len()).ok();
        for reason in &campaign.evidence {
            write!(text, "\n  {}", reason.text).ok();
        }
        write!(text, "\n  {}", campaign.accounts.join(" ")).ok();
    }
    text
}
