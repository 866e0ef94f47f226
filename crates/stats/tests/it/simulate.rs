//! Laws of innocent scores, shared by the simulations.

#![expect(clippy::expect_used, reason = "test data is made here")]

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use stillwatch_stats::ScoreSet;

use crate::helpers::{normal, t2};

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
            Self::StudentT2 => t2(rng),
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

pub(crate) fn pair(x: f64) -> ScoreSet {
    ScoreSet::new(vec![x, 0.0], Vec::new(), None).expect("finite")
}
