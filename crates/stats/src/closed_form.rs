//! The closed-form p-value: no resampling, no normal limit, no floor.
//!
//! Three exact or conservative tests under the same null, and Bonferroni over them. When it is
//! asked, and what it may spend, is `primary`'s business.

use crate::correction::Unit;
use crate::exact::{centred_ranks, integer_tail, quade_scores, scaled_scores};
use crate::lattice;
use crate::primary::{Tail, split};
use crate::rows::Rows;
use crate::types::PValue;

/// Where the exact distribution of all ranks takes more work (some 1,000 pairs), ranks are grouped.
const UNGROUPED_WORK_MAX: f64 = 5e8;
/// Most work for an exact distribution, about a second: grouped ranks of some 18,000 pairs.
const EXACT_WORK_MAX: f64 = 2e9;
/// Levels of grouped ranks: still an exact test (of the grouped statistic), at a bounded cost.
const RANK_LEVELS: f64 = 100.0;

/// The closed-form p-value, one-sided: three times the smallest of the exact sign test (rank sum
/// for K > 1), the exact signed-rank test (Quade's for K > 1; ranks grouped into 100 levels above
/// some 1,000 pairs, Chernoff's bound above some 18,000) and Chernoff's bound on the mean.
///
/// Null: given the unordered sets of corrected scores, each set's released text is a uniform draw
/// from its set, independently of the others. Proof: each is a p-value under it; Bonferroni over
/// three. No resampling, no limit to how small it can get.
pub fn closed_form(units: &[Unit]) -> PValue {
    let (unordered, orientation) = split(units);
    ClosedForm::new(unordered.sorted()).p_value(orientation.released(), Tail::Released).0
}

/// What the closed-form p-value needs of unordered units.
#[derive(Debug, Clone)]
pub(crate) struct ClosedForm {
    scaled: Rows<f64>,
    quade: Rows<i64>,
    within: Rows<i64>,
}

impl ClosedForm {
    pub(crate) fn new(units: &[Unit]) -> Self {
        let scaled = scaled_scores(units);
        let mut quade = quade_scores(units);
        if lattice::work(&quade) > UNGROUPED_WORK_MAX {
            quade = group_ranks(&quade);
        }
        let within = units.iter().map(|u| centred_ranks(u.scores())).collect();
        Self { scaled, quade, within }
    }

    /// Three times the smallest part, and the parts; two-sided each is doubled.
    pub(crate) fn p_value(
        &self,
        released: &[usize],
        tail: Tail,
    ) -> (PValue, [(&'static str, PValue); 3]) {
        let up = self.parts(released);
        let parts = match tail {
            Tail::Released => up,
            Tail::Either => {
                let down = self.mirrored().parts(released);
                let mut both = up;
                for (b, d) in both.iter_mut().zip(down) {
                    let smaller = if d < *b { d } else { *b };
                    *b = smaller.over(0.5);
                }
                both
            }
        };
        let smallest = parts.iter().copied().fold(PValue::ONE, |a, b| if b < a { b } else { a });
        let [sign, signed_rank, chernoff] = parts;
        (
            smallest.over(1.0 / 3.0),
            [("sign", sign), ("signed_rank", signed_rank), ("chernoff", chernoff)],
        )
    }

    /// Sign, signed-rank and Chernoff where the texts `released` were.
    fn parts(&self, released: &[usize]) -> [PValue; 3] {
        [
            integer_tail(&self.within, released, EXACT_WORK_MAX),
            integer_tail(&self.quade, released, EXACT_WORK_MAX),
            PValue::from_ln(self.scaled.chernoff_ln(released)),
        ]
    }

    /// All scores negated: tests the opposite preference.
    fn mirrored(&self) -> Self {
        Self {
            scaled: self.scaled.map(|v| -v),
            quade: self.quade.map(|v| -v),
            within: self.within.map(|v| -v),
        }
    }
}

/// Divides scores so that the largest becomes [`RANK_LEVELS`], rounding half away from zero.
fn group_ranks(rows: &Rows<i64>) -> Rows<i64> {
    let largest = rows.values().iter().map(|v| v.abs()).max().unwrap_or(0) as f64;
    if largest <= RANK_LEVELS {
        return rows.clone();
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most RANK_LEVELS in magnitude")]
    rows.map(|v| (*v as f64 * RANK_LEVELS / largest).round() as i64)
}
