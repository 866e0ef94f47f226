//! Exact interval of a share.

use statrs::distribution::{Beta, ContinuousCDF as _};

/// Clopper–Pearson interval at 95% of `hits` out of `n` (Clopper and Pearson 1934).
pub fn clopper_pearson(hits: u64, n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let quantile = |a: u64, b: u64, p: f64| {
        Beta::new(a as f64, b as f64).map_or(f64::NAN, |beta| beta.inverse_cdf(p))
    };
    let low = if hits == 0 { 0.0 } else { quantile(hits, n - hits + 1, 0.025) };
    let high = if hits == n { 1.0 } else { quantile(hits + 1, n - hits, 0.975) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::clopper_pearson;

    #[test]
    fn bounds_agree_with_published_ones() {
        // R 4.3: binom.test(k, n)$conf.int
        for (hits, n, low, high) in [
            (0, 10, 0.0, 0.308_497),
            (5, 10, 0.187_086, 0.812_914),
            (10, 10, 0.691_503, 1.0),
            (1, 1_000, 0.000_025_32, 0.005_558_9),
        ] {
            let (l, h) = clopper_pearson(hits, n);
            assert!((l - low).abs() < 1e-5 && (h - high).abs() < 1e-5, "{hits}/{n}: {l} {h}");
        }
    }
}
