//! `serve exposures`: what was captured, as a file for `audit`.

use super::{failure, settings};
use crate::{
    cli::serve::ExposuresArgs,
    outcome::{Exit, Failure},
    printer::Printer,
};
use jiff::Timestamp;
use std::io::{self, BufWriter, Write as _};
use stillwatch_guard::exposure::{self, Exported};

/// Writes the exposures; says on standard error, or as JSON, what is in the file and what isn't.
pub(super) fn run(args: &ExposuresArgs, printer: Printer) -> Result<Exit, Failure> {
    if printer.is_json() && args.out.is_none() {
        let message = "--json prints what was written, so the exposures need a file";
        return Err(Failure::input("usage", message).hint("add --out exposures.jsonl"));
    }
    let config = settings(&args.place)?;
    let now = Some(Timestamp::now());
    let exported = match &args.out {
        Some(path) => {
            let io = |e: io::Error| Failure::input("io", e).file(path.display());
            let mut out = BufWriter::new(fs_err::File::create(path).map_err(io)?);
            let exported = exposure::export(&config.data, &mut out, now);
            out.flush().map_err(io)?;
            exported
        }
        None => exposure::export(&config.data, &mut io::stdout().lock(), now),
    };
    let exported = exported.map_err(|e| failure(&e))?;
    if printer.is_json() {
        printer.json(&exported);
    } else {
        printer.talk(&in_words(&exported));
    }
    Ok(Exit::Clean)
}

fn in_words(exported: &Exported) -> String {
    let mut lines = vec![format!("{} exposures", exported.n_exposures)];
    if let Some([first, last]) = exported.sequences {
        lines.push(format!("sequence numbers {first} to {last} of the ledger"));
    }
    for (reason, n) in &exported.set_aside {
        lines.push(format!("{n} of them are set aside: {reason}"));
    }
    let left_out = &exported.left_out;
    for (n, why) in [
        (left_out.unfinished, "have no second entry; an audit counts them as adverse"),
        (left_out.not_under_a_head, "are under no signed head yet; export again later"),
        (left_out.deleted, "belong to accounts that were deleted"),
        (left_out.not_kept, "aren't kept any more; an audit's range must begin after them"),
    ] {
        if n > 0 {
            lines.push(format!("{n} more {why}"));
        }
    }
    if exported.is_running {
        lines.push("a guard is running: its last head decides what is in".to_owned());
    }
    lines.join("\n")
}
