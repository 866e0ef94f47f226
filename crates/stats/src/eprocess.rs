//! E-process over score sets in ledger order: evidence that may be looked at after every set.
//!
//! [`EProcess`] takes [`ScoreSet`]s one at a time and never looks back. Slope, scale and bets
//! are in `eprocess_predict` and `eprocess_bets`; one e-process per account over the same
//! slopes is in `eprocess_accounts`.

use crate::eprocess_bets::Wealth;
use crate::eprocess_predict::{Predictor, Unordered};
use crate::{Alpha, EValue, ScoreSet, StatsError};

/// Settings of an [`EProcess`], fixed before the first set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EProcessParams {
    /// Whether minus the length of each text is one more reference, if the first set knows its
    /// lengths (a long text has a low likelihood under any model; lengths know nothing of the
    /// coin). Default: true.
    pub length_as_reference: bool,
    /// Whether the e-value after every set is kept, for plots. Default: true.
    pub keep_path: bool,
}

impl Default for EProcessParams {
    fn default() -> Self {
        Self { length_as_reference: true, keep_path: true }
    }
}

/// An anytime-valid test of "the suspect and every reference are independent of the coins".
///
/// After set t with corrected centred scores `u_0 … u_K` (`u_0` the released text's) the wealth
/// of the bet with strength λ ≥ 0 and shape ψ (odd, non-decreasing, bounded) is multiplied by
///
/// ```text
/// e_t = (K + 1) · exp(λ v_0) / Σ_j exp(λ v_j),      v_j = ψ(u_j / scale_t)
/// ```
///
/// (for a pair: `1 + tanh(λ v_0)`); the e-value is the mean wealth over a fixed grid of (λ, ψ).
/// Slopes are ridge regressions with non-negative coefficients on within-set-centred scores.
///
/// **Null**: given the past (all earlier sets with their coins) and set t as an unordered set
/// of texts with their scores, each of its K + 1 texts was released with probability
/// 1 / (K + 1). **Proof**: slopes β_t and scale_t are functions of the earlier sets and set t, all
/// unordered, λ and ψ are constants; so given past and unordered set t the numbers
/// `e^{λ v_j}` are fixed up to which is the released one, and
/// `E[e_t | past, unordered t] = Σ_i 1/(K+1) · (K+1) e^{λ v_i} / Σ_j e^{λ v_j} = 1`. Each bet's
/// wealth, hence their mean, is a non-negative martingale that starts at 1: `E[e] ≤ 1` at every
/// stopping time (Doob) and `P(sup_t e_t ≥ 1/α) ≤ α` (Ville). Clients that adapt to earlier
/// released texts change which sets come later, which the condition on the past allows; nothing
/// is recomputed when new sets arrive. The grid as a mixture: Robbins 1970; betting on signs with
/// predictable scores: Waudby-Smith and Ramdas 2024, J. R. Stat. Soc. B 86:1.
#[derive(Debug, Clone)]
pub struct EProcess {
    params: EProcessParams,
    predictor: Option<(usize, Predictor)>,
    wealth: Wealth,
    records: Records,
    path: Vec<f64>,
    n: usize,
    set: Unordered,
    z: Vec<f64>,
    released: usize,
}

impl EProcess {
    /// Wealth 1, no sets.
    pub fn new(params: EProcessParams) -> Self {
        Self {
            params,
            predictor: None,
            wealth: Wealth::new(),
            records: Records::default(),
            path: Vec::new(),
            n: 0,
            set: Unordered::default(),
            z: Vec::new(),
            released: 0,
        }
    }

    /// Settles the next set in ledger order; returns the e-value after it.
    ///
    /// # Errors
    /// [`StatsError::Shape`] if the number of references changes from one set to the next.
    pub fn push(&mut self, set: &ScoreSet) -> Result<EValue, StatsError> {
        let n_references = set.references().len();
        let params = self.params;
        let (expected, predictor) = self.predictor.get_or_insert_with(|| {
            let with_length = params.length_as_reference && set.n_tokens().is_some();
            (n_references, Predictor::new(n_references + usize::from(with_length)))
        });
        if *expected != n_references {
            return Err(StatsError::Shape(format!(
                "set {} has {n_references} references, the sets before it {expected}",
                self.n + 1
            )));
        }
        self.released = self.set.fill(set, predictor.n_slopes() > n_references);
        predictor.standardise(&self.set, &mut self.z);
        self.wealth.settle(&self.z, self.released);
        self.n += 1;
        let ln = self.wealth.ln();
        self.records.see(self.n, ln);
        if self.params.keep_path {
            self.path.push(ln);
        }
        Ok(EValue::from_ln(ln))
    }

    /// The e-value now: valid at a stopping time fixed in advance as a rule.
    pub fn value(&self) -> EValue {
        EValue::from_ln(self.wealth.ln())
    }

    /// The largest e-value so far, at least 1. **Not an e-value**: by Ville's inequality
    /// `min(1, 1/maximum)` is a p-value at any time.
    pub fn maximum(&self) -> EValue {
        EValue::from_ln(self.records.ln_maximum())
    }

    /// Sets settled.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Natural logarithm of the e-value after each set; empty unless kept.
    pub fn path(&self) -> &[f64] {
        &self.path
    }

    /// After how many sets the e-value first reached `1/alpha`.
    pub fn first_crossing(&self, alpha: Alpha) -> Option<usize> {
        self.records.first_at_least(-alpha.ln())
    }

    /// Standardised scores of the last set, in an order blind to the coin, and the released
    /// text's position.
    pub(crate) fn last_set(&self) -> (&[f64], usize) {
        (&self.z, self.released)
    }

    /// Slope of each reference as it would be used on the next set, all ≥ 0.
    pub fn beta(&self) -> &[f64] {
        self.predictor
            .as_ref()
            .and_then(|(n, predictor)| predictor.slopes().get(..*n))
            .unwrap_or_default()
    }
}

/// Each new maximum of an e-process and when it was reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    /// Sets settled, natural logarithm of the e-value; both ascending.
    reached: Vec<(usize, f64)>,
}

impl Records {
    pub(crate) fn see(&mut self, n: usize, ln: f64) {
        if ln > self.ln_maximum() {
            self.reached.push((n, ln));
        }
    }

    /// At least 0, the start.
    pub(crate) fn ln_maximum(&self) -> f64 {
        self.reached.last().map_or(0.0, |(_, ln)| *ln)
    }

    pub(crate) fn first_at_least(&self, threshold: f64) -> Option<usize> {
        let at = self.reached.partition_point(|(_, ln)| *ln < threshold);
        self.reached.get(at).map(|(n, _)| *n)
    }
}
