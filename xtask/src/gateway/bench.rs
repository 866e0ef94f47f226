//! `cargo xtask bench-gateway`: the guard beside nginx, LiteLLM and Portkey, every one before the
//! same mock upstream, in the same run, in turns.
//!
//! Absolute figures are of one machine and one hour; ratios and differences are what counts, so
//! every round measures everyone, and tables show medians over rounds.

use super::{
    load::{Load, Outcome, quantile_us, run as run_load},
    memory,
    options::{Options, Part},
    peers::{Bench, CHAT, Peer, QUESTION, SYSTEM, chat},
    servers::Server,
    wire::Connection,
};
use crate::{
    process::{self, say},
    setup,
};
use anyhow::{Context as _, bail};
use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Command};

/// Connections of the throughput runs.
pub(super) const CONNECTIONS: u32 = 16;
/// Accounts that share the requests, except where accounts are counted.
const ACCOUNTS: u64 = 1_000;
/// Rate of exposure of the guard under test.
pub(super) const RATE: f64 = 0.01;

/// The guard that exposes nothing.
const UNEXPOSED: &str = "Stillwatch, no exposures";
/// Who is measured, in the order of the tables.
pub(super) const PEERS: [&str; 5] = ["nginx", "Stillwatch", UNEXPOSED, "Portkey", "LiteLLM"];

/// Measurements by name of gateway and of what is measured, one per round.
type Table = BTreeMap<(&'static str, &'static str), Vec<f64>>;

/// Runs what was asked for and prints Markdown.
pub(crate) fn run(plan: &Options) -> anyhow::Result<()> {
    if plan.wants_peers() {
        setup::gateway()?;
    }
    let bench = programs(plan.profile, plan.program.as_deref())?;
    let cores = std::thread::available_parallelism()?.get();
    let threads = cores.to_string();
    if plan.has(Part::Throughput) || plan.has(Part::Latency) {
        gateways(&bench, plan, cores)?;
    }
    if plan.has(Part::Streams) {
        let streams = bench.upstream(&["--threads", &threads, "--gap-ms", "2"])?;
        first_event(&bench, plan, &streams)?;
    }
    let upstream = bench.upstream(&["--threads", &threads])?;
    if plan.has(Part::Memory) {
        memory::requests(&bench, plan.accounts, &upstream)?;
    }
    if plan.has(Part::Start) {
        memory::start(&bench, plan.accounts, &upstream)?;
    }
    Ok(())
}

/// Everyone before the same upstream, in turns.
fn gateways(bench: &Bench, plan: &Options, cores: usize) -> anyhow::Result<()> {
    let upstream = bench.upstream(&["--threads", &cores.to_string()])?;
    let mut peers = vec![direct(&upstream)];
    for name in PEERS {
        if !plan.names(name) {
            continue;
        }
        let peer = match name {
            "nginx" => bench.nginx(upstream.address),
            "Portkey" => bench.portkey(upstream.address),
            "LiteLLM" => bench.litellm(upstream.address),
            UNEXPOSED => bench.guard("no-exposures", upstream.address, 0.0),
            _ => bench.guard("Stillwatch", upstream.address, RATE),
        };
        match peer {
            Ok(peer) => peers.push(Peer { name, ..peer }),
            Err(error) => say(&format!("absent: {name}: {error:#}")),
        }
    }
    let mut table = Table::new();
    for round in 0..plan.rounds {
        say(&format!("round {} of {}", round + 1, plan.rounds));
        if plan.has(Part::Throughput) {
            throughput(bench, plan, &peers, &mut table)?;
        }
        if plan.has(Part::Latency) {
            half_load(bench, plan, &peers, &mut table)?;
        }
    }
    let rss: Vec<_> = peers.iter().map(|p| p.server.as_ref().map(Server::rss_mb)).collect();
    show_versions(&peers, cores, plan);
    if plan.has(Part::Throughput) {
        show_throughput(&peers, &rss, &table);
    }
    if plan.has(Part::Latency) {
        show_half_load(&peers, &table);
    }
    Ok(())
}

/// Builds what is measured.
fn programs(profile: &str, program: Option<&Path>) -> anyhow::Result<Bench> {
    let build = ["build", "--locked", "--profile", profile, "--no-default-features"];
    if program.is_none() {
        process::run("cargo", &[&build[..], &["--package", "stillwatch"]].concat())?;
    }
    let root = process::root();
    let dir = root.join("target/bench-gateway");
    fs_err::create_dir_all(&dir)?;
    let built = root.join("target").join(profile);
    let mock = built.join("examples/mock_upstream");
    if program.is_none() || !mock.is_file() {
        let example = ["--package", "stillwatch-testkit", "--example", "mock_upstream"];
        process::run("cargo", &[&build[..], &example].concat())?;
    }
    Ok(Bench {
        dir,
        stillwatch: program.map_or_else(|| built.join("stillwatch"), Path::to_path_buf),
        mock,
    })
}

fn direct(upstream: &Server) -> Peer {
    Peer {
        name: "direct",
        version: "no gateway".to_owned(),
        address: upstream.address,
        headers: Vec::new(),
        server: None,
    }
}

/// Requests per second at 16 connections by wrk, and the median at one connection.
fn throughput(
    bench: &Bench,
    plan: &Options,
    peers: &[Peer],
    table: &mut Table,
) -> anyhow::Result<()> {
    for peer in peers {
        let per_second = wrk(bench, plan, peer)?;
        table.entry((peer.name, "per second")).or_default().push(per_second);
        let one = Load {
            address: peer.address,
            connections: 1,
            rate: None,
            time: plan.time / 2,
            count_max: u64::MAX,
        };
        let outcome = run_load(&one, |n| chat(n, ACCOUNTS, false, &peer.headers));
        clean(peer.name, &outcome)?;
        table.entry((peer.name, "p50")).or_default().push(quantile_us(&outcome.whole, 0.5));
    }
    Ok(())
}

/// Half of what the guard does at most, offered to it, to nginx and to the upstream itself.
fn half_load(
    bench: &Bench,
    plan: &Options,
    peers: &[Peer],
    table: &mut Table,
) -> anyhow::Result<()> {
    let known = table.get(&("Stillwatch", "per second")).and_then(|all| all.last()).copied();
    let most = match (known, peers.iter().find(|peer| peer.name == "Stillwatch")) {
        (Some(most), _) => most,
        (None, Some(guard)) => wrk(bench, plan, guard)?,
        (None, None) => bail!("the guard doesn't run"),
    };
    let rate = most / 2.0;
    table.entry(("Stillwatch", "half load")).or_default().push(rate);
    let named = ["direct", "nginx", "Stillwatch", UNEXPOSED];
    for peer in peers.iter().filter(|peer| named.contains(&peer.name)) {
        let load = Load {
            address: peer.address,
            connections: CONNECTIONS,
            rate: Some(rate),
            time: plan.time,
            count_max: u64::MAX,
        };
        let outcome = run_load(&load, |n| chat(n, ACCOUNTS, false, &peer.headers));
        clean(peer.name, &outcome)?;
        for (what, q) in [("half p50", 0.5), ("half p99", 0.99)] {
            table.entry((peer.name, what)).or_default().push(quantile_us(&outcome.whole, q));
        }
        table.entry((peer.name, "half rate")).or_default().push(outcome.per_second());
    }
    Ok(())
}

pub(super) fn clean(name: &str, outcome: &Outcome) -> anyhow::Result<()> {
    if outcome.failed > 0 {
        bail!(
            "{name}: {} of {} requests failed: {:?}",
            outcome.failed,
            outcome.sent,
            outcome.problems
        );
    }
    Ok(())
}

/// One run of wrk.
fn wrk(bench: &Bench, plan: &Options, peer: &Peer) -> anyhow::Result<f64> {
    let script = bench.dir.join("load.lua");
    let mut headers = String::new();
    for (name, value) in &peer.headers {
        writeln!(headers, "headers[\"{name}\"] = \"{value}\"")?;
    }
    fs_err::write(
        &script,
        format!(
            "local n = 0\nlocal headers = {{ [\"content-type\"] = \"application/json\" }}\n{headers}\
             local system, question = [[{SYSTEM}]], [[{QUESTION}]]\n\
             request = function()\n  n = n + 1\n\
             headers[\"authorization\"] = \"Bearer key-\" .. (n % {ACCOUNTS})\n\
             return wrk.format(\"POST\", \"{CHAT}\", headers, '{{\"model\":\"mock-1\",\"temperature\":1,' ..\n\
             '\"max_tokens\":64,\"stream\":false,\"messages\":[{{\"role\":\"system\",\"content\":\"' .. system ..\n\
             '\"}},{{\"role\":\"user\",\"content\":\"Order ' .. n .. ': ' .. question .. ' Reference ' ..\n\
             (n * 7919 % 1000003) .. '.\"}}]}}')\nend\n"
        ),
    )?;
    let seconds = format!("-d{}s", plan.time.as_secs().max(1));
    let connections = format!("-c{CONNECTIONS}");
    let url = format!("http://{}{CHAT}", peer.address);
    let script = script.to_string_lossy().into_owned();
    let args = ["-t2", &connections, &seconds, "-s", &script, &url];
    let said = process::output("wrk", &args).context("wrk can't be run: apt-get install wrk")?;
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        bail!("{}: {said}", peer.name);
    }
    said.lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"))
        .and_then(|number| number.trim().parse().ok())
        .with_context(|| format!("wrk said {said:?}"))
}

/// Time to the first byte of a stream, direct and through the guard, in turns; and whether all
/// bytes are the same.
fn first_event(bench: &Bench, plan: &Options, streams: &Server) -> anyhow::Result<()> {
    let guard = bench.guard("streams", streams.address, RATE)?;
    let peers = [direct(streams), guard];
    let mut medians = Table::new();
    let (mut compared, mut differing) = (0, 0);
    for _ in 0..plan.rounds {
        for peer in &peers {
            let load = Load {
                address: peer.address,
                connections: 1,
                rate: None,
                time: plan.time,
                count_max: u64::MAX,
            };
            let outcome = run_load(&load, |n| chat(n, ACCOUNTS, true, &[]));
            clean(peer.name, &outcome)?;
            for (what, q) in [("p50", 0.5), ("p99", 0.99)] {
                medians.entry((peer.name, what)).or_default().push(quantile_us(&outcome.first, q));
            }
        }
        let mut connections = Vec::new();
        for peer in &peers {
            connections.push(Connection::open(peer.address)?);
        }
        for number in 0..100 {
            let request = chat(number, ACCOUNTS, true, &[]);
            let mut bodies = Vec::new();
            for connection in &mut connections {
                bodies.push(connection.ask(&request)?.body);
            }
            compared += 1;
            differing += usize::from(bodies.first() != bodies.last());
        }
    }
    let added = |what| differences(&medians, ("streams", what), ("direct", what));
    say(&format!(
        "\ntime to the first byte of a stream, added: p50 {:.0} µs (target: at most 300), p99 {:.0} µs; \
         bytes of {compared} streams compared, {differing} differ\n",
        median(&added("p50")),
        median(&added("p99"))
    ));
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn of(table: &Table, name: &'static str, what: &'static str) -> f64 {
    table.get(&(name, what)).map_or(f64::NAN, |all| median(all))
}

/// Round by round.
fn differences(
    table: &Table,
    a: (&'static str, &'static str),
    b: (&'static str, &'static str),
) -> Vec<f64> {
    let (Some(a), Some(b)) = (table.get(&a), table.get(&b)) else { return Vec::new() };
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// Round by round.
fn ratios(table: &Table, what: &'static str, of: &'static str, to: &'static str) -> Vec<f64> {
    let (Some(a), Some(b)) = (table.get(&(of, what)), table.get(&(to, what))) else {
        return Vec::new();
    };
    a.iter().zip(b).map(|(a, b)| a / b).collect()
}

fn show_versions(peers: &[Peer], cores: usize, plan: &Options) {
    let versions: Vec<String> =
        peers.iter().skip(1).map(|p| format!("{}: {}", p.name, p.version)).collect();
    let wrk = Command::new("wrk").arg("-v").output().map(|o| o.stdout).unwrap_or_default();
    let wrk = String::from_utf8_lossy(&wrk).lines().next().unwrap_or_default().to_owned();
    say(&format!(
        "\n{cores} cores, {} rounds of {} s; {}; {wrk}\n",
        plan.rounds,
        plan.time.as_secs(),
        versions.join("; ")
    ));
}

fn show_throughput(peers: &[Peer], rss: &[Option<f64>], table: &Table) {
    say(
        "| gateway | requests/s, 16 connections | Stillwatch / it | p50 at 1 connection, µs | RSS, MB |",
    );
    say("| --- | --- | --- | --- | --- |");
    for (peer, rss) in peers.iter().zip(rss) {
        let rss = rss.map_or_else(|| "-".to_owned(), |mb| format!("{mb:.0}"));
        say(&format!(
            "| {} | {:.0} | {:.2} | {:.0} | {rss} |",
            peer.name,
            of(table, peer.name, "per second"),
            median(&ratios(table, "per second", "Stillwatch", peer.name)),
            of(table, peer.name, "p50"),
        ));
    }
}

fn show_half_load(peers: &[Peer], table: &Table) {
    let rate = of(table, "Stillwatch", "half load");
    say(&format!("\nhalf load: {rate:.0} requests/s over {CONNECTIONS} connections\n"));
    say("| gateway | answered/s | p50, µs | p99, µs | added p50, µs | added p99, µs |");
    say("| --- | --- | --- | --- | --- | --- |");
    for peer in peers.iter().filter(|p| table.contains_key(&(p.name, "half p50"))) {
        let added = |what| median(&differences(table, (peer.name, what), ("direct", what)));
        say(&format!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            peer.name,
            of(table, peer.name, "half rate"),
            of(table, peer.name, "half p50"),
            of(table, peer.name, "half p99"),
            added("half p50"),
            added("half p99"),
        ));
    }
}
