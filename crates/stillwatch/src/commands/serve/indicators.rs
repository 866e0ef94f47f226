//! `serve indicators`: what campaigns share, to and from other providers, without prompts.

use super::{block_on, environment, failure, settings};
use crate::{
    cli::serve::{IndicatorExportArgs, IndicatorMatchArgs, IndicatorsStep, PlaceArgs},
    outcome::{Exit, Failure},
    printer::Printer,
};
use std::fmt::Write as _;
use stillwatch_evidence::{atomic, ledger::OsEntropy};
use stillwatch_guard::{
    Clock as _, SystemClock, live,
    sharing::{self, FILE_BYTES_MAX, MatchReport, Share, SharedKey},
    store::Store,
};
use stillwatch_traffic::Analysis;

/// Runs one step.
pub(super) fn run(step: &IndicatorsStep, printer: Printer) -> Result<Exit, Failure> {
    match step {
        IndicatorsStep::Export(args) => export(args, printer),
        IndicatorsStep::Match(args) => compare(args, printer),
    }
}

/// The key that the configuration names, and what is known here.
fn known(place: &PlaceArgs) -> Result<(SharedKey, Analysis), Failure> {
    let config = settings(place)?;
    let secrets = environment(&config);
    let key = SharedKey::of(&config.sharing, &secrets).map_err(|e| failure(&e))?;
    let key = key.ok_or_else(|| {
        Failure::input("config", "no key for sharing is named").hint(
            "agree on 64 random hexadecimal digits with the other provider, put them into a \
             variable, and name it in the configuration: [sharing] key_env = \"…\"",
        )
    })?;
    let analysis = block_on(async {
        let store = Store::open(&config.store, &config.data, &secrets).await;
        let store = store.map_err(|e| failure(&e))?;
        let now_ms = SystemClock.now_ms();
        let analysis = live::stored_analysis(&store, &config.live, key.traffic_key(), now_ms).await;
        store.close().await;
        analysis.map_err(|e| failure(&e))
    })?;
    Ok((key, analysis))
}

fn export(args: &IndicatorExportArgs, printer: Printer) -> Result<Exit, Failure> {
    let (key, analysis) = known(&args.place)?;
    let now_ms = SystemClock.now_ms();
    let shares: Vec<Share<'_>> = analysis
        .campaigns
        .iter()
        .map(|campaign| Share { campaign, first_seen_ms: None, last_seen_ms: now_ms })
        .collect();
    let file = sharing::export_file(&key, &args.source, &shares, now_ms, &mut OsEntropy)
        .map_err(|e| failure(&e))?;
    atomic::write(&args.file, &file.to_json()).map_err(|e| Failure::report(&e))?;
    if printer.is_json() {
        printer.json(&serde_json::json!({ "campaigns": file.campaigns.len() }));
    } else {
        let n = file.campaigns.len();
        printer.out(&format!("{n} flagged campaigns in {}", args.file.display()));
    }
    Ok(Exit::Clean)
}

fn compare(args: &IndicatorMatchArgs, printer: Printer) -> Result<Exit, Failure> {
    let io = |e: std::io::Error| Failure::input("io", e).file(args.file.display());
    let bytes = fs_err::metadata(&args.file).map_err(io)?.len();
    if bytes > FILE_BYTES_MAX as u64 {
        let message = format!("{}: {bytes} bytes, no file of indicators", args.file.display());
        return Err(Failure::input("indicators", message).file(args.file.display()));
    }
    let text = fs_err::read(&args.file).map_err(io)?;
    let (key, analysis) = known(&args.place)?;
    let file = sharing::import_file(&key, &text).map_err(|e| {
        let failure = failure(&e);
        let message = format!("{}: {}", args.file.display(), failure.message);
        Failure { message, ..failure }.file(args.file.display())
    })?;
    let report = sharing::matches(&key, &file, &sharing::local_campaigns(&analysis))
        .map_err(|e| failure(&e))?;
    if printer.is_json() {
        printer.json(&report);
    } else {
        printer.out(&in_words(&report));
    }
    Ok(Exit::Clean)
}

fn in_words(report: &MatchReport) -> String {
    let mut text = format!(
        "{} matches with the file of {}; of {} groups that aren't flagged here {} match: {:.2}% (at \
         most {:.2}%)",
        report.matches.len(),
        report.source,
        report.n_benign,
        report.n_benign_matched,
        100.0 * report.false_match_rate,
        100.0 * report.false_match_rate_max
    );
    for found in &report.matches {
        let flagged = if found.flagged { "flagged here too" } else { "not flagged here" };
        // Writing to a string doesn't fail.
        write!(
            text,
            "\n{} ({flagged}) meets {} in {} of {} items; by chance {:.1e}",
            found.local, found.shared, found.matched, found.of, found.by_hashing
        )
        .ok();
    }
    text.extend(["\n", &report.note]);
    text
}
