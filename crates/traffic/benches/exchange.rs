//! Nanoseconds per exchange of extracting features and observing them: `cargo bench -p
//! stillwatch-traffic`. One thread; exchanges of about 1 kB of text, seed 1; accounts of ten and of
//! a thousand exchanges. Prints the best and the median of eleven rounds.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;
use stillwatch_traffic::{AccountSketch, Extractor, Features, HashKey, Observation};

/// Exchanges of a round.
const N: usize = 50_000;
const ROUNDS: usize = 11;
const START_MS: i64 = 1_788_739_200_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n.max(1) as u64).unwrap_or(0)
    }
}

/// An exchange that owns its texts.
struct Sent {
    account: usize,
    time_ms: i64,
    user: String,
    response: String,
    ip: String,
    agent: &'static str,
}

const FUNCTION: [&str; 24] = [
    "the", "of", "and", "to", "a", "in", "is", "that", "it", "for", "was", "on", "are", "as",
    "with", "they", "be", "at", "this", "have", "from", "or", "one", "by",
];

/// A word of a vocabulary in which a few words are most of the text, as in languages.
fn word(r: &mut Random, vocabulary: &[String], out: &mut String) {
    if !out.is_empty() {
        out.push_str(match r.below(20) {
            0 => ". ",
            1 | 2 => ", ",
            _ => " ",
        });
    }
    match r.below(20) {
        0..9 => out.push_str(FUNCTION[r.below(FUNCTION.len())]),
        9 => out.push_str(&r.below(2_000).to_string()),
        10 => out.push_str(["show", "step", "every", "explain", "detail", "reason"][r.below(6)]),
        _ => {
            let i = (r.below(vocabulary.len()) * r.below(1 << 16)) >> 16;
            out.push_str(&vocabulary[i]);
        }
    }
}

fn text(r: &mut Random, vocabulary: &[String], n_bytes: usize) -> String {
    let mut out = String::with_capacity(n_bytes + 16);
    while out.len() < n_bytes {
        word(r, vocabulary, &mut out);
    }
    out
}

fn corpus(n_accounts: usize) -> Vec<Sent> {
    let mut r = Random(1);
    let vocabulary: Vec<String> = (0..20_000)
        .map(|_| {
            let n = 4 + r.below(7);
            (0..n).map(|_| char::from(b"etaoinshrdlucmfwypvbgk"[r.below(22)])).collect()
        })
        .collect();
    (0..N)
        .map(|i| Sent {
            account: r.below(n_accounts),
            time_ms: START_MS + i64::try_from(i).unwrap_or(0) * 24_000,
            user: text(&mut r, &vocabulary, 350),
            response: text(&mut r, &vocabulary, 500),
            ip: format!("{}.{}.{}.7", 1 + r.below(200), r.below(250), r.below(250)),
            agent: ["openai-python/1.99.1", "Mozilla/5.0 (X11; Linux x86_64) Gecko", "curl/8.9"]
                [r.below(3)],
        })
        .collect()
}

fn observation<'a>(sent: &'a Sent, name: &'a str) -> Observation<'a> {
    Observation {
        account: name,
        plan: "pro",
        time_ms: sent.time_ms,
        model: "large",
        system: "You are a helpful assistant of a large firm. Answer briefly and in good faith.",
        user: &sent.user,
        response: &sent.response,
        n_messages: 2,
        temperature: Some(0.7),
        max_tokens: Some(1024),
        ip: &sent.ip,
        user_agent: sent.agent,
        ..Observation::default()
    }
}

fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let mut extractor = Extractor::new(HashKey::new(&[1; 32]));
    for n_accounts in [N / 10, N / 1_000] {
        let corpus = corpus(n_accounts);
        let bytes: usize = corpus.iter().map(|s| s.user.len() + s.response.len() + 80).sum();
        let mut taken = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let mut features: Vec<Features> = Vec::with_capacity(N);
            for sent in &corpus {
                features.push(extractor.extract(&observation(sent, "a")));
            }
            let extracted = start.elapsed();
            let mut sketches = vec![AccountSketch::default(); n_accounts];
            let start = Instant::now();
            for (sent, features) in corpus.iter().zip(&features) {
                if let Some(sketch) = sketches.get_mut(sent.account) {
                    sketch.observe(features);
                }
            }
            let observed = start.elapsed();
            let seen: u64 = sketches.iter().map(AccountSketch::n).sum();
            assert_eq!(seen, N as u64);
            for (all, one) in taken.iter_mut().zip([extracted, observed]) {
                all.push(one.as_nanos() as f64 / N as f64);
            }
        }
        let mut line =
            format!("{} exchanges per account, {} bytes each:", N / n_accounts, bytes / N);
        let mut sum = 0.0;
        for (what, taken) in ["extract", "observe"].iter().zip(&mut taken) {
            taken.sort_by(f64::total_cmp);
            sum += taken[ROUNDS / 2];
            let (best, median) = (taken[0], taken[ROUNDS / 2]);
            line = format!("{line} {what} {best:.0} (median {median:.0}),");
        }
        if writeln!(out, "{line} both {sum:.0} ns per exchange").is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
