//! Draws the next token from logits: temperature, nucleus, seed.

use crate::{ModelError, SampleParams};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Most tokens that one answer may ask for.
const ANSWER_TOKENS_MAX: usize = 1 << 20;

/// One answer's source of tokens.
pub(crate) struct Sampler {
    rng: ChaCha8Rng,
    temperature: f64,
    top_p: f64,
}

impl Sampler {
    /// Checks the parameters.
    pub(crate) fn new(params: &SampleParams) -> Result<Self, ModelError> {
        let refuse = |what: String| Err(ModelError::Request(what));
        let SampleParams { temperature, top_p, max_tokens, seed } = *params;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return refuse(format!("temperature {temperature}: expected 0 or more"));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return refuse(format!("top_p {top_p}: expected above 0, at most 1"));
        }
        if !(1..=ANSWER_TOKENS_MAX).contains(&max_tokens) {
            return refuse(format!("max_tokens {max_tokens}: expected 1 to {ANSWER_TOKENS_MAX}"));
        }
        Ok(Self { rng: ChaCha8Rng::seed_from_u64(seed), temperature, top_p })
    }

    /// The next token. Fails on logits that aren't numbers.
    pub(crate) fn next(&mut self, logits: &[f32]) -> Result<u32, ModelError> {
        let not_finite = || ModelError::Request("the model gave logits that are no numbers".into());
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if logits.iter().any(|x| x.is_nan()) || !max.is_finite() {
            return Err(not_finite());
        }
        if self.temperature == 0.0 {
            let best = logits.iter().zip(0..).find(|(x, _)| **x >= max).map(|(_, i)| i);
            return best.ok_or_else(not_finite);
        }
        let max = f64::from(max);
        let mut weights: Vec<(f64, u32)> = logits
            .iter()
            .zip(0..)
            .map(|(&x, i)| (((f64::from(x) - max) / self.temperature).exp(), i))
            .collect();
        let mut total: f64 = weights.iter().map(|(w, _)| w).sum();
        if self.top_p < 1.0 {
            weights.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let mut mass = 0.0;
            let kept = weights
                .iter()
                .position(|(w, _)| {
                    mass += w;
                    mass >= self.top_p * total
                })
                .map_or(weights.len(), |i| i + 1);
            weights.truncate(kept);
            total = weights.iter().map(|(w, _)| w).sum();
        }
        let mut left = self.rng.random::<f64>() * total;
        for &(weight, token) in &weights {
            left -= weight;
            if left < 0.0 {
                return Ok(token);
            }
        }
        // Rounding used up the mass: the last token with any.
        weights.iter().rev().find(|(w, _)| *w > 0.0).map(|(_, i)| *i).ok_or_else(not_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(temperature: f64, top_p: f64, seed: u64) -> SampleParams {
        SampleParams { temperature, top_p, max_tokens: 1, seed }
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let logits = [0.0_f32, 1.0, 2.0];
        let mut sampler = Sampler::new(&params(2.0, 1.0, 3)).expect("valid");
        let n = 20_000;
        let mut counts = [0_u32; 3];
        for _ in 0..n {
            counts[sampler.next(&logits).expect("finite") as usize] += 1;
        }
        let total: f64 = (0..3).map(|i| (f64::from(i) / 2.0).exp()).sum();
        for (i, count) in (0..3).zip(counts) {
            let p = (f64::from(i) / 2.0).exp() / total;
            let sd = (p * (1.0 - p) / f64::from(n)).sqrt();
            assert!((f64::from(count) / f64::from(n) - p).abs() < 5.0 * sd, "{i}: {count}");
        }
    }

    #[test]
    fn nucleus_greedy_and_seed() {
        let logits = [1.0_f32, 5.0, 5.0, 0.9];
        let greedy = Sampler::new(&params(0.0, 1.0, 0)).expect("valid").next(&logits);
        assert_eq!(greedy.expect("finite"), 1);
        let mut narrow = Sampler::new(&params(1.0, 0.9, 1)).expect("valid");
        assert!((0..200).all(|_| matches!(narrow.next(&logits), Ok(1 | 2))));
        let draw = |seed| {
            let mut s = Sampler::new(&params(3.0, 1.0, seed)).expect("valid");
            (0..20).map(|_| s.next(&logits).expect("finite")).collect::<Vec<_>>()
        };
        assert_eq!(draw(4), draw(4));
        assert_ne!(draw(4), draw(5));
    }

    #[test]
    fn bad_parameters_and_logits_are_refused() {
        for bad in [
            params(-1.0, 1.0, 0),
            params(f64::NAN, 1.0, 0),
            params(1.0, 0.0, 0),
            params(1.0, 1.5, 0),
            SampleParams { max_tokens: 0, ..params(1.0, 1.0, 0) },
        ] {
            assert!(Sampler::new(&bad).is_err(), "{bad:?}");
        }
        let mut sampler = Sampler::new(&params(1.0, 1.0, 0)).expect("valid");
        for logits in [&[][..], &[f32::NAN, 1.0], &[f32::INFINITY, 1.0], &[f32::NEG_INFINITY]] {
            assert!(sampler.next(logits).is_err(), "{logits:?}");
        }
    }
}
