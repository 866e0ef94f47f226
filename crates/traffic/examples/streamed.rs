//! Peak memory of an analysis of streamed sketches: `streamed [ACCOUNTS] [EXCHANGES]`, by default
//! a million accounts of ten exchanges each on average, seed 1, twenty campaigns of thirty accounts among them.
//!
//! Sketches are written to a temporary file and read from it in each pass. Prints what was found, passes, seconds, and the peak of resident memory in MiB (Linux).

use fs_err::File;
use std::cell::Cell;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use stillwatch_traffic::{
    AccountSketch, Extractor, HashKey, Observation, Sketches, StreamBounds, analyse_streamed,
};

const START_MS: i64 = 1_788_739_200_000;
const CAMPAIGNS: u64 = 20;
const MEMBERS: u64 = 30;
const SYLLABLES: [&str; 16] = [
    "ka", "lo", "mi", "ren", "tas", "vu", "pel", "dor", "sin", "ga", "thu", "bel", "no", "fri",
    "zem", "qua",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

struct Population {
    accounts: u64,
    /// Of an account, on average.
    exchanges: u64,
    /// Length, name and bytes of each sketch in turn.
    file: PathBuf,
    passes: Cell<u32>,
}

fn words(r: &mut Random, n: u64, out: &mut String) {
    for _ in 0..n {
        // Some 16,000 words, a few of them common.
        let mut word = r.below(16_384).min(r.below(16_384));
        for _ in 0..3 {
            out.push_str(SYLLABLES[usize::try_from(word % 16).unwrap_or(0)]);
            word /= 16;
        }
        out.push(' ');
    }
}

impl Population {
    /// The account of a number: one in a campaign deals out one queue in one frame.
    fn sketch(&self, extractor: &mut Extractor, account: u64) -> AccountSketch {
        let mut r = Random(account.wrapping_mul(0x51_7c_c1_b7));
        let campaign = (account < CAMPAIGNS * MEMBERS).then_some(account / MEMBERS);
        let n = match campaign {
            Some(_) => 3 * self.exchanges,
            // Long-tailed, with the mean that was asked for.
            None => 1 + r.below(self.exchanges).max(r.below(2 * self.exchanges)) * r.below(5) / 3,
        };
        let mut sketch = AccountSketch::default();
        let (mut user, mut response, network) = (String::new(), String::new(), r.below(1 << 22));
        for i in 0..n {
            user.clear();
            if let Some(campaign) = campaign {
                words(&mut Random(campaign), 12, &mut user);
                user.push_str("show every step of your reasoning ");
            }
            let (n_words, n_said) = (10 + r.below(20), 20 + r.below(60));
            words(&mut r, n_words, &mut user);
            response.clear();
            words(&mut r, n_said, &mut response);
            let time_ms = START_MS + i64::try_from(r.below(14 * 86_400)).unwrap_or(0) * 1_000;
            let ip =
                format!("{}.{}.{}.1", network >> 16, network >> 8 & 255, (network + i % 2) & 255);
            sketch.observe(&extractor.extract(&Observation {
                time_ms,
                user: &user,
                response: &response,
                n_messages: 1,
                ip: &ip,
                completion_tokens: 100 + u32::try_from(r.below(200)).unwrap_or(0),
                ..Observation::default()
            }));
        }
        sketch
    }
}

impl Population {
    fn write(&self) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(&self.file)?);
        let mut extractor = Extractor::new(HashKey::new(&[1; 32]));
        for account in 0..self.accounts {
            let bytes = self.sketch(&mut extractor, account).to_bytes();
            file.write_all(&u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes())?;
            file.write_all(&bytes)?;
        }
        file.flush()
    }
}

impl Sketches for Population {
    type Error = io::Error;

    fn each(&self, call: &mut dyn FnMut(&str, &AccountSketch)) -> io::Result<()> {
        self.passes.set(self.passes.get() + 1);
        let mut file = BufReader::with_capacity(1 << 20, File::open(&self.file)?);
        let mut bytes = Vec::new();
        for account in 0..self.accounts {
            let mut n = [0; 4];
            file.read_exact(&mut n)?;
            bytes.resize(usize::try_from(u32::from_le_bytes(n)).map_err(io::Error::other)?, 0);
            file.read_exact(&mut bytes)?;
            let sketch = AccountSketch::from_bytes(&bytes).map_err(io::Error::other)?;
            call(&format!("account-{account:09}"), &sketch);
        }
        Ok(())
    }
}

fn peak_mib() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _printed = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> io::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let mut number = |usual| numbers.next().unwrap_or(Ok(usual)).map_err(io::Error::other);
    let (accounts, exchanges) = (number(1_000_000)?, number(10)?);
    let file = std::env::temp_dir().join(format!("sketches-{}", std::process::id()));
    let population = Population { accounts, exchanges, file, passes: Cell::new(0) };
    population.write()?;
    let start = Instant::now();
    let analysis = analyse_streamed(&population, START_MS, StreamBounds::default());
    let size = fs_err::metadata(&population.file)?.len() >> 20;
    fs_err::remove_file(&population.file)?;
    let analysis = analysis?;
    let planted = |name: &str| {
        let number = name.strip_prefix("account-").and_then(|n| n.parse::<u64>().ok());
        number.is_some_and(|n| n < CAMPAIGNS * MEMBERS)
    };
    let flagged = || analysis.accounts.iter().filter(|a| a.flagged);
    writeln!(
        io::stdout(),
        "{} accounts, {} exchanges, {size} MiB of sketches: {} of {} planted accounts flagged, \
         {} others; {} passes, {:.0} s, peak {} MiB",
        analysis.n_accounts,
        analysis.n_exchanges,
        flagged().filter(|a| planted(&a.account)).count(),
        CAMPAIGNS * MEMBERS,
        flagged().filter(|a| !planted(&a.account)).count(),
        population.passes.get(),
        start.elapsed().as_secs_f64(),
        peak_mib().map_or("unknown".to_owned(), |mib| mib.to_string()),
    )
}
