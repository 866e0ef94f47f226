//! Cumulant generating functions of sums of independently drawn scores, and the Chernoff bound.
//!
//! One coin releases one of K + 1 scores, each with probability 1/(K + 1). The sum's cumulant
//! generating function is `Σ_i ln(Σ_j e^{t u_ij} / (K_i + 1))`. Where the scores come from, and
//! what the sum means, is the caller's business.

use crate::rows::Rows;

/// Newton steps before giving up on a better tilt: any tilt gives a valid bound.
const STEPS_MAX: usize = 60;
/// Relative precision of the tilt; the bound is flat around its optimum, so its own error is the
/// square of this.
const TILT_PRECISION: f64 = 1e-7;

/// Products of factors are turned into logarithms before they fall below this.
const PRODUCT_MIN: f64 = 1e-200;

/// Value and first two derivatives of a cumulant generating function at one t.
struct Cumulants {
    value: f64,
    mean: f64,
    variance: f64,
}

impl Rows<f64> {
    /// ln of the probability that every row draws its largest value.
    pub(crate) fn ln_probability_of_maximum(&self) -> f64 {
        self.iter()
            .map(|row| {
                let top = row_max(row);
                let ties = row.iter().filter(|v| **v >= top).count();
                (ties as f64 / row.len() as f64).ln()
            })
            .sum()
    }

    fn cumulants(&self, t: f64) -> Cumulants {
        let mut out = Cumulants { value: 0.0, mean: 0.0, variance: 0.0 };
        // Logarithms are dear: multiply factors between 1/(K + 1) and 1 while they stay normal.
        let mut product = 1.0;
        for row in self.iter() {
            let top = row_max(row);
            let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
            if let [a, b] = row {
                let gap = (a - b).abs();
                let weight = (-t * gap).exp();
                (sum, first, second) = (1.0 + weight, -weight * gap, weight * gap * gap);
            } else {
                for v in row {
                    let below = v - top;
                    let weight = (t * below).exp();
                    sum += weight;
                    first += weight * below;
                    second += weight * below * below;
                }
            }
            let mean = first / sum;
            out.value += t * top;
            out.mean += top + mean;
            out.variance += second / sum - mean * mean;
            product *= sum / row.len() as f64;
            if product < PRODUCT_MIN {
                out.value += product.ln();
                product = 1.0;
            }
        }
        out.value += product.ln();
        out
    }

    /// The tilt `t ≥ 0` that minimises `K(t) − t·observed + t·slack`, and that minimum.
    ///
    /// 0 and 0.0 where `observed` isn't above the mean. `slack` bounds the rounding of `observed`,
    /// and keeps the tilt finite where `observed` is the maximum but for rounding.
    pub(crate) fn minimise(&self, observed: f64, slack: f64) -> (f64, f64) {
        let start = self.cumulants(0.0);
        if observed <= start.mean || start.variance <= 0.0 {
            return (0.0, 0.0);
        }
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let mut t = (observed - start.mean) / start.variance;
        let mut best = (0.0, 0.0);
        for _ in 0..STEPS_MAX {
            let here = self.cumulants(t);
            let objective = here.value - t * (observed - slack);
            if objective < best.1 {
                best = (t, objective);
            }
            if here.mean < observed {
                low = t;
            } else {
                high = t;
            }
            let newton = t + (observed - here.mean) / here.variance;
            // Far beyond the tilt Newton's parabola says nothing; outside the bracket, less.
            let ceiling = if high.is_finite() { high } else { 3.0 * t };
            let next = if newton > low && newton < ceiling {
                newton
            } else if high.is_finite() {
                f64::midpoint(low, high)
            } else {
                ceiling
            };
            let done = (next - t).abs() <= TILT_PRECISION * t;
            t = next;
            if done || !t.is_finite() {
                break;
            }
        }
        best
    }

    /// ln of Chernoff's bound `min_t e^{−t·observed} Π_i Σ_j e^{t u_ij}/(K_i + 1)` on the
    /// probability that the sum reaches that of the texts `chosen` (Chernoff 1952): by Markov's
    /// inequality on `e^{t·sum}`, true for every t ≥ 0. Where every row's largest value was chosen
    /// the probability itself, to which the bound tends.
    ///
    /// Widened by a bound on the rounding of the sums, so that it never errs on the small side.
    pub(crate) fn chernoff_ln(&self, chosen: &[usize]) -> f64 {
        let mut observed = 0.0;
        let mut on_top = true;
        for (row, at) in self.iter().zip(chosen) {
            let Some(own) = row.get(*at) else { continue };
            observed += own;
            on_top = on_top && row.iter().all(|v| v <= own);
        }
        if on_top {
            return self.ln_probability_of_maximum();
        }
        let magnitude: f64 = self.values().iter().map(|v| v.abs()).sum();
        let rounding = 4.0 * f64::EPSILON * self.len() as f64;
        let (_, bound) = self.minimise(observed, rounding * magnitude);
        (bound + rounding).min(0.0)
    }
}

fn row_max(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
