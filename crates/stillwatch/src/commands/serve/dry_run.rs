//! `serve dry-run`: who would have been hit by policies in a log.

use super::failure;
use crate::{
    cli::serve::DryRunArgs,
    outcome::{Exit, Failure},
    printer::Printer,
};
use std::{
    cell::RefCell,
    fmt::Write as _,
    path::{Path, PathBuf},
};
use stillwatch_evidence::{Exchange, JsonLines, Limits, Record, Reject};
use stillwatch_guard::{
    GuardConfig,
    policy::dry_run::{DryRunParams, DryRunReport, dry_run},
};

/// Hits that a person is shown; `--json` lists more.
const HITS_SHOWN: usize = 40;

/// What kept the log from being read.
#[derive(Debug, Default)]
struct Trouble {
    fatal: Option<Failure>,
    n_bad: u64,
    first_bad: Option<Failure>,
}

/// Replays the logs through the policies of the configuration.
pub(super) fn run(args: &DryRunArgs, printer: Printer) -> Result<Exit, Failure> {
    let (report, bad) = replay(&args.policy, &args.logs)?;
    if let Some((n_bad, first)) = bad {
        printer.talk(&format!("{n_bad} lines can't be read, the first: {}", first.message));
    }
    if printer.is_json() {
        printer.json(&report);
    } else {
        printer.out(&in_words(&report));
    }
    Ok(Exit::Clean)
}

/// Bad lines: how many, and the first.
type Bad = Option<(u64, Failure)>;

/// Replays logs through the policies of a configuration's file.
pub(crate) fn replay(policy: &Path, logs: &[PathBuf]) -> Result<(DryRunReport, Bad), Failure> {
    let text = fs_err::read_to_string(policy)
        .map_err(|e| Failure::input("config", e).file(policy.display()))?;
    // Not checked as a whole: a file with policies alone will do.
    let config = GuardConfig::parse(&text, Some(policy)).map_err(|e| failure(&e))?;
    if config.policy.is_empty() {
        let file = policy.display();
        return Err(Failure::input("config", format!("{file}: no [[policy]] in it"))
            .file(file)
            .hint("`stillwatch serve example-config everything` shows how one looks"));
    }
    let trouble = RefCell::new(Trouble::default());
    let exchanges = logs.iter().flat_map(|log| exchanges(log, &trouble));
    let params = DryRunParams { accounts_max: config.live.accounts_max, ..DryRunParams::default() };
    let report = dry_run(&config.policy, exchanges, &params).map_err(|e| failure(&e))?;
    let trouble = trouble.into_inner();
    if let Some(fatal) = trouble.fatal {
        return Err(fatal);
    }
    if report.n_exchanges == 0 {
        return Err(trouble.first_bad.unwrap_or_else(|| {
            Failure::input("log", "the logs hold no exchange")
                .hint("expected JSON lines of exchanges")
        }));
    }
    Ok((report, trouble.first_bad.map(|first| (trouble.n_bad, first))))
}

/// The exchanges of one log; what can't be read goes to `trouble`.
fn exchanges<'a>(
    log: &'a Path,
    trouble: &'a RefCell<Trouble>,
) -> impl Iterator<Item = Exchange> + 'a {
    let fatal = move |error: &dyn std::error::Error| {
        let message = crate::outcome::chain(error);
        let mut trouble = trouble.borrow_mut();
        trouble.fatal.get_or_insert(Failure::input("log", message).file(log.display()));
    };
    let lines = JsonLines::<Exchange>::open(log, &Limits::default());
    let lines = lines.map_err(|error| fatal(&error)).ok();
    lines
        .into_iter()
        .flatten()
        .map_while(move |record| match record {
            Ok(Record::Good { value, .. }) => Some(Some(value)),
            Ok(Record::Bad(reject)) => {
                bad(log, &reject, &mut trouble.borrow_mut());
                Some(None)
            }
            Err(error) => {
                fatal(&error);
                None
            }
        })
        .flatten()
}

fn bad(log: &Path, reject: &Reject, trouble: &mut Trouble) {
    trouble.n_bad += 1;
    trouble.first_bad.get_or_insert_with(|| {
        let message = format!("{}:{}: {}", log.display(), reject.line, reject.reason);
        Failure::input("log", message).file(log.display()).line(Some(reject.line))
    });
}

fn in_words(report: &DryRunReport) -> String {
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "?".to_owned());
    let mut text = format!(
        "{} exchanges of {} accounts, {} to {}\n{} accounts would have been touched without a \
         human\n\n{:<24}{:<20}{:>9}{:>9}{:>10}{:>10}{:>9}",
        report.n_exchanges,
        report.n_accounts,
        time(&report.from),
        time(&report.until),
        report.n_accounts_touched,
        "policy",
        "measure",
        "accounts",
        "share",
        "proposed",
        "requests",
        "share"
    );
    // Writing to a string doesn't fail.
    for policy in &report.policies {
        write!(
            text,
            "\n{:<24}{:<20}{:>9}{:>8.2}%{:>10}{:>10}{:>8.2}%{}",
            policy.policy,
            name(policy.measure),
            policy.accounts,
            100.0 * policy.accounts_share,
            policy.accounts_proposed,
            policy.requests,
            100.0 * policy.requests_share,
            if policy.over_budget { "  over its budget: it would have stopped" } else { "" }
        )
        .ok();
    }
    for hit in report.hits.iter().take(HITS_SHOWN) {
        let why = hit.reasons.first().map_or(hit.reason.as_str(), |reason| reason.text.as_str());
        let state = name(hit.state);
        write!(text, "\n{} {} {} ({state}): {why}", hit.at, hit.account, hit.policy).ok();
    }
    if report.hits.len() > HITS_SHOWN || report.hits_cut {
        write!(text, "\n… {} hits in all; --json lists them", report.hits.len()).ok();
    }
    text
}

/// The stable name of a variant.
pub(crate) fn name(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
