//! What of the benchmark of gateways is run, and for how long. In pieces, because a machine is
//! rarely left alone for as long as all of it takes.

use super::bench::PEERS;
use anyhow::{Context as _, bail};
use std::{path::PathBuf, time::Duration};

/// A piece of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Requests per second, and the median at one connection.
    Throughput,
    /// Latency at half load.
    Latency,
    /// Time to the first byte of a stream, and whether the bytes are the same.
    Streams,
    /// Memory after requests of many accounts.
    Memory,
    /// Time and memory of a start with many accounts and keys.
    Start,
}

const PARTS: [(&str, Part); 5] = [
    ("throughput", Part::Throughput),
    ("latency", Part::Latency),
    ("streams", Part::Streams),
    ("memory", Part::Memory),
    ("start", Part::Start),
];

/// What is run, how long and how often.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Rounds; the tables show medians over them.
    pub(crate) rounds: usize,
    /// Of one throughput or latency run.
    pub(crate) time: Duration,
    /// The larger number of accounts of the memory and start runs.
    pub(crate) accounts: u64,
    /// Cargo profile of the programs.
    pub(crate) profile: &'static str,
    /// A guard that is built already.
    pub(crate) program: Option<PathBuf>,
    parts: Vec<Part>,
    peers: Vec<String>,
}

impl Options {
    /// Reads flags: by default everything, as the tables of `docs/benchmarks.md` have it.
    pub(crate) fn parse(args: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self {
            rounds: 5,
            time: Duration::from_secs(5),
            accounts: 1_000_000,
            profile: "release",
            program: None,
            parts: PARTS.iter().map(|(_, part)| *part).collect(),
            peers: PEERS.iter().map(ToString::to_string).collect(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            let number = |text: &str| {
                text.parse::<u64>().with_context(|| format!("{arg}: {text:?} is no number"))
            };
            match *arg {
                "--quick" => {
                    options.rounds = 1;
                    options.time = Duration::from_secs(2);
                    options.accounts = 20_000;
                    options.profile = "ci";
                }
                "--rounds" => options.rounds = usize::try_from(number(value()?)?)?,
                "--seconds" => options.time = Duration::from_secs(number(value()?)?),
                "--accounts" => options.accounts = number(value()?)?,
                "--only" => options.parts = parts(value()?)?,
                "--peers" => options.peers = peers(value()?)?,
                program if !program.starts_with('-') && options.program.is_none() => {
                    options.program = Some(program.into());
                }
                unknown => bail!("bench-gateway: {unknown:?} isn't a flag of it"),
            }
        }
        Ok(options)
    }

    /// Whether a part is run.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Whether a gateway is measured.
    pub(crate) fn names(&self, peer: &str) -> bool {
        self.peers.iter().any(|named| named == peer)
    }

    /// Whether gateways that have to be installed are measured.
    pub(crate) fn wants_peers(&self) -> bool {
        (self.has(Part::Throughput) || self.has(Part::Latency))
            && ["Portkey", "LiteLLM"].iter().any(|peer| self.names(peer))
    }
}

fn parts(list: &str) -> anyhow::Result<Vec<Part>> {
    list.split(',')
        .map(|name| {
            let known = PARTS.iter().find(|(known, _)| *known == name);
            let names = PARTS.map(|(name, _)| name).join(", ");
            known
                .map(|(_, part)| *part)
                .with_context(|| format!("--only: {name:?} is none of {names}"))
        })
        .collect()
}

/// Names are compared without their case; `unexposed` is the guard without exposures.
fn peers(list: &str) -> anyhow::Result<Vec<String>> {
    list.split(',')
        .map(|name| {
            let is_it = |known: &&&str| {
                known.eq_ignore_ascii_case(name)
                    || (name == "unexposed" && known.contains("no exposures"))
            };
            let known = PEERS.iter().find(is_it);
            known.map(ToString::to_string).with_context(|| {
                format!(
                    "--peers: {name:?} is none of nginx, stillwatch, unexposed, portkey, litellm"
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_chosen_by_name() {
        let all = Options::parse(&[]).expect("the default");
        assert!(PARTS.iter().all(|(_, part)| all.has(*part)) && all.names("LiteLLM"));
        let flags = ["--only", "latency,start", "--peers", "nginx,unexposed", "--rounds", "2", "p"];
        let some = Options::parse(&flags).expect("flags");
        assert!(some.has(Part::Start) && !some.has(Part::Memory));
        assert!(some.names("Stillwatch, no exposures") && !some.names("Stillwatch"));
        assert_eq!((some.rounds, some.program), (2, Some("p".into())));
        for wrong in [&["--only", "speed"][..], &["--peers", "envoy"], &["--rounds"], &["--x"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
