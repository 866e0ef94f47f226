//! Writes a replay as a log: `replay LOG LABELS [SEED [ACCOUNTS]]`.
//!
//! LOG: exchanges as JSON lines, in order of time. LABELS: `account,class,instance` as CSV. For
//! trying log readers, dry runs and other detectors on the traffic that ours was measured on.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::ExitCode;
use stillwatch_testkit::traffic::{Kind, Label, Replay, ReplayParams, Style};

fn main() -> ExitCode {
    match run() {
        Ok(n) => {
            let _printed = writeln!(std::io::stderr(), "{n} exchanges");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _printed = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of two files, which names them itself")]
fn create(path: &str) -> Result<BufWriter<File>, String> {
    File::create(path).map(BufWriter::new).map_err(|e| format!("{path}: {e}"))
}

fn run() -> Result<usize, String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [log, labels, numbers @ ..] = words.as_slice() else {
        return Err("expected: replay LOG LABELS [SEED [ACCOUNTS]]".to_owned());
    };
    let number = |at: usize, otherwise: usize| match numbers.get(at) {
        Some(text) => text.parse::<usize>().map_err(|e| format!("{text}: {e}")),
        None => Ok(otherwise),
    };
    let ordinary = number(1, 2_000)?;
    let params = ReplayParams {
        seed: number(0, 1)? as u64,
        ordinary,
        per_class: ordinary / 50,
        per_campaign: ordinary / 100,
        campaigns: Style::ALL
            .iter()
            .flat_map(|style| Kind::ALL.map(|kind| (kind, *style)))
            .collect(),
        ..ReplayParams::default()
    };
    let replay = Replay::new(&params);
    let mut out = create(labels)?;
    for (account, label) in replay.labels() {
        let line = match label {
            Label::Ordinary => format!("{account},ordinary,0"),
            Label::Negative(class, instance) => format!("{account},{},{instance}", class.name()),
            Label::Campaign(kind, style, id) => {
                format!("{account},campaign {style}: {},{id}", kind.name())
            }
        };
        writeln!(out, "{line}").map_err(|e| format!("{labels}: {e}"))?;
    }
    out.flush().map_err(|e| format!("{labels}: {e}"))?;
    let mut out = create(log)?;
    let mut n = 0;
    for exchange in replay {
        let line = serde_json::to_string(&exchange).map_err(|e| e.to_string())?;
        writeln!(out, "{line}").map_err(|e| format!("{log}: {e}"))?;
        n += 1;
    }
    out.flush().map_err(|e| format!("{log}: {e}"))?;
    Ok(n)
}
