//! Servers that a benchmark or a soak starts, watches and ends.

use super::wire::{Connection, Reply};
use anyhow::{Context as _, bail};
use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take to answer for the first time (LiteLLM imports for a while).
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a server may take to end when it is asked to.
const ENDING: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// A port that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// An address on this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Server {
    /// Starts a program that prints one line when it is ready; `address` finds the address in it.
    pub(crate) fn announced(
        command: &mut Command,
        log: &Path,
        address: impl Fn(&str) -> Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let mut child = start(command.stdout(Stdio::piped()), log)?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let Some(address) = address(&said) else {
            end(&mut child);
            bail!("{command:?} isn't ready: {said:?}; see {}", log.display())
        };
        Ok(Self { child, address })
    }

    /// Starts a program that says nothing; it is ready when `request` is answered with 200.
    pub(crate) fn probed(
        command: &mut Command,
        log: &Path,
        address: SocketAddr,
        request: &[u8],
    ) -> anyhow::Result<Self> {
        let child = start(command.stdout(Stdio::null()), log)?;
        let mut server = Self { child, address };
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} ended with {status}; see {}", log.display());
            }
            if server.ask(request).is_ok_and(|reply| reply.status == 200) {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("{command:?} doesn't answer; see {}", log.display())
    }

    /// One request over a connection of its own.
    pub(crate) fn ask(&self, request: &[u8]) -> anyhow::Result<Reply> {
        Connection::open(self.address)?.ask(request)
    }

    /// Memory in use by it and its children, MB (10^6 bytes).
    pub(crate) fn rss_mb(&self) -> f64 {
        rss_kib(self.child.id()) as f64 * 1024.0 / 1e6
    }

    /// Asks it to end and waits; whether it did so in order.
    pub(crate) fn end(mut self) -> bool {
        end(&mut self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn start(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let file = fs_err::File::create(log)?;
    command
        .stdin(Stdio::null())
        .stderr(file.into_parts().0)
        .spawn()
        .with_context(|| format!("can't start {command:?}"))
}

/// SIGTERM, patience, then SIGKILL.
fn end(child: &mut Child) -> bool {
    if let Ok(Some(status)) = child.try_wait() {
        return status.success();
    }
    let id = child.id().to_string();
    // Through `kill`, because the standard library only knows SIGKILL.
    drop(Command::new("kill").args(["-TERM", &id]).status());
    let since = Instant::now();
    while since.elapsed() < ENDING {
        if let Ok(Some(status)) = child.try_wait() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(child.kill());
    drop(child.wait());
    false
}

/// Resident memory of a process and all below it, KiB.
fn rss_kib(id: u32) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let own = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0);
    let children = format!("/proc/{id}/task/{id}/children");
    let children = fs_err::read_to_string(children).unwrap_or_default();
    let below = children.split_whitespace().filter_map(|child| child.parse().ok()).map(rss_kib);
    own + below.sum::<u64>()
}
