//! Laws of innocent scores, shared by the simulations.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stillwatch_stats::ScoreSet;

pub(crate) fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Law {
    Gaussian,
    StudentT2,
    Ties,
    Zeros,
    Heteroscedastic,
}

pub(crate) const LAWS: [Law; 5] =
    [Law::Gaussian, Law::StudentT2, Law::Ties, Law::Zeros, Law::Heteroscedastic];

impl Law {
    pub(crate) fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        let g = normal(rng);
        match self {
            Self::Gaussian => g,
            Self::StudentT2 => g / (-(1.0 - rng.random::<f64>()).ln()).sqrt(),
            Self::Ties => (2.0 * g).round(),
            Self::Zeros => {
                if rng.random::<f64>() < 0.7 {
                    0.0
                } else {
                    g
                }
            }
            Self::Heteroscedastic => g * (2.0 * rng.random::<f64>()).exp().powi(2),
        }
    }
}

/// K + 1 texts of an innocent suspect with references that share its noise.
pub(crate) fn innocent_set(
    law: Law,
    k: usize,
    n_references: usize,
    lengths: bool,
    rng: &mut ChaCha8Rng,
) -> ScoreSet {
    let common: Vec<f64> = (0..=k).map(|_| law.draw(rng)).collect();
    let mut column = || common.iter().map(|c| c + 0.3 * law.draw(rng)).collect::<Vec<f64>>();
    let suspect = column();
    let references = (0..n_references).map(|_| column()).collect();
    let n_tokens =
        lengths.then(|| (0..=k).map(|_| f64::from(rng.random_range(5..60_u32))).collect());
    ScoreSet::new(suspect, references, n_tokens).expect("finite, equal lengths")
}

/// The same set with text `released` first: what the coin would have made of it.
pub(crate) fn relabelled(set: &ScoreSet, released: usize) -> ScoreSet {
    let swap = |column: &[f64]| {
        let mut column = column.to_vec();
        column.swap(0, released);
        column
    };
    ScoreSet::new(
        swap(set.suspect()),
        set.references().iter().map(|r| swap(r)).collect(),
        set.n_tokens().map(swap),
    )
    .expect("a permutation of a checked set")
}

pub(crate) fn pair(x: f64) -> ScoreSet {
    ScoreSet::new(vec![x, 0.0], Vec::new(), None).expect("finite")
}
