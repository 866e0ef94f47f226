//! Rates with their exact intervals.

use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF as _};

/// So many of so many, with the Clopper–Pearson interval at 95% (Biometrika 26, 1934).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// How many accused.
    pub count: u64,
    /// Of how many.
    pub n: u64,
    /// Share; absent where n is 0.
    pub rate: Option<f64>,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Rate {
    /// The interval at 95%.
    pub fn new(count: u64, n: u64) -> Self {
        let (low, high) = clopper_pearson(count, n, 0.05);
        Self { count, n, rate: (n > 0).then(|| count as f64 / n as f64), low, high }
    }
}

/// Two-sided Clopper–Pearson interval with coverage at least 1 − `alpha`.
pub fn clopper_pearson(count: u64, n: u64, alpha: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (k, m) = (count as f64, n as f64);
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map(|d| d.inverse_cdf(p));
    let low = if count == 0 { Ok(0.0) } else { quantile(k, m - k + 1.0, alpha / 2.0) };
    let high = if count == n { Ok(1.0) } else { quantile(k + 1.0, m - k, 1.0 - alpha / 2.0) };
    (low.unwrap_or(0.0), high.unwrap_or(1.0))
}
