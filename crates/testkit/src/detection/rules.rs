//! Published rules, replayed from their description: Glasswally (m0rs3c0d3/Glasswally, March
//! 2026), the workers that need only text, times, sizes and addresses.
//!
//! Written anew from a description of its workers, weights and thresholds; phrase lists are in
//! part our guess. Left out, because logs lack them: TLS fingerprints, HTTP/2 frames, hosting
//! tiers, payment hashes, sentence embeddings, refusal, sequence and watermark keyword lists
//! (weight .43 of 1 together), so its own threshold of .35 is nearly out of reach. Fair is the
//! comparison of ranks: [`PublishedRules::at_false_alarms`].

use super::{Detector, Flagged};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use stillwatch_evidence::Exchange;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Events of one account that are kept; the rules look back a day.
const EVENTS_MAX: usize = 2_000;

const COT_PHRASES: [&str; 8] = [
    "step by step",
    "chain of thought",
    "reward model",
    "respond only in json",
    "show your reasoning",
    "explain your reasoning",
    "think carefully",
    "internal reasoning",
];

const ROLE_PHRASES: [&str; 5] =
    ["you are an expert", "you are a helpful", "act as", "your task is", "assume the role"];

#[derive(Debug, Clone)]
struct Event {
    time_ms: i64,
    length: usize,
    first_word: String,
    prefix: String,
    system: u64,
    cot: bool,
    role: usize,
    completion: f64,
    max_tokens: Option<f64>,
    model: String,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    subnets: BTreeSet<String>,
    best: f64,
}

/// The rules.
#[derive(Debug, Default)]
pub struct PublishedRules {
    accounts: BTreeMap<String, State>,
    by_subnet: BTreeMap<String, BTreeSet<String>>,
    by_system: BTreeMap<u64, BTreeSet<String>>,
    second: (i64, BTreeSet<String>),
    threshold: f64,
}

fn mean(xs: &[f64]) -> f64 {
    xs.iter().sum::<f64>() / xs.len().max(1) as f64
}

/// Coefficient of variation; infinite where it has no meaning.
fn variation(xs: &[f64]) -> f64 {
    let m = mean(xs);
    if xs.len() < 3 || m <= 0.0 {
        return f64::INFINITY;
    }
    (xs.iter().map(|x| (x - m).powi(2)).sum::<f64>() / xs.len() as f64).sqrt() / m
}

fn step(value: f64, steps: &[(f64, f64)]) -> f64 {
    steps.iter().find(|(above, _)| value > *above).map_or(0.0, |(_, score)| *score)
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl PublishedRules {
    /// With the published threshold "medium", .35.
    pub fn new() -> Self {
        Self { threshold: 0.35, ..Self::default() }
    }

    /// Accounts above the score that lets this share of the innocents through.
    pub fn at_false_alarms(&self, innocent: impl Fn(&str) -> bool, share: f64) -> Flagged {
        flag_above(self.accounts.iter().map(|(a, s)| (a.as_str(), s.best)), innocent, share)
    }

    fn score(&self, account: &str, now_ms: i64) -> f64 {
        let Some(state) = self.accounts.get(account) else { return 0.0 };
        let day: Vec<&Event> =
            state.events.iter().filter(|e| e.time_ms > now_ms - DAY_MS).collect();
        let hour: Vec<&Event> =
            day.iter().filter(|e| e.time_ms > now_ms - HOUR_MS).copied().collect();
        let parts = [
            (0.10, velocity(&hour)),
            (0.09, chain_of_thought(&hour)),
            (0.05, biometric(&hour)),
            (0.06, self.preamble(&day)),
            (0.04, session_gap(&day)),
            (0.03, token_budget(&day)),
            (0.07, self.timing()),
            (0.05, pivot(&day)),
            (0.08, self.hydra(state)),
        ];
        parts
            .iter()
            .map(|(weight, (score, sure))| weight * score.min(1.0) * (0.4 + 0.6 * sure))
            .sum()
    }

    fn preamble(&self, day: &[&Event]) -> (f64, f64) {
        let Some(last) = day.last() else { return (0.0, 0.0) };
        let mut score = (0.10 * last.role as f64).min(0.25);
        if day.len() >= 5 && last.system != 0 {
            let same = day.iter().filter(|e| e.system == last.system).count();
            score += step(same as f64 / day.len() as f64, &[(0.799, 0.35), (0.599, 0.20)]);
        }
        let sharing = self.by_system.get(&last.system).map_or(0, BTreeSet::len);
        score += step(sharing as f64, &[(9.5, 0.50), (4.5, 0.35), (2.5, 0.18)]);
        (if score < 0.15 { 0.0 } else { score }, 0.8)
    }

    fn timing(&self) -> (f64, f64) {
        let k = self.second.1.len();
        if k < 5 { (0.0, 0.0) } else { ((0.5 * (k as f64 - 5.0) / 7.0).min(0.5) + 0.2, 0.7) }
    }

    fn hydra(&self, state: &State) -> (f64, f64) {
        let others = state.subnets.iter().filter_map(|net| self.by_subnet.get(net));
        let size = others.map(BTreeSet::len).max().unwrap_or(1);
        if size < 3 {
            return (0.0, 0.0);
        }
        let score =
            (size as f64 / 25.0).min(1.0) * 0.40 + (0.03 * state.subnets.len() as f64).min(0.15);
        (score, 0.7)
    }
}

/// Accounts whose score is above that of all but this share of the innocents.
pub(super) fn flag_above<'a>(
    scores: impl Iterator<Item = (&'a str, f64)> + Clone,
    innocent: impl Fn(&str) -> bool,
    share: f64,
) -> Flagged {
    let mut of_innocents: Vec<f64> =
        scores.clone().filter(|(account, _)| innocent(account)).map(|(_, s)| s).collect();
    of_innocents.sort_by(|a, b| b.total_cmp(a));
    let allowed = share * of_innocents.len() as f64;
    let bar = of_innocents
        .iter()
        .enumerate()
        .find(|(rank, _)| *rank as f64 + 1.0 > allowed)
        .map_or(f64::INFINITY, |(_, score)| *score);
    let accounts = scores.filter(|(_, s)| *s > bar).map(|(a, _)| a.to_owned()).collect();
    Flagged { accounts, groups: Vec::new() }
}

fn gaps(events: &[&Event]) -> Vec<f64> {
    events
        .windows(2)
        .map(|w| match w {
            [a, b] => (b.time_ms - a.time_ms) as f64,
            _ => 0.0,
        })
        .collect()
}

fn velocity(hour: &[&Event]) -> (f64, f64) {
    let n = hour.len();
    if n < 5 {
        return (0.0, 0.0);
    }
    let mut score = step(n as f64, &[(200.0, 0.45), (60.0, 0.25)]);
    score += step(1.0 - variation(&gaps(hour)), &[(0.70, 0.30), (0.50, 0.15)]);
    let sizes: Vec<f64> = hour.iter().map(|e| e.completion).collect();
    score += if variation(&sizes) < 0.15 { 0.15 } else { 0.0 };
    let night = hour.iter().filter(|e| e.time_ms.rem_euclid(DAY_MS) < 6 * HOUR_MS).count();
    score += if 2 * night > n { 0.10 } else { 0.0 };
    let sure = (n as f64 / 50.0).min(1.0);
    (score * (0.5 + 0.5 * sure), sure)
}

fn chain_of_thought(hour: &[&Event]) -> (f64, f64) {
    let Some(last) = hour.last() else { return (0.0, 0.0) };
    let hits = hour.iter().filter(|e| e.cot).count();
    let mut score = if last.cot { 0.40 } else { 0.0 };
    if hour.len() >= 5 && 5 * hits >= hour.len() {
        score += 0.35;
    }
    (score, 0.9)
}

fn biometric(hour: &[&Event]) -> (f64, f64) {
    let n = hour.len();
    if n < 10 {
        return (0.0, 0.0);
    }
    let mut counts = BTreeMap::<(usize, &str), usize>::new();
    let mut prefixes = BTreeMap::<&str, usize>::new();
    for e in hour {
        *counts.entry((e.length / 100, &e.first_word)).or_default() += 1;
        *prefixes.entry(&e.prefix).or_default() += 1;
    }
    let entropy: f64 =
        counts.values().map(|c| *c as f64 / n as f64).map(|p| -p * p.log2()).sum::<f64>()
            / (n as f64).log2();
    let mut score = if entropy < 0.20 {
        0.45
    } else if entropy < 0.40 {
        0.20
    } else {
        0.0
    };
    let lengths: Vec<f64> = hour.iter().map(|e| e.length as f64).collect();
    let cv = variation(&lengths);
    score += if cv < 0.10 {
        0.25
    } else if cv < 0.20 {
        0.10
    } else {
        0.0
    };
    let same = prefixes.values().max().copied().unwrap_or(0) as f64 / n as f64;
    score += step(same, &[(0.60, 0.30), (0.40, 0.15)]);
    let sure = (n as f64 / 50.0).min(1.0);
    (score * (0.3 + 0.7 * sure), sure)
}

fn session_gap(day: &[&Event]) -> (f64, f64) {
    let all = gaps(day);
    let breaks: Vec<f64> = all.iter().copied().filter(|g| *g > 120_000.0).collect();
    if day.len() < 8 || breaks.len() < 3 {
        return (0.0, 0.0);
    }
    let cv = variation(&breaks);
    let score = if cv < 0.05 {
        0.55
    } else if cv < 0.08 {
        0.40
    } else if cv < 0.15 {
        0.20
    } else {
        0.0
    };
    (score + if breaks.len() > 20 { 0.10 } else { 0.0 }, 0.7)
}

fn token_budget(day: &[&Event]) -> (f64, f64) {
    let sizes: Vec<f64> = day.iter().filter_map(|e| e.max_tokens).collect();
    if sizes.len() < 6 {
        return (0.0, 0.0);
    }
    let standard =
        |x: &&f64| [1_024.0, 2_048.0, 4_096.0, 8_192.0].iter().any(|s| (**x - s).abs() < 0.1 * s);
    let share = sizes.iter().filter(standard).count() as f64 / sizes.len() as f64;
    let mut score = if share >= 0.7 { 0.30 } else { 0.0 };
    score += if mean(&sizes) > 2_000.0 { 0.10 } else { 0.0 };
    (score, 0.7)
}

fn pivot(day: &[&Event]) -> (f64, f64) {
    let models: BTreeSet<&str> = day.iter().map(|e| e.model.as_str()).collect();
    if models.len() > 1 { (0.20, 0.5) } else { (0.0, 0.0) }
}

impl Detector for PublishedRules {
    fn name(&self) -> &'static str {
        "published rules"
    }

    fn observe(&mut self, exchange: &Exchange) {
        let Some(account) = exchange.account.clone() else { return };
        let seen = super::observation(exchange);
        let time_ms = seen.time_ms;
        let text = seen.user.to_lowercase();
        let system = if seen.system.is_empty() { 0 } else { hash(seen.system) };
        let head = if seen.system.is_empty() { text.clone() } else { seen.system.to_lowercase() };
        let event = Event {
            time_ms,
            length: seen.user.len(),
            first_word: text.split_whitespace().next().unwrap_or_default().to_owned(),
            prefix: text.chars().take(30).collect(),
            system,
            cot: COT_PHRASES.iter().any(|p| text.contains(p)),
            role: ROLE_PHRASES.iter().filter(|p| head.contains(**p)).count(),
            completion: f64::from(seen.completion_tokens),
            max_tokens: seen.max_tokens.map(f64::from),
            model: seen.model.to_owned(),
        };
        let subnet = seen.ip.rsplit_once('.').map_or("", |(net, _)| net).to_owned();
        self.by_subnet.entry(subnet.clone()).or_default().insert(account.clone());
        if system != 0 {
            self.by_system.entry(system).or_default().insert(account.clone());
        }
        if self.second.0 != time_ms / 1_000 {
            self.second = (time_ms / 1_000, BTreeSet::new());
        }
        self.second.1.insert(account.clone());
        let state = self.accounts.entry(account.clone()).or_default();
        state.subnets.insert(subnet);
        state.events.push_back(event);
        while state.events.len() > EVENTS_MAX
            || state.events.front().is_some_and(|e| e.time_ms <= time_ms - DAY_MS)
        {
            state.events.pop_front();
        }
        let score = self.score(&account, time_ms);
        if let Some(state) = self.accounts.get_mut(&account) {
            state.best = state.best.max(score);
        }
    }

    fn flagged(&mut self, _now_ms: i64) -> Flagged {
        let above = self.accounts.iter().filter(|(_, s)| s.best >= self.threshold);
        Flagged { accounts: above.map(|(a, _)| a.clone()).collect(), groups: Vec::new() }
    }
}
