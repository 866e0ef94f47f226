//! Whose traffic is in the model: the verdict over all accounts and the names of some.
//!
//! A thief with few accounts hides in the pool: three guilty ones among twenty leave the pooled
//! test at p = .38 with .003 for each of the three. So the error rate is split beforehand
//! ([`AlphaSplit`]) between the pooled test and a combination over accounts. The p-values of
//! accounts come from the twins test on each account's units; e-values from one e-process each.

use crate::multiplicity::{bonferroni, e_holm_adjusted, holm_adjusted, simes};
use crate::{Alpha, EValue, PValue, StatsError};

/// How alpha is divided, before any score is seen, between the pooled test and the accounts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlphaSplit {
    pooled: f64,
}

impl Default for AlphaSplit {
    /// Half and half.
    fn default() -> Self {
        Self { pooled: 0.5 }
    }
}

impl AlphaSplit {
    /// `pooled` is the pooled test's share, in the open interval (0, 1).
    ///
    /// # Errors
    /// [`StatsError::Alpha`] outside it.
    pub fn new(pooled: f64) -> Result<Self, StatsError> {
        Alpha::new(pooled).map(|share| Self { pooled: share.value() })
    }

    /// The pooled test's share of the error rate.
    pub fn pooled_share(self) -> f64 {
        self.pooled
    }

    /// The accounts' share of the error rate.
    pub fn accounts_share(self) -> f64 {
        1.0 - self.pooled
    }
}

/// Whether any coin was thrown for texts that went to more than one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coins {
    /// Each coin belongs to one account, so under the null the accounts' p-values are independent.
    Disjoint,
    /// Some coin counts in several accounts; nothing is assumed of their dependence.
    Shared,
}

/// The verdict over all accounts and which of them are named.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<V> {
    /// Combination over accounts, for "no account's coins are in the suspect".
    pub combination: V,
    /// Pooled and combined value together, after the split: compare with alpha.
    pub overall: V,
    /// Whether "independent of all coins" is rejected at alpha.
    pub rejected: bool,
    /// Whether the pooled test alone, at its share, rejects.
    pub pooled_spoke: bool,
    /// Whether the combination alone, at its share, rejects.
    pub accounts_spoke: bool,
    /// Each account's value adjusted for all accounts: compare with alpha.
    pub adjusted: Vec<V>,
    /// Accounts that are named, family-wise at alpha.
    pub named: Vec<bool>,
}

/// P-value of "no account's coins are in the suspect" from one p-value per account.
pub fn combine(p: &[PValue], coins: Coins) -> PValue {
    match coins {
        Coins::Disjoint => simes(p),
        Coins::Shared => bonferroni(p),
    }
}

/// Verdict and names from p-values, family-wise at `alpha`.
///
/// Overall p-value: `min(p_pooled / share, p_combination / (1 − share))`, a weighted Bonferroni.
/// An account is named if the overall null falls **and** Holm rejects the account at `alpha`.
/// Together the family-wise error is at most `alpha`: where all accounts are innocent, any error
/// needs the overall null to fall, at most `alpha`; where some are guilty, the overall null is
/// false and only Holm can err, at most `alpha` (a closed test).
pub fn decide(
    pooled: PValue,
    accounts: &[PValue],
    alpha: Alpha,
    split: AlphaSplit,
    coins: Coins,
) -> Decision<PValue> {
    let combination = combine(accounts, coins);
    let pooled_ln = pooled.ln() - split.pooled_share().ln();
    let accounts_ln = combination.ln() - split.accounts_share().ln();
    let overall = PValue::from_ln(pooled_ln.min(accounts_ln));
    let rejected = overall.ln() <= alpha.ln();
    let adjusted = holm_adjusted(accounts);
    Decision {
        combination,
        overall,
        rejected,
        pooled_spoke: pooled_ln <= alpha.ln(),
        accounts_spoke: accounts_ln <= alpha.ln(),
        named: adjusted.iter().map(|p| rejected && p.ln() <= alpha.ln()).collect(),
        adjusted,
    }
}

/// Verdict and names from e-values, family-wise at `alpha`.
///
/// `combination` is an e-value for "no account's coins are in the suspect" (from the accounts'
/// e-processes, or [`crate::mean_e`], which needs no independence). Overall e-value: the mean of
/// pooled and combination weighted by the split, which reaches `1/alpha` whenever one of them
/// reaches 1/(its share). Names by closed testing over means ([`crate::e_holm`]), if the overall
/// null falls; the argument is that of [`decide`].
pub fn decide_e(
    pooled: EValue,
    combination: EValue,
    accounts: &[EValue],
    alpha: Alpha,
    split: AlphaSplit,
) -> Decision<EValue> {
    let pooled_ln = pooled.ln() + split.pooled_share().ln();
    let accounts_ln = combination.ln() + split.accounts_share().ln();
    let overall = EValue::from_ln(crate::multiplicity::ln_add(pooled_ln, accounts_ln));
    let threshold = -alpha.ln();
    let rejected = overall.ln() >= threshold;
    let adjusted = e_holm_adjusted(accounts);
    Decision {
        combination,
        overall,
        rejected,
        pooled_spoke: pooled_ln >= threshold,
        accounts_spoke: accounts_ln >= threshold,
        named: adjusted.iter().map(|e| rejected && e.ln() >= threshold).collect(),
        adjusted,
    }
}

/// Pairs (sets of K + 1 texts) that one account among `n_accounts` needs before its p-value can
/// be small enough to be named: the smallest n with `(K + 1)^-n ≤ alpha / n_accounts`.
pub fn pairs_needed(alpha: Alpha, n_accounts: usize, k: usize) -> usize {
    let needed = ((n_accounts.max(1) as f64).ln() - alpha.ln()) / ((k.max(1) + 1) as f64).ln();
    // Guard against rounding just above a whole number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, positive")]
    let needed = (needed - 1e-12).ceil() as usize;
    needed.max(1)
}
