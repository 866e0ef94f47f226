//! A mock upstream as a program, for benchmarks:
//! `mock_upstream [--listen ADDR] [--threads N] [--tokens N] [--stream] [--gap-ms N] [--full]`.
//!
//! Prints its address and serves until it is killed. By default one fixed chat completion (a
//! stream where the request asks for it, or always with `--stream`); with `--full` the mock of
//! the tests: every end point, sampled text.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use stillwatch_testkit::upstream::{Behaviour, FixedAnswer, FixedUpstream, MockUpstream};

struct Flags {
    listen: SocketAddr,
    threads: usize,
    tokens: usize,
    stream: bool,
    gap_ms: u64,
    full: bool,
}

fn flags() -> Result<Flags, String> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut flags = Flags { listen, threads: 1, tokens: 32, stream: false, gap_ms: 0, full: false };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or(format!("{flag} needs a value"));
        let number = |v: String| v.parse().map_err(|e| format!("{v}: {e}"));
        match flag.as_str() {
            "--listen" => {
                let v = value()?;
                flags.listen = v.parse().map_err(|e| format!("{v}: {e}"))?;
            }
            "--threads" => flags.threads = number(value()?)?,
            "--tokens" => flags.tokens = number(value()?)?,
            "--gap-ms" => flags.gap_ms = number(value()?)? as u64,
            "--stream" => flags.stream = true,
            "--full" => flags.full = true,
            _ => return Err(format!("{flag} isn't a flag of this program")),
        }
    }
    Ok(flags)
}

fn main() -> ExitCode {
    match flags().and_then(|flags| serve(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _printed = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

fn serve(flags: &Flags) -> Result<(), String> {
    let say = |addr: SocketAddr| {
        let mut out = std::io::stdout();
        writeln!(out, "{addr}").and_then(|()| out.flush()).map_err(|e| e.to_string())
    };
    if flags.full {
        let behaviour = Behaviour::new().tokens(flags.tokens..=flags.tokens).recorded_max(0);
        let upstream = MockUpstream::start_at(behaviour, flags.listen);
        say(upstream.addr)?;
        loop {
            std::thread::park();
        }
    }
    let mut answer = FixedAnswer::chat(flags.tokens).gap_ms(flags.gap_ms);
    if flags.stream {
        answer = answer.always_stream();
    }
    let upstream =
        FixedUpstream::start(flags.listen, flags.threads, answer).map_err(|e| e.to_string())?;
    say(upstream.addr)?;
    upstream.join();
    Ok(())
}
