//! How fast our own exchanges are read, beside the parsers alone on the same bytes.
//!
//! `cargo bench -p stillwatch-scan --bench readers [-- MIB SEED]`: replayed traffic of about 1 kB
//! a line, in a file that the page cache holds. Each way runs ten times on one core; the best
//! counts. "sonic-rs" and "simd-json" build a tree of every line and drop it: what a parser costs
//! whose work nobody uses. "skip" lets sonic-rs pass over a line without keeping anything: its
//! ceiling.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use stillwatch_evidence::Reject;
use stillwatch_scan::input;
use stillwatch_scan::readers::{ReadOptions, Sink, plan, read_unit};
use stillwatch_scan::row::LogRow;
use stillwatch_testkit::traffic::{Replay, ReplayParams};

const ROUNDS: usize = 10;
/// Lines are filled up to this many bytes by longer answers.
const LINE_BYTES: usize = 1000;

type Failure = Box<dyn std::error::Error>;

/// One way of reading a file: how many lines it met.
type Way = fn(&Path) -> Result<u64, Failure>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let numbers: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let mib = numbers.first().copied().unwrap_or(256);
    let seed = numbers.get(1).copied().unwrap_or(1);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log.jsonl");
    let lines = generate(&path, mib * 1024 * 1024, seed)?;
    let bytes = path.metadata()?.len();
    say(&format!("{lines} lines, {bytes} bytes, seed {seed}"));
    let ways: [(&str, Way); 6] = [
        ("lines alone", |path| each_line(path, |_| true)),
        ("skip (sonic-rs)", |path| {
            each_line(path, |line| sonic_rs::from_slice::<serde::de::IgnoredAny>(line).is_ok())
        }),
        ("tree (sonic-rs)", |path| {
            each_line(path, |line| sonic_rs::from_slice::<sonic_rs::Value>(line).is_ok())
        }),
        ("tree (simd-json)", |path| {
            each_line(path, |line| simd_json::to_borrowed_value(line).is_ok())
        }),
        ("tree (serde_json)", |path| {
            each_line(path, |line| serde_json::from_slice::<serde_json::Value>(line).is_ok())
        }),
        ("reader", reader),
    ];
    // Round by round, so that a machine that is slow for a while is so for all of them.
    let mut best = [f64::INFINITY; 6];
    for _ in 0..ROUNDS {
        for ((name, way), best) in ways.iter().zip(&mut best) {
            let begin = Instant::now();
            let n = way(&path)?;
            *best = best.min(begin.elapsed().as_secs_f64());
            if n != lines {
                return Err(format!("{name}: {n} of {lines} lines").into());
            }
        }
    }
    for ((name, _), best) in ways.iter().zip(best) {
        let rate = lines as f64 / best;
        say(&format!(
            "{name:>18}: {rate:>9.0} lines/s, {:>5.2} us a line, {:>6.0} MB/s",
            1e6 / rate,
            bytes as f64 / best / 1e6
        ));
    }
    Ok(())
}

fn generate(path: &Path, bytes: u64, seed: u64) -> Result<u64, Failure> {
    let mut out = BufWriter::new(fs_err::File::create(path)?);
    let (mut written, mut lines) = (0, 0);
    let params = ReplayParams { seed, ..ReplayParams::default() };
    while written < bytes {
        for mut exchange in Replay::new(&params) {
            let text = exchange.response.text.clone();
            let mut json = serde_json::to_vec(&exchange)?;
            while json.len() < LINE_BYTES && !text.is_empty() {
                exchange.response.text.push(' ');
                exchange.response.text.push_str(&text);
                json = serde_json::to_vec(&exchange)?;
            }
            out.write_all(&json)?;
            out.write_all(b"\n")?;
            written += json.len() as u64 + 1;
            lines += 1;
            if written >= bytes {
                break;
            }
        }
    }
    out.flush()?;
    Ok(lines)
}

fn each_line(path: &Path, mut take: impl FnMut(&mut [u8]) -> bool) -> Result<u64, Failure> {
    let mut reader = BufReader::with_capacity(1 << 16, fs_err::File::open(path)?);
    let mut line = Vec::new();
    let mut n = 0;
    while reader.read_until(b'\n', &mut line)? > 0 {
        n += u64::from(take(&mut line));
        line.clear();
    }
    Ok(n)
}

/// Looks at every text of a row, so that none of the work can be left out.
#[derive(Default)]
struct Look {
    n: u64,
    bytes: usize,
}

impl Sink for Look {
    fn row(&mut self, _line: u64, row: &LogRow<'_>) {
        self.n += 1;
        self.bytes += row.user.len() + row.response.len() + row.system.len();
    }

    fn reject(&mut self, _reject: Reject) {}
}

fn reader(path: &Path) -> Result<u64, Failure> {
    let inputs = input::find(&[path.display().to_string()])?;
    let mut look = Look::default();
    for unit in plan(&inputs, &ReadOptions::default())?.units {
        read_unit(&unit, &mut look)?;
    }
    std::hint::black_box(look.bytes);
    Ok(look.n)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn say(line: &str) {
    println!("{line}");
}
