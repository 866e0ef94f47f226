//! Clients that react to what they are answered don't bias the pairs that remain.
//!
//! Under the null nothing about a kept pair but the coin says which text was released, whatever
//! its clients did: they hang up on texts by content, ask again for better ones, quote and paste
//! what they were told. So for any score of texts the difference released minus withheld has a
//! fair sign. The scores here are the worst ones: what the clients reacted to. The control is a
//! capture that drops the pairs whose client hung up: the same test must convict it.

use super::rig::{exported, exposing, start};
use std::collections::BTreeMap;
use stillwatch_evidence::Exposure;
use stillwatch_evidence::ledger::Receipt;
use stillwatch_testkit::client::{Adaptive, Habit, Turn};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

/// Conversations of each kind of client.
const CONVERSATIONS: u64 = 320;
/// Pairs of a small run.
const RUN: usize = 5;
/// Small runs at least.
const RUNS_MIN: usize = 200;
/// A fair capture is convicted by chance once in so many tests of this suite.
const ALPHA: f64 = 1e-6;

/// A pair as the test sees it.
struct Seen {
    /// Difference of a score, released minus withheld: of being read on.
    by_habit: f64,
    /// Of the length.
    by_length: f64,
    hung_up: bool,
}

/// Two-sided exact sign test; differences of 0 say nothing.
fn sign_p(differences: &[f64]) -> f64 {
    let n_plus = differences.iter().filter(|d| **d > 0.0).count();
    let n_minus = differences.iter().filter(|d| **d < 0.0).count();
    let (n, k) = (n_plus + n_minus, n_plus.min(n_minus));
    // Σ_{i≤k} C(n,i) 2^-n, in logarithms.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log_term.exp();
    for i in 0..k {
        log_term += ((n - i) as f64).ln() - ((i + 1) as f64).ln();
        tail += log_term.exp();
    }
    (2.0 * tail).min(1.0)
}

/// One-sided exact sign-flip test of a small run: share of the 2^n flips whose sum is at least as
/// large.
fn flip_p(differences: &[f64]) -> f64 {
    let observed: f64 = differences.iter().sum();
    let n_flips = 1_u32 << differences.len();
    let at_least = (0..n_flips).filter(|flips| {
        let sum: f64 = differences
            .iter()
            .enumerate()
            .map(|(i, d)| if flips >> i & 1 == 1 { -d } else { *d })
            .sum();
        sum >= observed - 1e-9
    });
    at_least.count() as f64 / f64::from(n_flips)
}

/// P(X ≥ k), X binomial with n and u.
fn upper_tail(n: usize, k: usize, u: f64) -> f64 {
    let log_choose =
        |k: usize| -> f64 { (0..k).map(|i| ((n - i) as f64).ln() - ((i + 1) as f64).ln()).sum() };
    let term =
        |i: usize| (log_choose(i) + i as f64 * u.ln() + (n - i) as f64 * (1.0 - u).ln()).exp();
    (k..=n).map(term).sum()
}

/// The smallest p of all tests: of the signs by either score, and of whether the p-values of the
/// small runs are super-uniform.
fn convicts(pairs: &[&Seen]) -> f64 {
    let by = |score: fn(&Seen) -> f64| pairs.iter().map(|pair| score(pair)).collect::<Vec<f64>>();
    let mut smallest: f64 = 1.0;
    for differences in [by(|pair| pair.by_habit), by(|pair| pair.by_length)] {
        smallest = smallest.min(sign_p(&differences));
        let runs: Vec<f64> = differences.chunks_exact(RUN).map(flip_p).collect();
        for u in [0.05, 0.1, 0.25, 0.5] {
            let n_below = runs.iter().filter(|p| **p <= u).count();
            smallest = smallest.min(upper_tail(runs.len(), n_below, u));
        }
    }
    smallest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_of_clients_that_react_keep_the_null() {
    let upstream = MockUpstream::start(
        Behaviour::new().seed(5).tokens(15..=45).tokens_per_second(4_000.0).recorded_max(0),
    );
    let data = tempfile::tempdir().expect("a folder");
    let mut config = exposing(&upstream, data.path());
    config.exposure.concurrent_max = 64;
    let gateway = start(config).await;
    let habits = [
        Habit::HangUpWhenLong(180),
        Habit::HangUpWhenBad(0.5),
        Habit::ReadsOnOnlyFor("er ".to_owned()),
        Habit::ReadAll,
    ];
    let mut turn_of: BTreeMap<u64, (usize, bool)> = BTreeMap::new();
    let mut exposed: Vec<Turn> = Vec::new();
    for (which, habit) in habits.iter().enumerate() {
        let clients = Adaptive::new(&gateway.url(""))
            .habit(habit.clone())
            .seed(which as u64 + 10)
            .turns(1..=2)
            .asks_again(0.5)
            .pastes(0.1);
        for turn in clients.run(CONVERSATIONS, 24).await {
            if turn.receipt.is_empty() {
                continue;
            }
            let receipt: Receipt = serde_json::from_str(&turn.receipt).expect("a receipt");
            turn_of.insert(receipt.sequence, (which, turn.hung_up));
            exposed.push(turn);
        }
    }
    gateway.stop().await;
    // What was pasted into exposed requests comes from answers that weren't exposed.
    for turn in exposed.iter().filter(|turn| turn.quotes) {
        for other in &exposed {
            let is_long = other.text.chars().filter(|c| c.is_alphanumeric()).count() >= 35;
            let quotes = turn.messages.iter().any(|(_, said)| said.contains(&other.text));
            assert!(!(is_long && quotes), "exposed, though it quotes {:?}", other.text);
        }
    }

    let (exposures, exported) = exported(data.path());
    assert_eq!(exported.left_out.unfinished, 0);
    assert_eq!(exported.set_aside.len(), 0, "hanging up sets nothing aside: {exported:?}");
    assert_eq!(exposures.len(), turn_of.len(), "one for each receipt");
    let seen: Vec<Seen> =
        exposures.iter().map(|exposure| see(exposure, &turn_of, &habits)).collect();
    let n_hung_up = seen.iter().filter(|pair| pair.hung_up).count();
    assert!(seen.len() / RUN >= RUNS_MIN && n_hung_up > 200, "{} {n_hung_up}", seen.len());

    let all: Vec<&Seen> = seen.iter().collect();
    let p = convicts(&all);
    assert!(p > ALPHA, "the capture is biased: p = {p:e}");
    // A capture that drops what its clients hung up on is one that looks at the released text.
    let biased: Vec<&Seen> = seen.iter().filter(|pair| !pair.hung_up).collect();
    let p = convicts(&biased);
    assert!(p < ALPHA, "the test has no power: p = {p:e}");
}

fn see(exposure: &Exposure, turn_of: &BTreeMap<u64, (usize, bool)>, habits: &[Habit]) -> Seen {
    let sequence = exposure.commitment.as_ref().expect("a commitment").sequence;
    let (which, hung_up) = turn_of[&sequence];
    let pleases = |text: &str| if habits[which].hangs_up(text) { 0.0 } else { 1.0 };
    let length = |text: &str| text.chars().count() as f64;
    let (released, withheld) = (&exposure.released, &exposure.withheld[0]);
    Seen {
        by_habit: pleases(released) - pleases(withheld),
        by_length: length(released) - length(withheld),
        hung_up,
    }
}

#[test]
fn the_tests_themselves_are_exact() {
    assert!((sign_p(&[1.0; 10]) - 2.0 / 1_024.0).abs() < 1e-12);
    assert!((sign_p(&[1.0, -1.0]) - 1.0).abs() < 1e-12);
    assert!((flip_p(&[1.0, 2.0, 3.0]) - 0.125).abs() < 1e-12);
    assert!((flip_p(&[-1.0, -2.0]) - 1.0).abs() < 1e-12);
    assert!((upper_tail(3, 2, 0.5) - 0.5).abs() < 1e-12);
}
