//! Measures the scan on replays: `detection [--seeds 1..5] [--style a|b|c|all|none] [--ordinary N]
//! [--per-class N] [--per-campaign N] [--requests N] [--days N] [--fdr F] [--tests]`.
//!
//! Each replay is written as a log and read back through the readers, the engine and the judge.
//! Prints Markdown: per kind of campaign the accounts found, per class of innocents the accounts
//! hit, with Clopper–Pearson intervals, for the rules alone, for e-BH alone and for both together;
//! `--tests` lists every campaign's e-value with what it really is.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write as _};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use stillwatch_evidence::Silent;
use stillwatch_scan::engine::EngineParams;
use stillwatch_scan::readers::ReadOptions;
use stillwatch_scan::{Innocents, ScanCampaign, ScanParams, ScanResult, scan};
use stillwatch_stats::Alpha;
use stillwatch_testkit::detection::{Flagged, Tally, tables};
use stillwatch_testkit::traffic::{Kind, Label, Replay, ReplayParams, Style};

struct Flags {
    seeds: RangeInclusive<u64>,
    params: ReplayParams,
    fdr: f64,
    tests: bool,
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e| format!("{text}: {e}"))
}

fn flags() -> Result<Flags, String> {
    let mut flags =
        Flags { seeds: 1..=1, params: ReplayParams::default(), fdr: 0.01, tests: false };
    let mut styles = vec![Style::A];
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--seeds" => {
                let text = value()?;
                let (a, b) = text.split_once("..").unwrap_or((&text, &text));
                flags.seeds = number(a)?..=number(b.trim_start_matches('='))?;
            }
            "--style" => {
                styles = match value()?.as_str() {
                    "a" => vec![Style::A],
                    "b" => vec![Style::B],
                    "c" => vec![Style::C],
                    "all" => Style::ALL.to_vec(),
                    "none" => Vec::new(),
                    other => return Err(format!("{other}: expected a, b, c, all or none")),
                };
            }
            "--ordinary" => flags.params.ordinary = number(&value()?)?,
            "--per-class" => flags.params.per_class = number(&value()?)?,
            "--per-campaign" => flags.params.per_campaign = number(&value()?)?,
            "--requests" => flags.params.requests_per_account = number(&value()?)?,
            "--days" => flags.params.days = number(&value()?)?,
            "--fdr" => flags.fdr = number(&value()?)?,
            "--tests" => flags.tests = true,
            _ => return Err(format!("{flag} isn't a flag of this program")),
        }
    }
    flags.params.campaigns =
        styles.iter().flat_map(|style| Kind::ALL.map(|kind| (kind, *style))).collect();
    Ok(flags)
}

fn main() -> ExitCode {
    match flags().and_then(|flags| measure(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _printed = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether a way of deciding flags a campaign.
type Decides = fn(&ScanCampaign) -> bool;

const WAYS: [(&str, Decides); 3] = [
    ("rules", |c| c.flagged),
    ("e-BH alone", |c| c.fdr_rejected == Some(true)),
    ("rules and e-BH", |c| c.flagged && c.fdr_rejected == Some(true)),
];

fn measure(flags: &Flags) -> Result<(), String> {
    let mut tallies = WAYS.map(|(name, _)| (name.to_owned(), Tally::default()));
    let mut out = std::io::stdout();
    for seed in flags.seeds.clone() {
        let params = ReplayParams { seed, ..flags.params.clone() };
        let (result, seen) = one(&params, flags.fdr)?;
        let labels = Replay::new(&params).labels().clone();
        for ((_, tally), (_, decides)) in tallies.iter_mut().zip(WAYS) {
            let groups: Vec<BTreeSet<String>> = result
                .campaigns
                .iter()
                .filter(|c| decides(c))
                .map(|c| c.accounts.iter().cloned().collect())
                .collect();
            let accounts = groups.iter().flatten().cloned().collect();
            tally.add(&labels, &seen, &Flagged { accounts, groups });
        }
        if flags.tests {
            for campaign in &result.campaigns {
                let mut kinds: Vec<String> = campaign
                    .accounts
                    .iter()
                    .filter_map(|a| labels.get(a))
                    .map(|label| match label {
                        Label::Ordinary => "ordinary".to_owned(),
                        Label::Negative(class, i) => format!("{} {i}", class.name()),
                        Label::Campaign(kind, style, _) => {
                            format!("HARVEST {style}: {}", kind.name())
                        }
                    })
                    .collect();
                kinds.sort();
                let most = kinds.chunk_by(|a, b| a == b).max_by_key(|g| g.len());
                let what = most.and_then(|g| g.first()).cloned().unwrap_or_default();
                writeln!(
                    out,
                    "{seed} {} n={} tested={} e={:.3e} rules={} e-bh={:?} {what}",
                    campaign.id,
                    campaign.accounts.len(),
                    campaign.n_tested,
                    campaign.e_value.unwrap_or(f64::NAN),
                    campaign.flagged,
                    campaign.fdr_rejected
                )
                .map_err(|e| e.to_string())?;
            }
        }
    }
    let columns: Vec<(String, &Tally)> = tallies.iter().map(|(n, t)| (n.clone(), t)).collect();
    writeln!(out, "{}", tables(&columns)).map_err(|e| e.to_string())
}

/// Scans one replay: the result, and who asked at all.
fn one(params: &ReplayParams, fdr: f64) -> Result<(ScanResult, BTreeSet<String>), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("log.jsonl");
    let mut file = BufWriter::new(fs_err::File::create(&path).map_err(|e| e.to_string())?);
    let mut seen = BTreeSet::new();
    for exchange in Replay::new(params) {
        if let Some(account) = exchange.account.as_deref().filter(|a| !seen.contains(*a)) {
            seen.insert(account.to_owned());
        }
        serde_json::to_writer(&mut file, &exchange).map_err(|e| e.to_string())?;
        file.write_all(b"\n").map_err(|e| e.to_string())?;
    }
    file.flush().map_err(|e| e.to_string())?;
    let mut hash_key = [7; 32];
    for (place, byte) in hash_key.iter_mut().zip(params.seed.to_le_bytes()) {
        *place ^= byte;
    }
    let params = ScanParams {
        paths: vec![path.display().to_string()],
        read: ReadOptions::default(),
        hash_key,
        seed: Some(params.seed),
        fdr: Alpha::new(fdr).map_err(|e| e.to_string())?,
        innocents: Innocents::default(),
        engine: EngineParams::default(),
    };
    Ok((scan(&params, &Silent).map_err(|e| e.to_string())?.result, seen))
}
