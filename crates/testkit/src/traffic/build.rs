//! Collects accounts and their times into one schedule.

use super::account::{Account, Params, Script};
use super::grammar::Language;
use super::label::Label;
use super::place::Network;
use super::times::Span;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Share of requests that fail for anybody.
const FAILURES: f64 = 0.004;

/// One request to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) time_ms: i64,
    pub(super) account: u32,
    pub(super) item: u32,
    /// Whether it fails, so that nothing is answered.
    pub(super) failed: bool,
}

/// What an account is made of.
pub(super) struct Spec {
    pub(super) plan: &'static str,
    pub(super) model: &'static str,
    pub(super) agent: String,
    pub(super) network: Network,
    pub(super) params: Params,
    pub(super) script: Box<dyn Script>,
}

/// The accounts and the schedule while they are made.
pub(super) struct Builder<'a> {
    pub(super) language: &'a Language,
    pub(super) rng: ChaCha8Rng,
    pub(super) span: Span,
    pub(super) accounts: Vec<Account>,
    pub(super) schedule: Vec<Entry>,
    pub(super) labels: BTreeMap<String, Label>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(language: &'a Language, seed: u64, span: Span) -> Self {
        Self {
            language,
            rng: ChaCha8Rng::seed_from_u64(seed),
            span,
            accounts: Vec::new(),
            schedule: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// A generator of random numbers of its own.
    pub(super) fn fork(&mut self) -> ChaCha8Rng {
        ChaCha8Rng::from_rng(&mut self.rng)
    }

    /// Adds an account without times; its index.
    pub(super) fn account(&mut self, label: Label, spec: Spec) -> u32 {
        let id = format!("acct-{:010x}", self.rng.random_range(0..1_u64 << 40));
        self.labels.insert(id.clone(), label);
        let rng = self.fork();
        let Spec { plan, model, agent, network, params, script } = spec;
        self.accounts.push(Account { id, plan, model, agent, network, params, script, rng });
        u32::try_from(self.accounts.len() - 1).unwrap_or(u32::MAX)
    }

    /// An account asks for an item of its queue at a moment.
    pub(super) fn at(&mut self, account: u32, time_ms: i64, item: u32) {
        if time_ms >= self.span.start_ms && time_ms < self.span.end_ms() {
            self.schedule.push(Entry { time_ms, account, item, failed: false });
        }
    }

    /// An account asks and gets an error.
    pub(super) fn fails_at(&mut self, account: u32, time_ms: i64, item: u32) {
        if time_ms >= self.span.start_ms && time_ms < self.span.end_ms() {
            self.schedule.push(Entry { time_ms, account, item, failed: true });
        }
    }

    /// Adds an account that asks at these times.
    pub(super) fn add(&mut self, label: Label, spec: Spec, times: &[i64]) -> u32 {
        let account = self.account(label, spec);
        for (item, time_ms) in (0..).zip(times) {
            if self.rng.random_bool(FAILURES) {
                // Whoever gets an error asks again.
                let again_ms = *time_ms - self.rng.random_range(1_000..20_000);
                self.fails_at(account, again_ms, item);
            }
            self.at(account, *time_ms, item);
        }
        account
    }
}
