//! How fast exchanges are taken in, how large accounts become, how long an analysis takes:
//! `throughput [ACCOUNTS] [EXCHANGES_PER_ACCOUNT]`. One thread; prompts of about 1 kB and answers
//! of about 2 kB, every word drawn from 5,000.

use std::io::Write as _;
use std::time::Instant;
use stillwatch_traffic::{Extractor, HashKey, Live, LiveParams, Observation};

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 31)
}

fn text(state: &mut u64, n_bytes: usize) -> String {
    let mut out = String::with_capacity(n_bytes + 16);
    while out.len() < n_bytes {
        let mut word = next(state) % 5_000 + 30;
        while word > 0 {
            out.push(char::from(b'a' + u8::try_from(word % 26).unwrap_or(0)));
            word /= 9;
        }
        out.push(' ');
    }
    out
}

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1).filter_map(|a| a.parse::<usize>().ok());
    let (n_accounts, per_account) = (args.next().unwrap_or(10_000), args.next().unwrap_or(20));
    let mut out = std::io::stdout();
    let mut state = 1;
    let texts: Vec<(String, String)> =
        (0..2_000).map(|_| (text(&mut state, 1_000), text(&mut state, 2_000))).collect();
    let names: Vec<String> = (0..n_accounts).map(|i| format!("account-{i:06}")).collect();
    let observation = |i: usize| {
        let (user, response) = texts.get(i * 7 % texts.len()).cloned().unwrap_or_default();
        (user, response, names.get(i % n_accounts).cloned().unwrap_or_default())
    };

    let mut extractor = Extractor::new(HashKey::new(&[1; 32]));
    let (mut n, start) = (0usize, Instant::now());
    while start.elapsed().as_secs_f64() < 1.0 {
        for (user, response) in &texts {
            let f = extractor.extract(&Observation { user, response, ..Observation::default() });
            n += usize::from(f.words > 0);
        }
    }
    let each_us = start.elapsed().as_secs_f64() * 1e6 / n as f64;
    writeln!(out, "features: {each_us:.1} µs per exchange (1 kB prompt, 2 kB answer)")?;

    let mut live = Live::new(LiveParams { hash_key: [1; 32], accounts_max: n_accounts });
    let total = n_accounts * per_account;
    let mut taken = std::time::Duration::ZERO;
    for i in 0..total {
        let (mut user, response, account) = observation(i);
        // A word of its own makes each prompt new.
        user.push_str(&text(&mut state, 12));
        let o = Observation {
            account: &account,
            user: &user,
            response: &response,
            time_ms: 1_790_000_000_000 + i64::try_from(i).unwrap_or(0) * 50,
            ip: "10.0.0.1",
            ..Observation::default()
        };
        let start = Instant::now();
        live.observe(&o);
        taken += start.elapsed();
    }
    let per_s = total as f64 / taken.as_secs_f64();
    let bytes = live.memory_bytes();
    writeln!(
        out,
        "live: {per_s:.0} exchanges/s, {} bytes per account of {per_account} exchanges, {:.1} MB in all",
        bytes / n_accounts,
        bytes as f64 / 1e6
    )?;
    let start = Instant::now();
    let analysis = live.analyse(1_790_000_000_000);
    writeln!(
        out,
        "analysis: {:.2} s for {} accounts",
        start.elapsed().as_secs_f64(),
        analysis.n_accounts
    )
}
