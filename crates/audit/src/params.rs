//! What is fixed before the first score: error rate, its split, deciding number, seed, target.

use crate::AuditError;
use serde::{Deserialize, Serialize};
use stillwatch_evidence::{AlphaSplit, Decide};

/// Key of the pooled test's share in [`AlphaSplit`].
pub(crate) const POOLED: &str = "pooled";
/// Key of the accounts' share in [`AlphaSplit`].
pub(crate) const ACCOUNTS: &str = "accounts";

/// Smallest effect worth finding unless told otherwise, in standard deviations of a pair's
/// corrected preference (Cohen's d_z): what three passes over its teacher's answers left in a
/// student (z = 7.7 on 597 pairs); one pass left .25, ten 1.2.
pub const DEFAULT_TARGET_EFFECT: f64 = 0.3;

/// Power at which the minimum detectable effect is stated.
pub const POWER: f64 = 0.8;

/// Share of alpha that goes to the pooled test where accounts are tested too. Half each: a thief
/// with few accounts hides in the pool, one with many in the accounts.
pub(crate) const POOLED_SHARE: f64 = 0.5;

/// When a sequential run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopping {
    /// As soon as the pooled e-value reaches the inverse of its share of alpha, or at the budget.
    AtEvidence,
    /// When every pair of the budget has been scored.
    AtEnd,
}

/// Whether a run works out what it would have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerAnalysis {
    /// Yes; `no_evidence` needs it.
    #[default]
    Full,
    /// No, for runs in which only findings count, such as coins thrown again many times: where
    /// nothing is found the verdict is inconclusive.
    Skip,
}

/// What is fixed before the first score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditParams {
    /// Error rate of the whole audit, in (0, 1).
    pub alpha: f64,
    /// Which number decides; the other is reported and never decides.
    pub decide: Decide,
    /// Seed of resamplings and of the order in which texts are scored.
    pub seed: u64,
    /// Sign-flip resamples of the jointly calibrated test.
    pub n_resamples: u32,
    /// Smallest effect worth finding, in standard deviations of a pair's preference.
    pub target_effect: f64,
    /// How many plans over the same exposures came up to and including this one. Plan j spends
    /// alpha / (j (j + 1)), which sums to alpha over all plans; absent: no plan, alpha whole.
    pub plan_index: Option<u32>,
    /// When a sequential run ends.
    pub stopping: Stopping,
    /// Whether the smallest detectable effect is worked out.
    pub power_analysis: PowerAnalysis,
}

impl Default for AuditParams {
    fn default() -> Self {
        Self {
            alpha: 1e-3,
            decide: Decide::P,
            seed: 0,
            n_resamples: 100_000,
            target_effect: DEFAULT_TARGET_EFFECT,
            plan_index: None,
            stopping: Stopping::AtEvidence,
            power_analysis: PowerAnalysis::Full,
        }
    }
}

impl AuditParams {
    /// Checks every range.
    pub fn check(&self) -> Result<(), AuditError> {
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(AuditError::params(
                "alpha",
                format!("must lie between 0 and 1, both excluded, got {}", self.alpha),
            ));
        }
        if !(self.target_effect > 0.0 && self.target_effect.is_finite()) {
            return Err(AuditError::params(
                "target-effect",
                format!("must be positive and finite, got {}", self.target_effect),
            ));
        }
        if self.n_resamples == 0 {
            return Err(AuditError::params("n-resamples", "must be at least 1, got 0"));
        }
        if self.plan_index == Some(0) {
            return Err(AuditError::params("plan-index", "plans are counted from 1, got 0"));
        }
        Ok(())
    }

    /// What this audit may spend: alpha, or plan j's part of it.
    pub fn spent_alpha(&self) -> f64 {
        match self.plan_index {
            None => self.alpha,
            Some(j) => self.alpha / (f64::from(j) * (f64::from(j) + 1.0)),
        }
    }

    /// The split between the questions. It depends on which questions are asked, and that on the
    /// number of pairs only, never on who was preferred.
    pub fn split(&self, accounts_are_tested: bool) -> AlphaSplit {
        let spent = self.spent_alpha();
        if accounts_are_tested {
            AlphaSplit::from([
                (POOLED.to_owned(), spent * POOLED_SHARE),
                (ACCOUNTS.to_owned(), spent * (1.0 - POOLED_SHARE)),
            ])
        } else {
            AlphaSplit::from([(POOLED.to_owned(), spent)])
        }
    }
}
