//! Measures detectors on replays: who was found, who was hit, with intervals.
//!
//! [`Detector`]s see exchanges in order and are asked now and then whom they flag; an account
//! counts as flagged from the first time that it is, because that is when somebody would act.
//! [`Tally`] adds up over seeds. Intervals are Clopper–Pearson at 95% and treat accounts as
//! independent, which accounts of one campaign or firm aren't: read them as the least
//! uncertainty, and the spread over seeds beside them.

mod distance;
mod interval;
mod rules;
mod stillwatch;
mod tally;

pub use distance::NearestDistance;
pub use interval::clopper_pearson;
pub use rules::PublishedRules;
pub use stillwatch::{Stillwatch, observation};
pub use tally::{Score, Tally, tables};

use crate::traffic::{Replay, ReplayParams};
use std::collections::BTreeSet;
use stillwatch_evidence::Exchange;

/// Whom a detector flags at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flagged {
    /// Accounts, as themselves or as members.
    pub accounts: BTreeSet<String>,
    /// Groups.
    pub groups: Vec<BTreeSet<String>>,
}

/// Something that flags accounts.
pub trait Detector {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// Takes one exchange in.
    fn observe(&mut self, exchange: &Exchange);

    /// Whom it flags now.
    fn flagged(&mut self, now_ms: i64) -> Flagged;
}

/// Replays once for all detectors, asking each so many times, evenly in time, the last at the
/// end. What each flagged at any time, and its groups at the end.
pub fn run(params: &ReplayParams, detectors: &mut [&mut dyn Detector], asked: u32) -> Vec<Flagged> {
    let mut replay = Replay::new(params);
    let end_ms = replay.end_ms();
    let step_ms = i64::from(params.days.max(7)) * 86_400_000 / i64::from(asked.max(1));
    let mut next_ms = end_ms - step_ms * (i64::from(asked.max(1)) - 1);
    let mut ever = vec![Flagged::default(); detectors.len()];
    for exchange in replay.by_ref() {
        let now_ms = exchange.time.map_or(next_ms, jiff::Timestamp::as_millisecond);
        if now_ms >= next_ms && next_ms < end_ms {
            ask(detectors, &mut ever, next_ms);
            next_ms += step_ms;
        }
        for detector in &mut *detectors {
            detector.observe(&exchange);
        }
    }
    ask(detectors, &mut ever, end_ms);
    ever
}

fn ask(detectors: &mut [&mut dyn Detector], ever: &mut [Flagged], now_ms: i64) {
    for (detector, ever) in detectors.iter_mut().zip(ever) {
        let now = detector.flagged(now_ms);
        ever.accounts.extend(now.accounts);
        ever.groups = now.groups;
    }
}
