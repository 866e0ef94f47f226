//! Progress bars with an estimate of what remains, on standard error, for work longer than
//! two seconds; and the interrupt key, which asks work to stop where it can be resumed.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::IsTerminal as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use stillwatch_evidence::Progress;

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bars on a terminal, plain notes elsewhere.
#[derive(Debug)]
pub struct Bars {
    current: Mutex<Option<Step>>,
    stop: Arc<AtomicBool>,
    terminal: bool,
}

#[derive(Debug)]
struct Step {
    bar: ProgressBar,
    since: Instant,
    shown: bool,
}

impl Bars {
    /// Listens to the interrupt and termination signals from now on.
    pub fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A second signal ends the process at once, as people expect.
            let registered =
                signal_hook::flag::register_conditional_shutdown(signal, 3, Arc::clone(&stop))
                    .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
            drop(registered); // without it the signal simply ends the process
        }
        Self { current: Mutex::new(None), stop, terminal: std::io::stderr().is_terminal() }
    }

    fn with(&self, f: impl FnOnce(&mut Option<Step>)) {
        f(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for Bars {
    fn begin(&self, step: &str, total: u64) {
        let bar = ProgressBar::with_draw_target(
            (total > 0).then_some(total),
            ProgressDrawTarget::hidden(),
        );
        let template = if total > 0 {
            "{msg:32} {wide_bar} {pos}/{len} {elapsed_precise} eta {eta}"
        } else {
            "{msg:32} {spinner} {pos} {elapsed_precise}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(step.to_owned());
        self.with(|current| {
            *current = Some(Step { bar, since: Instant::now(), shown: false });
        });
    }

    fn advance(&self, n: u64) {
        self.with(|current| {
            if let Some(step) = current {
                if !step.shown && self.terminal && step.since.elapsed() >= PATIENCE {
                    step.bar.set_draw_target(ProgressDrawTarget::stderr());
                    step.shown = true;
                }
                step.bar.inc(n);
            }
        });
    }

    fn end(&self) {
        self.with(|current| {
            if let Some(step) = current.take() {
                step.bar.finish_and_clear();
            }
        });
    }

    fn note(&self, line: &str) {
        self.with(|current| match current {
            Some(step) if step.shown => step.bar.suspend(|| say(line)),
            _ => say(line),
        });
    }

    fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn say(line: &str) {
    use std::io::Write as _;
    // Talk is best effort.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
