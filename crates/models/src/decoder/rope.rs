//! Rotary position embedding, with the scalings that Llama models use.
//!
//! Angles are computed in f32 as `transformers` does, so that long positions agree with it.

use super::config::{DecoderConfig, RopeScaling};
use candle_core::{D, Device, Result, Tensor};

/// Inverse frequencies of one model.
#[derive(Debug, Clone)]
pub(super) struct Rope {
    inverse_frequencies: Vec<f32>,
}

/// Cosines and sines for the positions of one forward pass, broadcastable over
/// `[b, heads, t, head_dim / 2]`.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    pub(super) fn new(config: &DecoderConfig) -> Self {
        let half = config.head_dim / 2;
        let inverse_frequencies = (0..half)
            .map(|i| {
                let exponent = (2 * i) as f64 / config.head_dim as f64;
                let base = 1.0 / config.rope_theta.powf(exponent);
                #[expect(clippy::cast_possible_truncation, reason = "angles are f32 by design")]
                let frequency = scaled(base, &config.rope_scaling) as f32;
                frequency
            })
            .collect();
        Self { inverse_frequencies }
    }

    /// For positions `past .. past + t`, counted from each row's first real token. Without
    /// padding the tables are `[1, 1, t, half]`, else `[b, 1, t, half]`.
    pub(super) fn rotation(
        &self,
        past: usize,
        t: usize,
        pads: &[usize],
        device: &Device,
    ) -> Result<Rotation> {
        let rows: &[usize] = if pads.iter().all(|&pad| pad == 0) { &[0] } else { pads };
        let half = self.inverse_frequencies.len();
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        cos.reserve_exact(rows.len() * t * half);
        sin.reserve_exact(rows.len() * t * half);
        for &pad in rows {
            for i in past..past + t {
                let position = i.saturating_sub(pad) as f32;
                for &frequency in &self.inverse_frequencies {
                    let (s, c) = (position * frequency).sin_cos();
                    cos.push(c);
                    sin.push(s);
                }
            }
        }
        let shape = (rows.len(), 1, t, half);
        Ok(Rotation {
            cos: Tensor::from_vec(cos, shape, device)?,
            sin: Tensor::from_vec(sin, shape, device)?,
        })
    }
}

impl Rotation {
    /// Rotates `x`, `[b, heads, t, head_dim]`: the first half of each head with the second.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let x1 = x.narrow(D::Minus1, 0, half)?;
        let x2 = x.narrow(D::Minus1, half, half)?;
        let y1 = (x1.broadcast_mul(&self.cos)? - x2.broadcast_mul(&self.sin)?)?;
        let y2 = (x2.broadcast_mul(&self.cos)? + x1.broadcast_mul(&self.sin)?)?;
        Tensor::cat(&[&y1, &y2], D::Minus1)
    }
}

/// One inverse frequency after scaling (`transformers`, `modeling_rope_utils.py`).
fn scaled(frequency: f64, scaling: &RopeScaling) -> f64 {
    match *scaling {
        RopeScaling::None => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
            let wavelength = std::f64::consts::TAU / frequency;
            let original = original_positions as f64;
            if wavelength < original / high_freq_factor {
                frequency
            } else if wavelength > original / low_freq_factor {
                frequency / factor
            } else {
                let smooth = (original / wavelength - low_freq_factor)
                    / (high_freq_factor - low_freq_factor);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        }
    }
}
