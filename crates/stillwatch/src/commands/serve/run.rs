//! `serve run`: the guard until a signal ends it.

use super::{block_on, environment, failure, settings};
use crate::{
    cli::serve::ServeArgs,
    outcome::{Exit, Failure},
    printer::Printer,
};
use serde::Serialize;
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};
use stillwatch_guard::{
    Guard, GuardConfig, Secrets, SystemClock,
    server::{self, Listeners},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What `--json` prints when clients can be served.
#[derive(Debug, Serialize)]
struct Ready {
    /// Where clients are listened to.
    public: SocketAddr,
    /// Where the administrator is.
    admin: SocketAddr,
    /// Base URL for clients, without `/v1`.
    url: String,
    /// The first admin key, in the run that made it.
    admin_key: Option<String>,
    /// This process.
    pid: u32,
}

/// Serves until SIGTERM or SIGINT, then lets what is under way end.
pub(super) fn run(args: &ServeArgs, printer: Printer) -> Result<Exit, Failure> {
    let config = with_flags(args)?;
    let secrets = environment(&config);
    block_on(Box::pin(serve(config, secrets, printer)))
}

/// The settings with the flags over them.
fn with_flags(args: &ServeArgs) -> Result<GuardConfig, Failure> {
    let mut config = settings(&args.place)?;
    if args.upstream.is_empty() && config.upstream.is_empty() {
        return Err(Failure::input("usage", "no model's server is named").hint(
            "give --upstream http://127.0.0.1:8000, or --config FILE (`stillwatch serve \
             example-config` prints one)",
        ));
    }
    let (listen, admin) = (args.listen.as_deref(), args.admin.as_deref());
    for (index, url) in args.upstream.iter().enumerate() {
        // One by one, so that what is wrong is said of the flag and not of a key in a file.
        let flags = GuardConfig::from_flags(url, listen, admin, None, args.exposure_rate)
            .map_err(|e| failure(&e))?;
        if index == 0 {
            config.upstream.clear();
        }
        config.upstream.extend(flags.upstream);
    }
    if let Some(address) = listen {
        address.clone_into(&mut config.listen.public);
    }
    if let Some(address) = admin {
        address.clone_into(&mut config.listen.admin);
    }
    if let Some(rate) = args.exposure_rate {
        config.exposure.rate = rate;
    }
    config.check().map_err(|e| failure(&e))?;
    Ok(config)
}

async fn serve(config: GuardConfig, secrets: Secrets, printer: Printer) -> Result<Exit, Failure> {
    // Before anything is opened, so that no signal ends the process half-way through.
    let mut signals = Signals::new()?;
    fs_err::create_dir_all(&config.data)
        .map_err(|e| Failure::input("io", e).hint("name a folder that can be written: --data"))?;
    let listeners = Listeners::bind(&config.listen).await.map_err(|e| failure(&e))?;
    let guard = Guard::start(config, &secrets, Arc::new(SystemClock)).await;
    let guard = guard.map_err(|e| failure(&e))?;
    announce(&guard, &listeners, printer);
    server::serve(Arc::clone(&guard), listeners, async move {
        signals.first().await;
        printer.talk("ending: requests in flight are finished; a second signal ends at once");
    })
    .await;
    guard.close().await;
    printer.talk("ended; everything acknowledged is on the disk");
    Ok(Exit::Clean)
}

/// Says where it listens and how to go on: a person on standard error, a script in one line of
/// JSON on standard output.
fn announce(guard: &Guard, listeners: &Listeners, printer: Printer) {
    let (public, admin) = (listeners.public_addr(), listeners.admin_addr());
    let scheme = if listeners.is_tls() { "https" } else { "http" };
    let admin_key = guard.keys.first_admin_key().map(|key| key.expose().to_owned());
    let config = &guard.config;
    let exposed = match &guard.exposure {
        Some(_) => format!(
            "{} of eligible requests, ledger in {}",
            config.exposure.rate,
            config.data.join("ledger").display()
        ),
        None => "nothing: the rate is 0".to_owned(),
    };
    let upstreams: Vec<&str> = config.upstream.iter().map(|u| u.url.as_str()).collect();
    let active = config.policy.iter().filter(|policy| !policy.dry_run).count();
    let mut lines = vec![
        format!("clients    {scheme}://{public}/v1"),
        format!("admin      http://{admin}/"),
        format!("upstream   {}", upstreams.join(", ")),
        format!("exposed    {exposed}"),
        format!("policies   {active} in force, {} in dry run", config.policy.len() - active),
    ];
    if let Some(key) = &admin_key {
        lines.push(format!("admin key  {key}"));
        lines.push("           shown this once: it opens the admin address".to_owned());
    }
    lines.push("stop it with Ctrl-C or SIGTERM".to_owned());
    printer.talk(&lines.join("\n"));
    if printer.is_json() {
        let url = format!("{scheme}://{public}");
        let ready = Ready { public, admin, url, admin_key, pid: std::process::id() };
        if let Ok(line) = serde_json::to_string(&ready) {
            printer.out(&line);
        }
    }
}

/// The signals that end it: the first asks, a second one, of either kind, ends the process.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let defect = |e| Failure::new(Exit::Internal, "signal", e);
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // In the handler itself, so that it works however the runtime fares.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                Exit::Partial as i32,
                Arc::clone(&asked),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
            .map_err(defect)?;
        }
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(defect)?,
            terminate: signal(SignalKind::terminate()).map_err(defect)?,
        })
    }

    /// The first of them.
    async fn first(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
