//! The closed-form p-value: no resampling, no normal limit, no floor.
//!
//! Three exact or conservative tests under the same null, and Bonferroni over them. When it is
//! asked, and what it may spend, is `primary`'s business.

use crate::cgf::Rows;
use crate::correction::Unit;
use crate::exact::{
    RANK_SUM_EXACT_UNITS_MAX, SIGNED_RANK_EXACT_UNITS_MAX, centred_ranks, integer_tail,
    quade_scores,
};
use crate::primary::{Tail, split};
use crate::types::PValue;

/// Above this many units ranks are grouped into [`RANK_LEVELS`] levels.
const UNGROUPED_UNITS_MAX: usize = 1_000;
/// Levels of grouped ranks: still an exact test (of the grouped statistic), at a bounded cost.
const RANK_LEVELS: f64 = 256.0;

/// The closed-form p-value, one-sided: three times the smallest of the exact sign test (rank sum
/// for K > 1), the exact signed-rank test (Quade's for K > 1; ranks grouped into 256 levels above
/// 1,000 units, Chernoff's bound above 5,000) and Chernoff's bound on the mean.
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
    scaled: Rows,
    quade: Vec<Vec<i64>>,
    within: Vec<Vec<i64>>,
}

impl ClosedForm {
    pub(crate) fn new(units: &[Unit]) -> Self {
        let mut scaled = Rows::default();
        for unit in units {
            scaled.push(unit.scores().iter().map(|s| s / unit.scale()));
        }
        let mut quade = quade_scores(units);
        if units.len() > UNGROUPED_UNITS_MAX && units.len() <= SIGNED_RANK_EXACT_UNITS_MAX {
            group_ranks(&mut quade);
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
        let up = self.parts(released, 1);
        let parts = match tail {
            Tail::Released => up,
            Tail::Either => {
                let down = self.parts(released, -1);
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

    /// Sign, signed-rank and Chernoff towards `direction` (1: released preferred, -1: against).
    fn parts(&self, released: &[usize], direction: i64) -> [PValue; 3] {
        let integer = |rows: &[Vec<i64>], exact_max: usize| {
            let observed: i64 = rows
                .iter()
                .zip(released)
                .filter_map(|(row, at)| row.get(*at))
                .map(|v| direction * v)
                .sum();
            let directed: Vec<Vec<i64>> =
                rows.iter().map(|r| r.iter().map(|v| direction * v).collect()).collect();
            integer_tail(&directed, observed, exact_max)
        };
        let sign = direction as f64;
        let mut rows = Rows::default();
        let mut observed = 0.0;
        for (row, at) in self.scaled.iter().zip(released) {
            rows.push(row.iter().map(|v| sign * v));
            observed += row.get(*at).map_or(0.0, |v| sign * v);
        }
        [
            integer(&self.within, RANK_SUM_EXACT_UNITS_MAX),
            integer(&self.quade, SIGNED_RANK_EXACT_UNITS_MAX),
            PValue::from_ln(rows.chernoff_ln(observed)),
        ]
    }
}

/// Divides scores so that the largest becomes [`RANK_LEVELS`], rounding half away from zero.
fn group_ranks(rows: &mut [Vec<i64>]) {
    let largest = rows.iter().flatten().map(|v| v.abs()).max().unwrap_or(0) as f64;
    if largest <= RANK_LEVELS {
        return;
    }
    for v in rows.iter_mut().flatten() {
        #[expect(clippy::cast_possible_truncation, reason = "at most RANK_LEVELS in magnitude")]
        let grouped = (*v as f64 * RANK_LEVELS / largest).round() as i64;
        *v = grouped;
    }
}
