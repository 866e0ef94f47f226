//! Exact tail probabilities of sums of integer scores, one of K + 1 drawn by each coin.
//!
//! A dynamic programme over the sum's integer values, under an exponential tilt that puts the
//! observed value at the centre: probabilities keep their relative precision however small they
//! are (the signed-rank distribution at n = 5,000 reaches 2^-5000), and only a window of about
//! ± 9 standard deviations has to be kept. What falls out of the window is counted and added to
//! the result, so that the answer is never below the true probability, and above it by a relative
//! 1e-12 or so. Which integers to sum is the caller's business.

use crate::exact::ln_binomial_tail;
use crate::rows::Rows;

/// Probability that may fall out of the window on each side over the whole programme.
const DROPPED_MAX: f64 = 1e-15;

/// Additions that [`tail_ln`] takes, roughly and before division by a common step: entries times
/// the window's width, which grows towards ± 8.5 standard deviations of the sum.
pub(crate) fn work(rows: &Rows<i64>) -> f64 {
    let variance: f64 = rows
        .iter()
        .map(|row| {
            let n = row.len() as f64;
            let mean = row.iter().sum::<i64>() as f64 / n;
            row.iter().map(|v| (*v as f64 - mean).powi(2)).sum::<f64>() / n
        })
        .sum();
    0.4 * rows.values().len() as f64 * 17.0 * variance.sqrt()
}

/// ln P(Σ_i a_i ≥ `observed`), where a_i is drawn uniformly from row i, independently.
///
/// Proof idea: with weights `w_ij ∝ e^{t a_ij}`, P(S ≥ s) = M(t) · E_t[e^{−tS}; S ≥ s], for every
/// t (change of measure); the expectation is summed term by term over the lattice, and a path that
/// was dropped from the window adds at most its weight times e^{−ts}.
pub(crate) fn tail_ln(rows: &Rows<i64>, observed: i64) -> f64 {
    // Shift every row to start at 0, leave out constant ones and divide by the common step.
    let low: i64 = rows.iter().filter_map(|r| r.iter().min()).sum();
    let mut shifts: Vec<Vec<i64>> = rows
        .iter()
        .filter_map(|r| r.iter().min().map(|m| r.iter().map(|v| v - m).collect::<Vec<i64>>()))
        .filter(|r| r.iter().any(|v| *v > 0))
        .collect();
    let step = shifts.iter().flatten().fold(0, |g, v| gcd(g, *v));
    let target = observed - low;
    if target <= 0 || step == 0 {
        return if target <= 0 { 0.0 } else { f64::NEG_INFINITY };
    }
    for v in shifts.iter_mut().flatten() {
        *v /= step;
    }
    // The sum is a multiple of the step: at least `target` means at least the next multiple.
    let target = target.div_euclid(step) + i64::from(target.rem_euclid(step) > 0);
    if shifts.iter().all(|r| r.len() == 2 && r.iter().sum::<i64>() == 1) {
        let k = usize::try_from(target).unwrap_or(usize::MAX);
        return if k > shifts.len() {
            f64::NEG_INFINITY
        } else {
            ln_binomial_tail(shifts.len(), k)
        };
    }
    // Small spreads first keep the window small for longest.
    shifts.sort_unstable_by_key(|r| r.iter().max().copied());
    let moments: Rows<f64> = shifts.iter().map(|r| r.iter().map(|v| *v as f64).collect()).collect();
    let maximum: i64 = shifts.iter().filter_map(|r| r.iter().max()).sum();
    if target > maximum {
        return f64::NEG_INFINITY;
    }
    if target == maximum {
        return moments.ln_probability_of_maximum();
    }
    let (t, ln_bound) = moments.minimise(target as f64, 0.0);
    let window = convolve(&shifts, t);
    let mut inside = window.dropped;
    for (s, mass) in (window.first..).zip(&window.mass) {
        if s >= target {
            inside += mass * (-t * (s - target) as f64).exp();
        }
    }
    let rounding = 8.0 * f64::EPSILON * rows.len() as f64 * (1.0 + ln_bound.abs());
    (inside.ln() + ln_bound + rounding).min(0.0)
}

/// The tilted distribution of the sum.
struct Window {
    /// Sum that `mass[0]` belongs to.
    first: i64,
    mass: Vec<f64>,
    /// Mass that fell out on either side.
    dropped: f64,
}

fn convolve(shifts: &[Vec<i64>], t: f64) -> Window {
    let mut window = Window { first: 0, mass: vec![1.0], dropped: 0.0 };
    let per_side = DROPPED_MAX / shifts.len().max(1) as f64;
    let mut next: Vec<f64> = Vec::new();
    for row in shifts {
        let top = row.iter().max().copied().unwrap_or(0);
        let weights: Vec<f64> = row.iter().map(|v| (t * (v - top) as f64).exp()).collect();
        let total: f64 = weights.iter().sum();
        next.clear();
        next.resize(window.mass.len() + usize::try_from(top).unwrap_or(0), 0.0);
        for (shift, weight) in row.iter().zip(&weights) {
            let at = usize::try_from(*shift).unwrap_or(0);
            let share = weight / total;
            for (to, from) in next.iter_mut().skip(at).zip(&window.mass) {
                *to += share * from;
            }
        }
        std::mem::swap(&mut window.mass, &mut next);
        trim(&mut window, per_side);
    }
    window
}

/// Drops the ends whose mass together stays below `per_side` on each side.
fn trim(window: &mut Window, per_side: f64) {
    let cut = |values: &mut dyn Iterator<Item = &f64>| {
        let (mut count, mut sum) = (0, 0.0);
        for v in values {
            if sum + v > per_side {
                break;
            }
            sum += v;
            count += 1;
        }
        (count, sum)
    };
    let (right, right_mass) = cut(&mut window.mass.iter().rev());
    window.mass.truncate(window.mass.len() - right);
    let (left, left_mass) = cut(&mut window.mass.iter());
    window.mass.drain(..left);
    window.first += i64::try_from(left).unwrap_or(0);
    window.dropped += left_mass + right_mass;
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
