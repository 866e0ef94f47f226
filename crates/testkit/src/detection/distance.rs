//! A distance test in the manner of PRADA (Juuti et al. 2019), on hashed words.
//!
//! Per account: distances of each prompt to its nearest earlier one should look normal for an
//! honest user; the score is one minus the correlation of their order statistics with normal
//! quantiles (Shapiro–Francia in place of Shapiro–Wilk). Prompts are bags of hashed words, where
//! the paper has images. Only ranks are compared, so no threshold is borrowed.

use super::rules::flag_above;
use super::{Detector, Flagged};
use statrs::distribution::{ContinuousCDF as _, Normal};
use std::collections::BTreeMap;
use stillwatch_evidence::Exchange;

/// Dimensions of a bag of words.
const DIMENSIONS: usize = 256;

/// Prompts of an account that are compared.
const PROMPTS_MAX: usize = 200;

/// Prompts that a score needs.
const PROMPTS_MIN: usize = 10;

#[derive(Debug, Default)]
struct State {
    prompts: Vec<[f32; DIMENSIONS]>,
    distances: Vec<f64>,
}

/// The test.
#[derive(Debug, Default)]
pub struct NearestDistance {
    accounts: BTreeMap<String, State>,
}

fn bag(text: &str) -> [f32; DIMENSIONS] {
    let mut bag = [0.0_f32; DIMENSIONS];
    for word in text.split_whitespace() {
        let h = word.bytes().fold(0x811c_9dc5_u32, |h, b| {
            (h ^ u32::from(b.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
        });
        if let Some(place) = bag.get_mut(h as usize % DIMENSIONS) {
            *place += 1.0;
        }
    }
    let norm = bag.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    for x in &mut bag {
        *x /= norm;
    }
    bag
}

/// One minus the squared correlation with normal quantiles.
fn oddness(distances: &[f64]) -> f64 {
    let Ok(normal) = Normal::new(0.0, 1.0) else { return 0.0 };
    let n = distances.len() as f64;
    let mut sorted = distances.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mean = sorted.iter().sum::<f64>() / n;
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (rank, x) in sorted.iter().enumerate() {
        let quantile = normal.inverse_cdf((rank as f64 + 0.625) / (n + 0.25));
        xy += (x - mean) * quantile;
        xx += (x - mean).powi(2);
        yy += quantile * quantile;
    }
    if xx <= 0.0 { 1.0 } else { 1.0 - xy * xy / (xx * yy) }
}

impl NearestDistance {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accounts odder than all but this share of the innocents.
    pub fn at_false_alarms(&self, innocent: impl Fn(&str) -> bool, share: f64) -> Flagged {
        let scores: Vec<(&str, f64)> = self
            .accounts
            .iter()
            .map(|(account, state)| {
                let enough = state.distances.len() >= PROMPTS_MIN;
                (account.as_str(), if enough { oddness(&state.distances) } else { 0.0 })
            })
            .collect();
        flag_above(scores.iter().copied(), innocent, share)
    }
}

impl Detector for NearestDistance {
    fn name(&self) -> &'static str {
        "nearest distance"
    }

    fn observe(&mut self, exchange: &Exchange) {
        let seen = super::observation(exchange);
        let state = self.accounts.entry(seen.account.to_owned()).or_default();
        if state.prompts.len() >= PROMPTS_MAX {
            return;
        }
        let new = bag(seen.user);
        let nearest = state
            .prompts
            .iter()
            .map(|old| old.iter().zip(new.iter()).map(|(a, b)| (a - b) * (a - b)).sum::<f32>())
            .fold(f32::INFINITY, f32::min);
        if nearest.is_finite() {
            state.distances.push(f64::from(nearest).sqrt());
        }
        state.prompts.push(new);
    }

    fn flagged(&mut self, _now_ms: i64) -> Flagged {
        Flagged::default()
    }
}
