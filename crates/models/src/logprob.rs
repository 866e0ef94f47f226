//! Log-probability of a token from raw logits.

/// `ln softmax(logits)[target]`, summed in f64.
///
/// `None` when `target` is outside the vocabulary or the result isn't finite (a NaN or
/// infinite logit).
pub(crate) fn log_probability(logits: &[f32], target: u32) -> Option<f64> {
    let chosen = f64::from(*logits.get(target as usize)?);
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let max = f64::from(max);
    let total: f64 = logits.iter().map(|&x| (f64::from(x) - max).exp()).sum();
    Some(chosen - max - total.ln()).filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_torch_and_stays_finite() {
        // torch 2.15: torch.log_softmax(torch.tensor([1., 2., 3., -4.]).double(), 0)
        let logits = [1.0, 2.0, 3.0, -4.0];
        let expected = [-2.408_212_401_75, -1.408_212_401_75, -0.408_212_401_75, -7.408_212_401_75];
        for (i, e) in (0..).zip(expected) {
            let x = log_probability(&logits, i).expect("finite");
            assert!((x - e).abs() < 1e-10, "{x} {e}");
        }
        let far = log_probability(&[1e30, -1e30], 0).expect("finite");
        assert!(far.abs() < 1e-12);
        assert_eq!(log_probability(&logits, 4), None);
        assert_eq!(log_probability(&[1.0, f32::NAN], 0), None);
        assert_eq!(log_probability(&[1.0, f32::INFINITY], 0), None);
        assert_eq!(log_probability(&[], 0), None);
    }
}
