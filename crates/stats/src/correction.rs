//! From raw scores to units: what the suspect's scores say beyond its references'.
//!
//! One coin becomes one [`Unit`]: K + 1 corrected scores, centred within the set, and a scale.
//! Everything that is fitted here (slopes, weights, scale) is a function of the *unordered* sets,
//! so that the tests that follow keep their exact null. Testing itself happens elsewhere.

use crate::nnls::nnls;
use crate::types::{ScoreSet, StatsError};

/// Rounds of reweighting with Huber's loss, then with Tukey's: a fixed number, so that the
/// result is one function of the data.
const HUBER_ROUNDS: usize = 10;
/// See [`HUBER_ROUNDS`].
const TUKEY_ROUNDS: usize = 10;
/// Huber's tuning constant: 95% efficiency at the normal (Huber, Robust Statistics, 1981).
const HUBER_K: f64 = 1.345;
/// Tukey's biweight tuning constant: 95% efficiency at the normal.
const TUKEY_C: f64 = 4.685;
/// Median of |z| of a standard normal: makes a median absolute value a standard deviation.
const NORMAL_MAD: f64 = 0.674_489_750_196_081_7;
/// Fewer sets than this don't determine how spread grows with length; then by its square root,
/// as for a sum of independent per-token terms.
const LENGTH_FIT_SETS_MIN: usize = 30;
/// Exponent of spread in length where it isn't fitted.
const LENGTH_EXPONENT: f64 = 0.5;

/// One throw of one coin, ready to be tested.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    scores: Vec<f64>,
    scale: f64,
}

impl Unit {
    /// Centres `scores` (K + 1 values in nats, the released text's first) within the set.
    ///
    /// `scale` (nats, positive) must be a function of the unordered set.
    ///
    /// # Errors
    /// Fewer than two scores, a score that isn't finite, a scale that isn't finite and positive.
    pub fn new(scores: &[f64], scale: f64) -> Result<Self, StatsError> {
        if scores.len() < 2 {
            return Err(StatsError::Shape(format!(
                "a unit needs at least 2 scores, got {}",
                scores.len()
            )));
        }
        if !(scale.is_finite() && scale > 0.0) {
            return Err(StatsError::Shape(format!("a scale must be positive, got {scale}")));
        }
        let scores = centred(scores);
        match scores.iter().position(|v| !v.is_finite()) {
            Some(index) => Err(StatsError::NotFinite { what: "the unit".to_owned(), index }),
            None => Ok(Self { scores, scale }),
        }
    }

    /// A pair whose released text scores `x` nats above its twin, on a scale of 1.
    ///
    /// # Errors
    /// `x` isn't finite.
    pub fn pair(x: f64) -> Result<Self, StatsError> {
        Self::new(&[x / 2.0, -x / 2.0], 1.0)
    }

    /// The same scale with the same scores in another order.
    pub(crate) fn with_scores(&self, scores: Vec<f64>) -> Self {
        Self { scores, scale: self.scale }
    }

    /// Number of withheld siblings.
    pub fn k(&self) -> usize {
        self.scores.len() - 1
    }

    /// K + 1 corrected scores in nats, centred within the set, the released text's first.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Released minus mean of withheld, nats. For K > 1 this is an effect, never a test
    /// statistic to flip: the null there is relabelling within the set.
    pub fn x(&self) -> f64 {
        // The scores sum to zero, so the withheld ones' mean is -released/K.
        let released = self.scores.first().copied().unwrap_or(0.0);
        released * (1.0 + 1.0 / self.k() as f64)
    }

    /// Robust standard deviation that an innocent `x` of this set is expected to have, nats:
    /// a positive function of the unordered set.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

/// Units and the slopes that made them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Corrected {
    /// One unit for each set, in the order given.
    pub units: Vec<Unit>,
    /// Slope of each reference, ≥ 0, suspect's nats per reference's nat.
    pub beta: Vec<f64>,
    /// What a token costs, ≥ 0, nats: the slope on minus the lengths; absent where a set has none.
    pub nats_per_token: Option<f64>,
}

/// Subtracts from the suspect's scores what the references' scores and the lengths explain.
///
/// Where every set has `n_tokens`, minus the lengths count as one more reference: a longer text
/// is less likely whatever the suspect has seen, and lengths know nothing of the coin. It is the
/// greatest share of the noise of a suspect that is tested without references.
///
/// Each column is centred within its set; β minimises a weighted sum of squares over all sets'
/// centred scores under β ≥ 0 (for one reference and K = 1, before weighting,
/// `max(0, Σ d_S d_R / Σ d_R²)`), without intercept. Weights are Huber's, then Tukey's, of the
/// residual norm of the whole set, times the inverse square of the expected spread. The scale is
/// a robust standard deviation of the residual norm times a power of the set's mean length where
/// every set has `n_tokens`, and a constant otherwise.
///
/// **Why the null stays exact.** Relabelling a set permutes the entries of all its centred columns
/// alike; norms, inner products and lengths of the set are symmetric functions of the jointly
/// permuted entries (summed in sorted order, hence equal to the last bit), so weights, β and scale
/// don't change. Given the unordered sets, corrected scores are therefore a fixed array that is
/// only relabelled, uniformly and independently for each coin if suspect and references are
/// independent of the coins.
///
/// β ≥ 0 because with a free sign a reference that itself saw the released texts would push the
/// innocent suspect's difference up.
///
/// # Errors
/// Sets with different numbers of references; corrected scores that overflow.
pub fn correct(sets: &[ScoreSet]) -> Result<Corrected, StatsError> {
    let Some(first) = sets.first() else { return Ok(Corrected::default()) };
    let p = first.references().len();
    if let Some((i, set)) = sets.iter().enumerate().find(|(_, s)| s.references().len() != p) {
        return Err(StatsError::Shape(format!(
            "set {} has {} references, set 1 has {p}",
            i + 1,
            set.references().len()
        )));
    }
    let mut columns: Vec<Columns> = sets.iter().map(Columns::of).collect();
    let lengths: Option<Vec<f64>> = sets.iter().map(mean_length).collect();
    if lengths.is_some() {
        for (column, set) in columns.iter_mut().zip(sets) {
            let cost: Vec<f64> = set.n_tokens().iter().flat_map(|n| n.iter().map(|n| -n)).collect();
            column.references.push(centred(&cost));
        }
    }
    let mut fit = fit(&columns, lengths.as_deref(), p + usize::from(lengths.is_some()));
    let units = columns
        .iter()
        .zip(&fit.scale)
        .map(|(c, scale)| {
            let widen = (1.0 + 1.0 / (c.suspect.len() - 1) as f64).sqrt();
            Unit::new(&c.residual(&fit.beta), scale * widen)
        })
        .collect::<Result<_, _>>()?;
    let nats_per_token = lengths.and_then(|_| fit.beta.pop());
    Ok(Corrected { units, beta: fit.beta, nats_per_token })
}

/// Rows that share one coin, as one set. Rows that share a coin flip together, so treating them as
/// separate units would make the null false: four copies of each pair turn a nominal 1e-3 into 6%.
///
/// Pairs: log-likelihoods and lengths add up; the same two texts with the same scores count once
/// (scored twice they are no second observation).
///
/// K > 1: the first row stands for all. Rows name their withheld texts by position, and which
/// position is which slot differs with the coin and with whoever wrote the file. Sums over
/// positions would tie the released texts of all rows together and mix the others, so that the
/// released one stands out by construction: of sets that the null takes for three texts, it would
/// always be the odd one (measured on 25 sets: 14% at a nominal 5%).
///
/// Both are blind to the coin: given which row comes first, swapping released and withheld in all
/// rows swaps the result.
///
/// # Errors
/// No rows; rows with different numbers of texts or references; sums that overflow.
pub fn merge_coin(rows: &[ScoreSet]) -> Result<ScoreSet, StatsError> {
    let first =
        rows.first().ok_or_else(|| StatsError::Shape("no rows share this coin".to_owned()))?;
    let mut distinct: Vec<&ScoreSet> = Vec::new();
    for row in rows {
        if row.k() != first.k() || row.references().len() != first.references().len() {
            return Err(StatsError::Shape(format!(
                "rows of one coin must agree: {} texts and {} references against {} and {}",
                row.k() + 1,
                row.references().len(),
                first.k() + 1,
                first.references().len()
            )));
        }
        if !distinct.contains(&row) {
            distinct.push(row);
        }
    }
    if first.k() > 1 {
        return Ok(first.clone());
    }
    let add = |columns: &[&[f64]]| -> Vec<f64> {
        (0..=first.k()).map(|j| columns.iter().filter_map(|c| c.get(j)).sum()).collect()
    };
    let suspect = add(&distinct.iter().map(|r| r.suspect()).collect::<Vec<_>>());
    let references = (0..first.references().len())
        .map(|k| {
            let column: Vec<&[f64]> =
                distinct.iter().filter_map(|r| r.references().get(k)).map(Vec::as_slice).collect();
            add(&column)
        })
        .collect();
    let lengths: Option<Vec<&[f64]>> = distinct.iter().map(|r| r.n_tokens()).collect();
    ScoreSet::new(suspect, references, lengths.map(|l| add(&l)))
}

/// One set's scores, each column centred.
struct Columns {
    suspect: Vec<f64>,
    references: Vec<Vec<f64>>,
}

impl Columns {
    fn of(set: &ScoreSet) -> Self {
        Self {
            suspect: centred(set.suspect()),
            references: set.references().iter().map(|r| centred(r)).collect(),
        }
    }

    /// Suspect minus what the references explain, text by text.
    fn residual(&self, beta: &[f64]) -> Vec<f64> {
        let mut out = self.suspect.clone();
        for (b, reference) in beta.iter().zip(&self.references) {
            for (o, r) in out.iter_mut().zip(reference) {
                *o -= b * r;
            }
        }
        out
    }

    /// Root mean square of the residual over the set's K degrees of freedom, nats.
    fn residual_norm(&self, beta: &[f64]) -> f64 {
        if let [half, _] = *self.suspect {
            // A pair's residual is ± r: root mean square √2·|r|, without two allocations.
            let explained = beta.iter().zip(&self.references);
            let r = explained.fold(half, |r, (b, d)| r - b * d.first().copied().unwrap_or(0.0));
            return r.abs() * std::f64::consts::SQRT_2;
        }
        let r = self.residual(beta);
        (inner(&r, &r) / (r.len() - 1) as f64).sqrt()
    }
}

/// What [`fit`] finds.
struct Fit {
    beta: Vec<f64>,
    /// Robust standard deviation of each set's residual norm, nats.
    scale: Vec<f64>,
}

fn fit(columns: &[Columns], lengths: Option<&[f64]>, p: usize) -> Fit {
    let power = |exponent: f64| -> Vec<f64> {
        lengths.map_or_else(
            || vec![1.0; columns.len()],
            |l| l.iter().map(|v| v.powf(exponent)).collect(),
        )
    };
    // Inner products don't change between rounds: suspect first, then each reference.
    let products: Vec<Vec<f64>> = columns
        .iter()
        .map(|c| {
            let mut out = Vec::with_capacity(p * (p + 3) / 2);
            for (a, ra) in c.references.iter().enumerate() {
                out.push(inner(&c.suspect, ra));
                out.extend(c.references.iter().take(a + 1).map(|rb| inner(ra, rb)));
            }
            out
        })
        .collect();
    let mut growth = power(LENGTH_EXPONENT);
    let mut weight: Vec<f64> = growth.iter().map(|g| 1.0 / (g * g)).collect();
    let mut beta = weighted_nnls(&products, &weight, p);
    let rounds = if p == 0 { 1 } else { HUBER_ROUNDS + TUKEY_ROUNDS };
    for round in 0..rounds {
        let norms: Vec<f64> = columns.iter().map(|c| c.residual_norm(&beta)).collect();
        if let Some(l) = lengths {
            growth = power(length_exponent(l, &norms));
        }
        let spread = robust_spread(&norms, &growth);
        for ((w, norm), g) in weight.iter_mut().zip(&norms).zip(&growth) {
            let z = norm / (spread * g);
            let loss = if round < HUBER_ROUNDS { huber(z) } else { tukey(z) };
            *w = loss / (g * g);
        }
        beta = weighted_nnls(&products, &weight, p);
    }
    let norms: Vec<f64> = columns.iter().map(|c| c.residual_norm(&beta)).collect();
    if let Some(l) = lengths {
        growth = power(length_exponent(l, &norms));
    }
    let spread = robust_spread(&norms, &growth);
    Fit { beta, scale: growth.iter().map(|g| g * spread).collect() }
}

fn weighted_nnls(products: &[Vec<f64>], weight: &[f64], p: usize) -> Vec<f64> {
    let mut totals = vec![0.0; p * (p + 3) / 2];
    for (row, w) in products.iter().zip(weight) {
        for (total, product) in totals.iter_mut().zip(row) {
            *total += w * product;
        }
    }
    // Unpack the order of `products`: for each reference, its product with the suspect, then with
    // every reference up to itself.
    let mut gram = vec![vec![0.0; p]; p];
    let mut rhs = vec![0.0; p];
    let mut at = totals.into_iter();
    for a in 0..p {
        rhs[a] = at.next().unwrap_or(0.0);
        for (b, value) in at.by_ref().take(a + 1).enumerate() {
            gram[a][b] = value;
            gram[b][a] = value;
        }
    }
    nnls(&gram, &rhs)
}

fn huber(z: f64) -> f64 {
    if z <= HUBER_K { 1.0 } else { HUBER_K / z }
}

fn tukey(z: f64) -> f64 {
    if z < TUKEY_C { (1.0 - (z / TUKEY_C).powi(2)).powi(2) } else { 0.0 }
}

/// Median of the norms that aren't zero, each over its growth, as a standard deviation; 1 where
/// all are zero. Zeros are left out so that many of them can't make the scale vanish.
fn robust_spread(norms: &[f64], growth: &[f64]) -> f64 {
    let ratios = norms.iter().zip(growth).map(|(n, g)| n / g).filter(|r| *r > 0.0).collect();
    let spread = median(ratios).map_or(1.0, |m| m / NORMAL_MAD);
    if spread.is_finite() && spread > 0.0 { spread } else { 1.0 }
}

/// How the residual norm grows with length: slope of ln norm on ln length by Tukey's resistant
/// line (Exploratory Data Analysis, 1977, ch. 10), kept within 0 (constant) and 1 (proportional).
fn length_exponent(lengths: &[f64], norms: &[f64]) -> f64 {
    let mut points: Vec<(f64, f64)> = lengths
        .iter()
        .zip(norms)
        .filter(|(_, n)| **n > 0.0)
        .map(|(l, n)| (l.ln(), n.ln()))
        .collect();
    if points.len() < LENGTH_FIT_SETS_MIN {
        return LENGTH_EXPONENT;
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let third = points.len() / 3;
    let (short, long) = (&points[..third], &points[points.len() - third..]);
    let middle = |part: &[(f64, f64)]| {
        let x = median(part.iter().map(|p| p.0).collect());
        let y = median(part.iter().map(|p| p.1).collect());
        x.zip(y)
    };
    match middle(short).zip(middle(long)) {
        Some(((x0, y0), (x1, y1))) if x1 - x0 > 0.1 => ((y1 - y0) / (x1 - x0)).clamp(0.0, 1.0),
        _ => LENGTH_EXPONENT,
    }
}

/// Mean number of tokens of the set's texts, at least 1.
fn mean_length(set: &ScoreSet) -> Option<f64> {
    set.n_tokens().map(|n| (sorted_sum(n.to_vec()) / n.len() as f64).max(1.0))
}

/// The column minus its mean; for pairs exactly ± half the difference, so that swapping the two
/// texts swaps the values to the last bit.
pub(crate) fn centred(column: &[f64]) -> Vec<f64> {
    if let [released, withheld] = column {
        let half = (released - withheld) / 2.0;
        return vec![half, -half];
    }
    let mean = sorted_sum(column.to_vec()) / column.len() as f64;
    column.iter().map(|v| v - mean).collect()
}

/// Inner product, the same to the last bit if both columns are permuted alike.
fn inner(a: &[f64], b: &[f64]) -> f64 {
    if let ([a0, a1], [b0, b1]) = (a, b) {
        return a0 * b0 + a1 * b1; // addition commutes to the last bit
    }
    sorted_sum(a.iter().zip(b).map(|(x, y)| x * y).collect())
}

/// Sum in sorted order: a function of the multiset.
fn sorted_sum(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.iter().sum()
}

/// Mean of the two middle order statistics.
fn median(mut values: Vec<f64>) -> Option<f64> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    let upper = *upper;
    if n % 2 == 1 {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper);
    Some(f64::midpoint(lower, upper))
}
