//! Writes the shipped sample log and its labels: `sample FOLDER`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use stillwatch_testkit::traffic::{sample, write_labels, write_log};

fn main() -> ExitCode {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _printed = writeln!(std::io::stderr(), "{folder}: {error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of two files, which names the folder")]
fn write(folder: &Path) -> std::io::Result<()> {
    let params = sample();
    let log = File::create(folder.join("sample.jsonl.zst"))?;
    let mut log = zstd::Encoder::new(log, 19)?;
    write_log(&params, &mut log)?;
    log.finish()?.sync_all()?;
    write_labels(&params, BufWriter::new(File::create(folder.join("labels.csv"))?))
}
