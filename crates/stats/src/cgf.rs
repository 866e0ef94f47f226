//! Cumulant generating functions of sums of independent labels, and the Chernoff bound.
//!
//! One coin releases one of K + 1 scores, each with probability 1/(K + 1). The sum's cumulant
//! generating function is `Σ_i ln(Σ_j e^{t u_ij} / (K_i + 1))`. Where the scores come from, and
//! what the sum means, is the caller's business.

/// Newton steps before giving up on a better tilt: any tilt gives a valid bound.
const STEPS_MAX: usize = 60;
/// Relative precision of the tilt; the bound is flat around its optimum, so its own error is the
/// square of this.
const TILT_PRECISION: f64 = 1e-7;

/// Scores of each coin's texts, in any order of texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    values: Vec<f64>,
    ends: Vec<usize>,
}

/// Value and first two derivatives of a cumulant generating function at one t.
struct Cumulants {
    value: f64,
    mean: f64,
    variance: f64,
}

impl Rows {
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = f64>) {
        self.values.extend(row);
        self.ends.push(self.values.len());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f64]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(from, to)| self.values.get(from..*to))
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Σ of each row's largest value.
    pub(crate) fn maximum(&self) -> f64 {
        self.iter().map(row_max).sum()
    }

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
        for row in self.iter() {
            let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
            let top = row_max(row);
            for v in row {
                let below = v - top;
                let weight = if below == 0.0 { 1.0 } else { (t * below).exp() };
                sum += weight;
                first += weight * below;
                second += weight * below * below;
            }
            let mean = first / sum;
            out.value += t * top + (sum / row.len() as f64).ln();
            out.mean += top + mean;
            out.variance += second / sum - mean * mean;
        }
        out
    }

    /// The tilt `t ≥ 0` that minimises `K(t) − t·observed`, and that minimum.
    ///
    /// 0 and 0.0 where `observed` isn't above the mean. The caller has dealt with an `observed` at
    /// the maximum, where the best tilt is infinite.
    pub(crate) fn minimise(&self, observed: f64) -> (f64, f64) {
        let start = self.cumulants(0.0);
        if observed <= start.mean || start.variance <= 0.0 {
            return (0.0, 0.0);
        }
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let mut t = (observed - start.mean) / start.variance;
        let mut best = (0.0, 0.0);
        for _ in 0..STEPS_MAX {
            let here = self.cumulants(t);
            let objective = here.value - t * observed;
            if objective < best.1 {
                best = (t, objective);
            }
            if here.mean < observed {
                low = t;
            } else {
                high = t;
            }
            let newton = t + (observed - here.mean) / here.variance;
            // Beyond twice the tilt Newton's parabola says nothing; outside the bracket, less.
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
    /// probability that the sum reaches `observed` (Chernoff 1952): by Markov's inequality on
    /// `e^{t·sum}`, true for every t ≥ 0. For pairs the factors are `cosh(t·x_i/2)`-like.
    ///
    /// Widened by a bound on the rounding of the sums, so that it never errs on the small side.
    pub(crate) fn chernoff_ln(&self, observed: f64) -> f64 {
        if self.len() == 0 {
            return 0.0;
        }
        if observed >= self.maximum() {
            return self.ln_probability_of_maximum();
        }
        let (t, bound) = self.minimise(observed);
        let magnitude: f64 = self.values.iter().map(|v| v.abs()).sum();
        let rounding = 4.0 * f64::EPSILON * self.len() as f64 * (1.0 + t * magnitude);
        (bound + rounding).min(0.0)
    }
}

fn row_max(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
