//! `cargo xtask soak`: half load for minutes; memory doesn't grow after the warm-up, and no
//! request is lost or doubled, counted at both ends.

use super::{
    counting::{Counting, number_of},
    load::{Load, Outcome, run as run_load, run_checked},
    peers::{CHAT, guard},
    servers::Server,
    wire::{self, Reply},
};
use crate::process::{self, say};
use anyhow::{Context as _, bail};
use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Connections.
const CONNECTIONS: u32 = 16;
/// The rate is half of what goes, and at most this: the client's and the upstream's threads share
/// the machine with the guard.
const RATE_MAX: f64 = 4_000.0;
/// Accounts that share the requests.
const ACCOUNTS: u64 = 500;
/// Every fifth request may be exposed (temperature 1), the others can't be (temperature 0).
const EXPOSABLE_EVERY: u64 = 5;
/// Share of those that is.
const RATE_OF_EXPOSURE: f64 = 0.01;
/// Warm-up: this share of the time.
const WARM_UP: f64 = 0.3;
/// Growth after the warm-up that counts as none, MB: what allocators and caches that fill slowly
/// may take.
const GROWTH_MAX_MB: f64 = 8.0;

/// Runs it with the program of the tests; `seconds` of load.
pub(crate) fn run(seconds: &str) -> anyhow::Result<()> {
    let features: &[&str] = if process::has("cmake") { &["--all-features"] } else { &[] };
    let build = ["build", "--locked", "--profile", "ci", "--package", "stillwatch"];
    process::run("cargo", &[&build[..], features].concat())?;
    run_program(seconds, &process::built())
}

/// Runs it with a program that is built already.
pub(crate) fn run_program(seconds: &str, program: &Path) -> anyhow::Result<()> {
    let seconds: u64 = seconds.parse().with_context(|| format!("{seconds:?} are no seconds"))?;
    let time = Duration::from_secs(seconds.max(20));
    let data = process::root().join("target/soak");
    if data.exists() {
        fs_err::remove_dir_all(&data)?;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of requests"
    )]
    let numbers = (RATE_MAX * (time.as_secs_f64() + 10.0)) as usize;
    let upstream = Counting::start(numbers)?;
    let server = guard(program, &data, upstream.address, RATE_OF_EXPOSURE)?;
    let most = probe(&server)?;
    let rate = (most / 2.0).min(RATE_MAX);
    say(&format!("soak: {rate:.0} requests/s for {} s ({most:.0} go)", time.as_secs()));
    let (outcome, rss) = soak(&server, rate, time);
    if !server.end() {
        bail!("the guard didn't end in order; see {}", data.join("stderr.log").display());
    }
    let exposed = exposures(program, &data)?;
    judge(&outcome, &upstream, exposed, &rss)
}

/// Requests per second that go: a short run, every request with the number 0, which the counts
/// leave out.
fn probe(server: &Server) -> anyhow::Result<f64> {
    let load = Load {
        address: server.address,
        connections: CONNECTIONS,
        rate: None,
        time: Duration::from_secs(3),
        count_max: u64::MAX,
    };
    let outcome = run_load(&load, |n| request(0, n));
    if outcome.failed > 0 {
        bail!("{} of {} requests failed: {:?}", outcome.failed, outcome.sent, outcome.problems);
    }
    Ok(outcome.per_second())
}

/// The load; with it, resident memory once a second, MB.
fn soak(server: &Server, rate: f64, time: Duration) -> (Outcome, Vec<f64>) {
    let load = Load {
        address: server.address,
        connections: CONNECTIONS,
        rate: Some(rate),
        time,
        count_max: u64::MAX,
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut rss = Vec::new();
            let since = Instant::now();
            while !over.load(Ordering::SeqCst) {
                rss.push(server.rss_mb());
                let next = Duration::from_secs(rss.len() as u64);
                std::thread::sleep(next.saturating_sub(since.elapsed()));
            }
            rss
        });
        let outcome = run_checked(&load, |n| request(n + 1, n), |n, reply| belongs(n + 1, reply));
        over.store(true, Ordering::SeqCst);
        (outcome, watch.join().unwrap_or_default())
    })
}

/// The request with this number; `turn` says whose it is and what shape it has.
fn request(number: u64, turn: u64) -> Vec<u8> {
    let stream = turn.is_multiple_of(3);
    let temperature = u8::from(may_be_exposed(number));
    let key = format!("Bearer key-{}", turn % ACCOUNTS);
    let body = format!(
        "{{\"model\":\"mock-1\",\"temperature\":{temperature},\"max_tokens\":64,\"stream\":{stream},\
         \"messages\":[{{\"role\":\"user\",\"content\":\"Please answer number={number}; of account {} and \
         say again what it was that turn {turn} was about, in a sentence of your own.\"}}]}}",
        turn % ACCOUNTS
    );
    wire::post(CHAT, &[("authorization", &key)], &body)
}

/// Not the probe's number: its requests aren't counted, so its pairs mustn't be there.
fn may_be_exposed(number: u64) -> bool {
    number > 0 && number.is_multiple_of(EXPOSABLE_EVERY)
}

/// Whether this is the answer to that request, and a whole one.
fn belongs(number: u64, reply: &Reply) -> Result<(), String> {
    let body = String::from_utf8_lossy(&reply.body);
    if number_of(&body) != Some(number) {
        return Err(format!("somebody else's answer: {body}"));
    }
    let stream = reply.header("content-type").is_some_and(|kind| kind.contains("event-stream"));
    if stream && !body.ends_with("data: [DONE]\n\n") {
        return Err(format!("a stream without its end: {body}"));
    }
    Ok(())
}

/// Pairs that were captured.
fn exposures(program: &Path, data: &Path) -> anyhow::Result<u64> {
    let out = data.join("exposures.jsonl");
    let [program, data, file] = [program, data, &out].map(|p| p.to_string_lossy().into_owned());
    process::run(&program, &["serve", "exposures", "--data", &data, "--out", &file])?;
    Ok(fs_err::read_to_string(out)?.lines().filter(|line| !line.is_empty()).count() as u64)
}

/// What was sent, and how often it arrived.
fn judge(outcome: &Outcome, upstream: &Counting, exposed: u64, rss: &[f64]) -> anyhow::Result<()> {
    let (mut lost, mut doubled, mut twice) = (0_u64, 0_u64, 0_u64);
    for number in 1..=outcome.sent {
        match upstream.times(number) {
            0 => lost += 1,
            1 => {}
            2 if may_be_exposed(number) => twice += 1,
            _ => doubled += 1,
        }
    }
    let after = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index of the slice"
        )]
        let from = (share * rss.len() as f64) as usize;
        rss.get(from..).unwrap_or_default()
    };
    let last_share = 1.0 - (1.0 - WARM_UP) / 4.0;
    let (warm, last) = (after(WARM_UP), after(last_share));
    let (before, end) = (mean(warm.get(..last.len()).unwrap_or(warm)), mean(last));
    say(&format!(
        "soak: {} requests, {} failed, {lost} lost, {doubled} doubled, {twice} asked twice for \
         {exposed} captured pairs, {} that nobody sent; {before:.1} MB after the warm-up, {end:.1} MB \
         at the end",
        outcome.sent,
        outcome.failed,
        upstream.unknown()
    ));
    let mut wrong = outcome.problems.clone();
    if outcome.failed > 0 {
        wrong.push(format!("{} requests failed", outcome.failed));
    }
    if lost > 0 || doubled > 0 || upstream.unknown() > 0 {
        wrong.push("requests were lost, doubled or made up".to_owned());
    }
    if twice != exposed {
        wrong.push(format!("{twice} requests were asked twice, {exposed} pairs captured"));
    }
    if end - before > GROWTH_MAX_MB {
        wrong.push(format!("memory grew by {:.1} MB, at most {GROWTH_MAX_MB}", end - before));
    }
    if !wrong.is_empty() {
        bail!("soak: {}", wrong.join("; "));
    }
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
