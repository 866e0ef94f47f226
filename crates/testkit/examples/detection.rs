//! Measures detection on replays:
//! `detection --seeds 1..5 [--requests-per-account 25,100] [--style a|b|c|all|none] [--ordinary N]
//! [--per-class N] [--per-campaign N] [--days N] [--asked N] [--rules] [--misses]`.
//!
//! Prints Markdown: per kind of campaign the accounts found, per class of innocents the accounts
//! hit, with intervals. `--rules` replays published rules and a distance test on the same logs;
//! `--misses` lists, on the error stream, who was hit by mistake and why.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use stillwatch_testkit::detection::{
    Detector, Flagged, NearestDistance, PublishedRules, Stillwatch, Tally, run, tables,
};
use stillwatch_testkit::traffic::{Kind, Label, Replay, ReplayParams, Style};

struct Flags {
    seeds: RangeInclusive<u64>,
    requests: Vec<usize>,
    styles: Vec<Style>,
    params: ReplayParams,
    asked: u32,
    rules: bool,
    misses: bool,
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e| format!("{text}: {e}"))
}

fn flags() -> Result<Flags, String> {
    let mut flags = Flags {
        seeds: 1..=1,
        requests: vec![25],
        styles: vec![Style::A],
        params: ReplayParams::default(),
        asked: 14,
        rules: false,
        misses: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--seeds" => {
                let text = value()?;
                let (a, b) = text.split_once("..").unwrap_or((&text, &text));
                flags.seeds = number(a)?..=number(b.trim_start_matches('='))?;
            }
            "--requests-per-account" => {
                flags.requests = value()?.split(',').map(number).collect::<Result<_, _>>()?;
            }
            "--style" => {
                flags.styles = match value()?.as_str() {
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
            "--days" => flags.params.days = number(&value()?)?,
            "--asked" => flags.asked = number(&value()?)?,
            "--rules" => flags.rules = true,
            "--misses" => flags.misses = true,
            _ => return Err(format!("{flag} isn't a flag of this program")),
        }
    }
    let styles = flags.styles.clone();
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

fn measure(flags: &Flags) -> Result<(), String> {
    let mut tallies = BTreeMap::<String, Vec<(String, Tally)>>::new();
    for requests in &flags.requests {
        for seed in flags.seeds.clone() {
            let params =
                ReplayParams { seed, requests_per_account: *requests, ..flags.params.clone() };
            for (name, labels, seen, flagged) in one(&params, flags) {
                let columns = tallies.entry(name).or_default();
                let column = format!("{requests} requests");
                if columns.last().is_none_or(|(name, _)| *name != column) {
                    columns.push((column, Tally::default()));
                }
                if let Some((_, tally)) = columns.last_mut() {
                    tally.add(&labels, &seen, &flagged);
                }
            }
        }
    }
    let mut out = std::io::stdout();
    for (name, columns) in &tallies {
        let columns: Vec<(String, &Tally)> =
            columns.iter().map(|(column, tally)| (column.clone(), tally)).collect();
        let (first, last) = (flags.seeds.start(), flags.seeds.end());
        writeln!(out, "## {name}, seeds {first} to {last}\n\n{}", tables(&columns))
            .map_err(|e| e.to_string())?;
    }
    Ok(())
}

type Outcome = (String, BTreeMap<String, Label>, BTreeSet<String>, Flagged);

fn one(params: &ReplayParams, flags: &Flags) -> Vec<Outcome> {
    let labels = Replay::new(params).labels().clone();
    let mut seen = Seen::default();
    let mut ours = Stillwatch::new(params.seed);
    let mut rules = PublishedRules::new();
    let mut distance = NearestDistance::new();
    let mut detectors: Vec<&mut dyn Detector> = vec![&mut seen, &mut ours];
    if flags.rules {
        detectors.push(&mut rules);
        detectors.push(&mut distance);
    }
    let flagged = run(params, &mut detectors, flags.asked);
    let mut outcomes = Vec::new();
    let mut push = |name: &str, flagged: Flagged| {
        outcomes.push((name.to_owned(), labels.clone(), seen.0.clone(), flagged));
    };
    if flags.misses {
        say_misses(&ours, &labels, flagged.get(1));
    }
    push("stillwatch", flagged.get(1).cloned().unwrap_or_default());
    if flags.rules {
        let innocent = |account: &str| labels.get(account).is_some_and(|l| !l.harvests());
        push("published rules, own threshold", flagged.get(2).cloned().unwrap_or_default());
        push("published rules at 0.1% of innocents", rules.at_false_alarms(innocent, 0.001));
        push("published rules at 1% of innocents", rules.at_false_alarms(innocent, 0.01));
        push("nearest distance at 1% of innocents", distance.at_false_alarms(innocent, 0.01));
    }
    outcomes
}

/// Notes who asked at all.
#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Detector for Seen {
    fn name(&self) -> &'static str {
        "seen"
    }

    fn observe(&mut self, exchange: &stillwatch_evidence::Exchange) {
        if let Some(account) = exchange.account.as_deref().filter(|a| !self.0.contains(*a)) {
            self.0.insert(account.to_owned());
        }
    }

    fn flagged(&mut self, _now_ms: i64) -> Flagged {
        Flagged::default()
    }
}

/// Innocents hit, and harvesters missed, with the reasons that were given at the end.
fn say_misses(ours: &Stillwatch, labels: &BTreeMap<String, Label>, ever: Option<&Flagged>) {
    let (Some(analysis), Some(ever)) = (ours.last(), ever) else { return };
    let mut err = std::io::stderr();
    for (account, label) in labels {
        if ever.accounts.contains(account) == label.harvests() {
            continue;
        }
        let risk = analysis.accounts.iter().find(|a| a.account == *account);
        let reasons: Vec<String> = risk
            .iter()
            .flat_map(|risk| &risk.reasons)
            .map(|r| format!("{}={:.2}/{:.2}", r.code, r.value, r.baseline))
            .collect();
        if label.harvests() || !reasons.is_empty() || ever.accounts.contains(account) {
            let score = risk.map_or(0.0, |r| r.score);
            let _printed = writeln!(err, "{account} {label:?} {score:.2} {}", reasons.join(" "));
        }
    }
}
