//! `scan --out`: the folder of the case, with the report and the dry run of countermeasures.

use crate::{cli::scan::ScanArgs, commands::serve::dry_run, outcome::Failure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use stillwatch_evidence::Reject;
use stillwatch_scan::{
    ScanResult,
    case::{CaseFiles, digests, write as write_case},
    exhibits::Exhibit,
    readers::{Format, Plan},
    report::{DryRunRow, ReportInput, render},
};

/// Writes the folder.
pub(super) fn write(
    dir: &Path,
    args: &ScanArgs,
    result: &ScanResult,
    exhibits: &BTreeMap<String, Exhibit>,
    plan: &Plan,
    rejects: &[Reject],
) -> Result<(), Failure> {
    let inputs = digests(plan).map_err(|error| Failure::report(&error))?;
    let hashes: Vec<(String, String)> =
        inputs.iter().map(|input| (input.name.clone(), input.sha256.clone())).collect();
    let made = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let dry_run = dry_run_rows(args, result, plan)?;
    let report = render(&ReportInput {
        result,
        exhibits,
        dry_run: &dry_run,
        inputs: &hashes,
        made: &made,
        command: &command(args),
        show_texts: args.show_texts,
    });
    let parameters = serde_json::json!({
        "fdr": args.fdr,
        "format": args.format,
        "map": args.map,
        "all": args.all,
        "innocents": args.innocents,
    });
    let files = CaseFiles {
        result,
        report: &report,
        rejects,
        inputs: &inputs,
        created: &made,
        parameters: &parameters,
    };
    write_case(dir, &files).map_err(|error| Failure::report(&error))
}

/// The policies of `--policy` over the same logs; only our own exchanges can be replayed.
fn dry_run_rows(
    args: &ScanArgs,
    result: &ScanResult,
    plan: &Plan,
) -> Result<Vec<DryRunRow>, Failure> {
    let Some(policy) = &args.policy else { return Ok(Vec::new()) };
    if let Some(other) = plan.detected.iter().find(|d| d.format != Format::Exchange) {
        let message = format!("{}: only exchanges can be replayed", other.file.display());
        return Err(Failure::input("log", message).hint("leave --policy out for other logs"));
    }
    let logs: Vec<std::path::PathBuf> = plan.detected.iter().map(|d| d.file.to_path()).collect();
    let (report, _) = dry_run::replay(policy, &logs)?;
    let flagged: BTreeSet<&str> =
        result.flagged().flat_map(|c| &c.accounts).map(String::as_str).collect();
    let outside = |name: &str| -> u64 {
        let hits = report.hits.iter().filter(|hit| hit.policy == name);
        let accounts: BTreeSet<&str> = hits.map(|hit| hit.account.as_str()).collect();
        accounts.difference(&flagged).count() as u64
    };
    Ok(report
        .policies
        .iter()
        .map(|policy| DryRunRow {
            policy: policy.policy.clone(),
            measure: dry_run::name(policy.measure),
            accounts: policy.accounts,
            accounts_outside: outside(&policy.policy),
            accounts_proposed: policy.accounts_proposed,
            requests_share: policy.requests_share,
        })
        .collect())
}

/// The command that repeats the scan.
fn command(args: &ScanArgs) -> String {
    let mut words = vec!["stillwatch scan".to_owned()];
    words.extend(args.logs.iter().cloned());
    let mut flag = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("--{name} {value}")));
    };
    flag("format", args.format.clone());
    for map in &args.map {
        flag("map", Some(format!("'{map}'")));
    }
    flag("fdr", Some(args.fdr.to_string()));
    flag("innocents", args.innocents.as_ref().map(|file| file.display().to_string()));
    flag("seed", args.seed.map(|seed| seed.to_string()));
    words.join(" ")
}
