//! Replayed traffic: ordinary users, innocents who look like campaigns, campaigns; by seed.
//!
//! [`Replay`] iterates over [`Exchange`]s in the order of time; [`Replay::labels`] says what each
//! account really is. Accounts' names say nothing. Texts are written when they are asked for;
//! only the schedule (16 bytes a request) is held.
//!
//! It was written from what is known of campaigns and of ordinary use, not from what the
//! detectors in `stillwatch_traffic` look at, and it doesn't know them. It simulates; a real log
//! is richer, so a detector's figures here are no promise for one.

mod account;
mod build;
mod campaigns;
mod crowd;
mod grammar;
mod label;
mod negatives;
mod ordinary;
mod person;
mod place;
mod prompts;
mod sample;
mod times;
mod tools;

pub use label::{Class, Kind, Label, Style};
pub use prompts::Prompts;
pub use sample::{sample, write_labels, write_log};

use build::{Builder, Entry};
use grammar::Language;
use std::collections::BTreeMap;
use stillwatch_evidence::Exchange;
use times::Span;

/// 2026-09-07, a Monday, 00:00 UTC.
const START_MS: i64 = 1_788_739_200_000;

/// What is replayed.
#[derive(Debug, Clone)]
pub struct ReplayParams {
    /// Seed of everything.
    pub seed: u64,
    /// Length, days; at least 7.
    pub days: u32,
    /// Ordinary accounts.
    pub ordinary: usize,
    /// Accounts of each class of innocents, about.
    pub per_class: usize,
    /// Classes of innocents.
    pub classes: Vec<Class>,
    /// Accounts of each campaign.
    pub per_campaign: usize,
    /// Requests of each harvesting account, cover included.
    pub requests_per_account: usize,
    /// Campaigns: one of each, in this order.
    pub campaigns: Vec<(Kind, Style)>,
}

impl Default for ReplayParams {
    fn default() -> Self {
        Self {
            seed: 1,
            days: 14,
            ordinary: 2_000,
            per_class: 40,
            classes: Class::ALL.to_vec(),
            per_campaign: 20,
            requests_per_account: 25,
            campaigns: Kind::ALL.iter().map(|kind| (*kind, Style::A)).collect(),
        }
    }
}

/// Exchanges in the order of time.
pub struct Replay {
    language: Language,
    accounts: Vec<account::Account>,
    schedule: std::vec::IntoIter<Entry>,
    labels: BTreeMap<String, Label>,
    number: u64,
    end_ms: i64,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("accounts", &self.accounts.len())
            .field("left", &self.schedule.len())
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// Plans everything; no text is written yet.
    pub fn new(params: &ReplayParams) -> Self {
        let language = Language::new();
        let span = Span { start_ms: START_MS, days: params.days.max(7) };
        let mut builder = Builder::new(&language, params.seed, span);
        let vpn = {
            let mut rng = builder.fork();
            place::pool(&mut rng, 40)
        };
        ordinary::add(&mut builder, params.ordinary, &vpn);
        for class in &params.classes {
            negatives::add(&mut builder, *class, params.per_class);
        }
        for (id, (kind, style)) in (0..).zip(&params.campaigns) {
            let size = campaigns::Size {
                accounts: params.per_campaign,
                requests: params.requests_per_account,
            };
            campaigns::add(&mut builder, Label::Campaign(*kind, *style, id), size, &vpn);
        }
        let Builder { accounts, mut schedule, labels, .. } = builder;
        schedule.sort_unstable();
        Self {
            language,
            accounts,
            schedule: schedule.into_iter(),
            labels,
            number: 0,
            end_ms: span.end_ms(),
        }
    }

    /// What each account really is.
    pub fn labels(&self) -> &BTreeMap<String, Label> {
        &self.labels
    }

    /// The end of the replay, milliseconds since the epoch.
    pub fn end_ms(&self) -> i64 {
        self.end_ms
    }

    /// Exchanges still to come.
    pub fn left(&self) -> usize {
        self.schedule.len()
    }
}

impl Iterator for Replay {
    type Item = Exchange;

    fn next(&mut self) -> Option<Exchange> {
        let entry = self.schedule.next()?;
        let account = self.accounts.get_mut(entry.account as usize)?;
        let number = self.number;
        self.number += 1;
        Some(account.ask(&self.language, number, entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.schedule.size_hint()
    }
}
