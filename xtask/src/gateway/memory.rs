//! What a guard takes with many accounts: memory after their requests, and time and memory of a
//! start when all of them have keys.

use super::{
    bench::{CONNECTIONS, RATE, clean},
    load::{Load, run as run_load},
    peers::{Bench, chat, guard},
    servers::Server,
};
use crate::process::say;
use anyhow::{Context as _, bail};
use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Resident memory after requests of so many accounts, each with a key of its own.
pub(crate) fn requests(bench: &Bench, accounts: u64, upstream: &Server) -> anyhow::Result<()> {
    let guard = bench.guard("accounts", upstream.address, RATE)?;
    let server = guard.server.as_ref().context("it was started")?;
    let started = server.rss_mb();
    let mut lines = vec![format!("memory: {started:.0} MB after the start")];
    let mut done = 0;
    for (accounts, target) in [(10_000, 60), (accounts, 400)] {
        let load = Load {
            address: guard.address,
            connections: CONNECTIONS,
            rate: None,
            time: Duration::from_mins(20),
            count_max: accounts - done,
        };
        let outcome = run_load(&load, |n| chat(done + n, u64::MAX, false, &[]));
        clean(guard.name, &outcome)?;
        done = accounts;
        // Queues run empty, so that what is measured is what stays.
        std::thread::sleep(Duration::from_secs(3));
        lines.push(format!(
            "{:.0} MB after a request of each of {accounts} accounts (target: {target})",
            server.rss_mb()
        ));
    }
    say(&lines.join(", "));
    Ok(())
}

/// Imports so many accounts with a key each, then starts a guard on them: how long until it
/// answers, and what it holds.
pub(crate) fn start(bench: &Bench, accounts: u64, upstream: &Server) -> anyhow::Result<()> {
    let data = bench.dir.join("start");
    if data.exists() {
        fs_err::remove_dir_all(&data)?;
    }
    fs_err::create_dir_all(&data)?;
    let names = data.join("names.txt");
    let mut list = String::new();
    for number in 0..accounts {
        writeln!(list, "account-{number}")?;
    }
    fs_err::write(&names, list)?;
    let since = Instant::now();
    let mut import = Command::new(&bench.stillwatch)
        .args(["serve", "keys", "import"])
        .arg(&names)
        .arg("--data")
        .arg(&data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut last = String::new();
    if let Some(out) = import.stdout.take() {
        for line in BufReader::new(out).lines() {
            last = line?;
        }
    }
    if !import.wait()?.success() {
        bail!("the accounts can't be imported");
    }
    let imported = since.elapsed();
    let (_, key) = last.split_once('\t').with_context(|| format!("no key in {last:?}"))?;
    let since = Instant::now();
    let server = guard(&bench.stillwatch, &data, upstream.address, RATE)?;
    let listening = since.elapsed();
    let request = chat(0, 1, false, &[]);
    let text = String::from_utf8(request)?.replace("Bearer key-0", &format!("Bearer {key}"));
    let answer = server.ask(text.as_bytes())?;
    let answered = since.elapsed();
    if answer.status != 200 {
        bail!("the last account's key is answered with {}", answer.status);
    }
    say(&format!(
        "start with {accounts} accounts: imported in {:.1} s; listens {:.2} s after the start, answers \
         the last account {:.2} s after it; {:.0} MB (target: {})",
        imported.as_secs_f64(),
        listening.as_secs_f64(),
        answered.as_secs_f64(),
        server.rss_mb(),
        if accounts > 10_000 { 400 } else { 60 },
    ));
    Ok(())
}
