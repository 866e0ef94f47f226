//! AdamW with its moments in the open, gradient clipping, and a warm-up + cosine schedule.
//!
//! Responsible for: one update of every weight from its gradient. The moments can be read and
//! put back, which exact resume needs. Leaves the loop, the data and the files to
//! [`crate::train`].

#![expect(clippy::cast_possible_truncation, reason = "weights are f32: rounding to it is meant")]

use serde::{Deserialize, Serialize};

/// Constants of AdamW (Loshchilov and Hutter 2019, algorithm 2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWParams {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest Euclidean norm of the whole gradient; longer ones are shortened to it.
    pub clip_norm: f64,
}

impl Default for AdamWParams {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.01, clip_norm: 1.0 }
    }
}

/// The optimiser: first and second moment of every weight, and the number of updates done.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    params: AdamWParams,
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of its square.
    pub second: Vec<f32>,
    /// Updates done so far.
    pub n_updates: u64,
}

impl AdamW {
    /// Starts with zero moments for `n` weights.
    pub fn new(n: usize, params: AdamWParams) -> Self {
        Self { params, first: vec![0.0; n], second: vec![0.0; n], n_updates: 0 }
    }

    /// One update at this learning rate; `norm` is the Euclidean norm of the whole gradient.
    pub fn update(&mut self, weights: &mut [f32], gradient: &[f32], norm: f64, learning_rate: f64) {
        let AdamWParams { beta1, beta2, epsilon, weight_decay, clip_norm } = self.params;
        self.n_updates += 1;
        let t = i32::try_from(self.n_updates).unwrap_or(i32::MAX);
        let clip = if norm > clip_norm { (clip_norm / norm) as f32 } else { 1.0 };
        let step = (learning_rate / (1.0 - beta1.powi(t))) as f32;
        let root = (1.0 / (1.0 - beta2.powi(t))).sqrt() as f32;
        let keep = (1.0 - learning_rate * weight_decay) as f32;
        let (b1, b2, eps) = (beta1 as f32, beta2 as f32, epsilon as f32);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((w, &g), (m, v)) in weights.iter_mut().zip(gradient).zip(moments) {
            let g = g * clip;
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *w = *w * keep - step * *m / (v.sqrt() * root + eps);
        }
    }
}

/// Euclidean norm, summed in f64.
pub fn norm(gradient: &[f32]) -> f64 {
    gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt()
}

/// Learning rate of update `step` (from 0) of `n_steps`: linear warm-up over `n_warmup`, then
/// half a cosine down to `floor` times the peak.
pub fn cosine_schedule(step: u64, n_steps: u64, n_warmup: u64, peak: f64, floor: f64) -> f64 {
    if step < n_warmup {
        return peak * (step + 1) as f64 / n_warmup as f64;
    }
    let span = n_steps.saturating_sub(n_warmup).max(1) as f64;
    let done = ((step - n_warmup) as f64 / span).min(1.0);
    peak * (floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()))
}
