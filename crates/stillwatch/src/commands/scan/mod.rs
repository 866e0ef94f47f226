//! `scan`: who harvested, by the logs that are there.

mod case;

use crate::{
    cli::scan::ScanArgs,
    outcome::{Exit, Failure},
    printer::Printer,
    progress::Bars,
};
use std::path::Path;
use stillwatch_evidence::{Progress as _, Reject, write_rejects};
use stillwatch_scan::engine::EngineParams;
use stillwatch_scan::readers::{Format, Mapping, ReadOptions};
use stillwatch_scan::{Alpha, Innocents, ScanParams, Scanned, exhibits::exhibits, scan, words};

/// Scans logs and says what is found.
pub fn run(args: &ScanArgs, printer: Printer) -> Result<Exit, Failure> {
    let params = params(args)?;
    let bars = Bars::new();
    let Scanned { mut result, plan, rejects } =
        scan(&params, &bars).map_err(|error| Failure::report(&error))?;
    talk(&result, printer);
    keep_rejects(args, &rejects, printer)?;
    let found = result.flagged().next().is_some();
    let exhibits =
        exhibits(&result, &plan.units, &bars).map_err(|error| Failure::report(&error))?;
    result.partial |= bars.stop_requested();
    if !args.all {
        result.keep_flagged();
    }
    if let Some(dir) = &args.out {
        case::write(dir, args, &result, &exhibits, &plan, &named(&rejects))?;
        printer.talk(&format!("case: {}", dir.display()));
    }
    if printer.is_json() {
        printer.json(&result);
    } else {
        printer.out(&words::in_words(&result, &exhibits, args.show_texts));
    }
    Ok(match (result.partial, found) {
        (true, _) => Exit::Partial,
        (false, true) => Exit::Finding,
        (false, false) => Exit::Clean,
    })
}

fn params(args: &ScanArgs) -> Result<ScanParams, Failure> {
    let format = args.format.as_deref().map(str::parse::<Format>).transpose();
    let mapping = Mapping::new(&args.map);
    Ok(ScanParams {
        paths: args.logs.clone(),
        read: ReadOptions {
            format: format.map_err(|e| Failure::input("usage", format!("--format: {e}")))?,
            mapping: mapping.map_err(|e| Failure::input("usage", format!("--map: {e}")))?,
            ..ReadOptions::default()
        },
        hash_key: hash_key(args.seed)?,
        seed: args.seed,
        fdr: Alpha::new(args.fdr)
            .map_err(|e| Failure::input("usage", format!("--fdr {}: {e}", args.fdr)))?,
        innocents: innocents(args.innocents.as_deref())?,
        engine: EngineParams::default(),
    })
}

/// What was found to be what, and what couldn't be read.
fn talk(result: &stillwatch_scan::ScanResult, printer: Printer) {
    const SHOWN: usize = 20;
    for file in result.files.iter().take(SHOWN) {
        printer.talk(&format!("{}: {} ({})", file.file, file.format, file.why));
    }
    if result.files.len() > SHOWN {
        printer.talk(&format!("… {} logs in all", result.files.len()));
    }
    for unreadable in &result.unreadable {
        printer.talk(&format!("{}: not read: {}", unreadable.file, unreadable.reason));
    }
}

/// Says how many lines can't be read, and keeps them where that is wanted.
fn keep_rejects(
    args: &ScanArgs,
    rejects: &[(String, Reject)],
    printer: Printer,
) -> Result<(), Failure> {
    if let Some((file, first)) = rejects.first() {
        let n = rejects.len();
        printer.talk(&format!("{n} bad lines; the first: {file}:{}: {}", first.line, first.reason));
        if args.rejects.is_none() {
            printer.talk("hint: --rejects FILE keeps them, each with its reason");
        }
    }
    let Some(to) = &args.rejects else { return Ok(()) };
    write_rejects(to, &named(rejects)).map_err(|error| Failure::report(&error))
}

/// Rejects with the file in the reason.
fn named(rejects: &[(String, Reject)]) -> Vec<Reject> {
    let of = |(file, reject): &(String, Reject)| Reject {
        reason: format!("{file}: {}", reject.reason),
        ..reject.clone()
    };
    rejects.iter().map(of).collect()
}

/// Accounts declared innocent.
fn innocents(file: Option<&Path>) -> Result<Innocents, Failure> {
    let Some(file) = file else { return Ok(Innocents::default()) };
    let text = fs_err::read_to_string(file)
        .map_err(|e| Failure::input("innocents", e).file(file.display()))?;
    Innocents::parse(&text).map_err(|(line, problem)| {
        let message = format!("{}:{line}: {problem}", file.display());
        Failure::input("innocents", message).file(file.display()).line(Some(line))
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
