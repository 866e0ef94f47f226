//! The small operations between the products, forward and backward, on rows of f32.

#![expect(clippy::cast_possible_truncation, reason = "weights are f32: rounding to it is meant")]

use super::layout::{NORM_EPSILON, ROPE_THETA};

/// RMSNorm of every row: `y = x · r · gain` with `r = 1/√(mean x² + ε)`; keeps `r`.
pub(crate) fn rms_norm(x: &[f32], gain: &[f32], y: &mut [f32], inverse_rms: &mut [f32]) {
    let h = gain.len();
    let rows = x.chunks_exact(h).zip(y.chunks_exact_mut(h));
    for ((x, y), r) in rows.zip(inverse_rms) {
        let mean = x.iter().map(|&x| x * x).sum::<f32>() / h as f32;
        *r = (mean + NORM_EPSILON as f32).sqrt().recip();
        for ((y, &x), &w) in y.iter_mut().zip(x).zip(gain) {
            *y = x * *r * w;
        }
    }
}

/// Backward of [`rms_norm`]: adds to `dx` and `dgain`.
pub(crate) fn rms_norm_backward(
    (x, gain, inverse_rms): (&[f32], &[f32], &[f32]),
    dy: &[f32],
    dx: &mut [f32],
    dgain: &mut [f32],
) {
    let h = gain.len();
    let rows = x.chunks_exact(h).zip(dy.chunks_exact(h)).zip(dx.chunks_exact_mut(h));
    for (((x, dy), dx), &r) in rows.zip(inverse_rms) {
        let mut dot = 0.0f32;
        for ((&x, &dy), (&w, dw)) in x.iter().zip(dy).zip(gain.iter().zip(dgain.iter_mut())) {
            *dw += dy * x * r;
            dot += dy * w * x;
        }
        let pull = dot * r * r / h as f32;
        for (((dx, &dy), &x), &w) in dx.iter_mut().zip(dy).zip(x).zip(gain) {
            *dx += r * (dy * w - x * pull);
        }
    }
}

/// Cosines and sines of the rotary angles: `[positions, head_size / 2]` each.
#[derive(Debug, Clone)]
pub(crate) struct Rotary {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rotary {
    pub(crate) fn new(positions: usize, head_size: usize) -> Self {
        let half = head_size / 2;
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for p in 0..positions {
            for i in 0..half {
                let frequency = ROPE_THETA.powf(-2.0 * i as f64 / head_size as f64) as f32;
                let angle = p as f32 * frequency;
                cos.push(angle.cos());
                sin.push(angle.sin());
            }
        }
        Self { cos, sin, half }
    }

    /// Rotates each head of one row of width `n · head_size` that stands at `position`;
    /// `direction` 1 forward, −1 for the gradient.
    pub(crate) fn rotate(&self, row: &mut [f32], position: usize, direction: f32) {
        let at = position * self.half..(position + 1) * self.half;
        let (cos, sin) = (self.cos.get(at.clone()), self.sin.get(at));
        let (Some(cos), Some(sin)) = (cos, sin) else { return };
        for head in row.chunks_exact_mut(2 * self.half) {
            let (low, high) = head.split_at_mut(self.half);
            for ((a, b), (&c, &s)) in low.iter_mut().zip(high).zip(cos.iter().zip(sin)) {
                let s = s * direction;
                (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
            }
        }
    }
}

/// Softmax over the first i+1 entries of row i of a `[t, t]` matrix; zero beyond.
pub(crate) fn causal_softmax(scores: &mut [f32], t: usize) {
    for (i, row) in scores.chunks_exact_mut(t).enumerate() {
        let (seen, unseen) = row.split_at_mut(i + 1);
        unseen.fill(0.0);
        let top = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0f32;
        for s in seen.iter_mut() {
            *s = (*s - top).exp();
            sum += *s;
        }
        let scale = sum.recip();
        for s in seen {
            *s *= scale;
        }
    }
}

/// Backward of [`causal_softmax`]: turns the gradient of the weights `dp` into that of the
/// scores, in place.
pub(crate) fn causal_softmax_backward(p: &[f32], dp: &mut [f32], t: usize) {
    for (p, dp) in p.chunks_exact(t).zip(dp.chunks_exact_mut(t)) {
        let dot: f32 = p.iter().zip(dp.iter()).map(|(&p, &d)| p * d).sum();
        for (d, &p) in dp.iter_mut().zip(p) {
            *d = p * (*d - dot);
        }
    }
}

/// SwiGLU of every row: `[gate, up]` to `silu(gate) · up`.
pub(crate) fn swiglu(gate_up: &[f32], out: &mut [f32], f: usize) {
    for (row, out) in gate_up.chunks_exact(2 * f).zip(out.chunks_exact_mut(f)) {
        let (gate, up) = row.split_at(f);
        for ((o, &g), &u) in out.iter_mut().zip(gate).zip(up) {
            *o = g / (1.0 + (-g).exp()) * u;
        }
    }
}

/// Backward of [`swiglu`]: overwrites `[gate, up]` by their gradients.
pub(crate) fn swiglu_backward(gate_up: &mut [f32], dout: &[f32], f: usize) {
    for (row, dout) in gate_up.chunks_exact_mut(2 * f).zip(dout.chunks_exact(f)) {
        let (gate, up) = row.split_at_mut(f);
        for ((g, u), &d) in gate.iter_mut().zip(up).zip(dout) {
            let sigmoid = (1.0 + (-*g).exp()).recip();
            let silu = *g * sigmoid;
            let dgate = d * *u * sigmoid * (1.0 + *g * (1.0 - sigmoid));
            *u = d * silu;
            *g = dgate;
        }
    }
}

/// Cross-entropy: sum over rows of `weight · −log softmax(logits)[target]`, nats (log-sum-exp in
/// f64); overwrites the logits by their gradient times `1 / total_weight`.
pub(crate) fn cross_entropy(
    logits: &mut [f32],
    targets: &[u32],
    weights: &[f32],
    vocab: usize,
    total_weight: f64,
) -> f64 {
    let mut loss = 0.0;
    let rows = logits.chunks_exact_mut(vocab).zip(targets.iter().zip(weights));
    for (row, (&target, &weight)) in rows {
        if weight == 0.0 {
            row.fill(0.0);
            continue;
        }
        let target = target as usize;
        let wanted = row.get(target).copied().unwrap_or(f32::NAN);
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for x in row.iter_mut() {
            *x = (*x - top).exp();
            sum += f64::from(*x);
        }
        loss += f64::from(weight) * (sum.ln() + f64::from(top) - f64::from(wanted));
        let share = (f64::from(weight) / total_weight) as f32;
        let scale = share / sum as f32;
        for x in row.iter_mut() {
            *x *= scale;
        }
        if let Some(x) = row.get_mut(target) {
            *x -= share;
        }
    }
    loss
}
