//! Seeded draws and small constructors that the tests share.

#![expect(clippy::expect_used, reason = "test data is made here")]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stillwatch_stats::{PValue, ScoreSet, Unit};

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Standard normal (Box and Muller 1958).
pub(crate) fn normal(rng: &mut impl Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Student's t with two degrees of freedom.
pub(crate) fn t2(rng: &mut impl Rng) -> f64 {
    let exponential: f64 = -(1.0 - rng.random::<f64>()).ln();
    normal(rng) / exponential.sqrt()
}

pub(crate) fn pairs(x: &[f64]) -> Vec<Unit> {
    x.iter().map(|v| Unit::pair(*v).expect("finite")).collect()
}

pub(crate) fn set(suspect: &[f64], references: &[&[f64]]) -> ScoreSet {
    let references = references.iter().map(|r| r.to_vec()).collect();
    ScoreSet::new(suspect.to_vec(), references, None).expect("finite and of one shape")
}

/// Throws every coin again: with probability 1/2 (K = 1), or uniformly, another text is released.
pub(crate) fn throw(set: &ScoreSet, rng: &mut impl Rng) -> ScoreSet {
    relabel(set, rng.random_range(0..=set.k()))
}

/// The same set had text `at` been released: texts 0 and `at` change places in every column.
pub(crate) fn relabel(set: &ScoreSet, at: usize) -> ScoreSet {
    let swap = |column: &[f64]| {
        let mut out = column.to_vec();
        out.swap(0, at);
        out
    };
    ScoreSet::new(
        swap(set.suspect()),
        set.references().iter().map(|r| swap(r)).collect(),
        set.n_tokens().map(swap),
    )
    .expect("a permutation of a valid set")
}

#[track_caller]
pub(crate) fn close(actual: f64, expected: f64, relative: f64) {
    let error = (actual - expected).abs();
    assert!(error <= relative * expected.abs(), "{actual} against {expected}: off by {error}");
}

/// P(p ≤ a) ≤ a + 4 standard errors at several a.
#[track_caller]
pub(crate) fn assert_super_uniform(what: &str, p: &[PValue]) {
    let n = p.len() as f64;
    for a in [0.3, 0.1, 0.05, 0.01, 1e-3] {
        let share = p.iter().filter(|p| p.value() <= a * (1.0 + 1e-12)).count() as f64 / n;
        let standard_error = (a * (1.0 - a) / n).sqrt();
        assert!(share <= a + 4.0 * standard_error, "{what}: P(p <= {a}) = {share}");
    }
}
