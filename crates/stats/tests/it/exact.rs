//! Closed-form tests against scipy and against brute force.

use crate::helpers::{close, pairs};
use proptest::prelude::*;
use stillwatch_stats::{
    Unit, Zeros, chernoff, closed_form, exact_rank, quade, rank_sum, sign_test, signed_rank,
};

/// 1 … n, negative where m divides.
fn ramp(n: u32, m: u32) -> Vec<f64> {
    (1..=n).map(|i| if i % m == 0 { -f64::from(i) } else { f64::from(i) }).collect()
}

const TIES: [f64; 12] = [1.0, 1.0, 1.0, -1.0, 2.0, 2.0, -2.0, 3.0, 3.0, 4.0, -4.0, 5.0];
const ZEROS: [f64; 13] = [0.0, 0.0, 0.0, 1.0, 1.0, -1.0, 2.0, 3.0, -2.0, 4.0, 5.0, 0.0, 6.0];

#[test]
fn signed_rank_agrees_with_scipy() {
    // scipy 1.17.1: wilcoxon(x, alternative='greater', method='exact').pvalue
    let table = [
        (5, 9, 0.031_25),
        (10, 3, 0.1875),
        (20, 2, 0.579_588_890_075_683_6),
        (20, 4, 0.048_653_602_600_097_656),
        (49, 3, 0.020_851_927_116_211_755),
        (50, 2, 0.549_491_003_849_638_6),
        (300, 2, 0.519_991_659_468_893_6),
    ];
    for (n, m, expected) in table {
        for zeros in [Zeros::Pratt, Zeros::Drop] {
            close(signed_rank(&ramp(n, m), zeros).value(), expected, 1e-11);
        }
    }
}

#[test]
fn signed_rank_keeps_its_precision_in_the_tail() {
    // Python 3 integers: number of subsets of {1..n} with sum at most Σ(negative ranks), over 2^n,
    // counted exactly by `for r in 1..=n: for s in t..=r: c[s] += c[s-r]`.
    let table = [
        (300, 3, -15.026_452_310_789_637),
        (200, 5, -31.683_141_927_664_04),
        (300, 7, -70.856_192_666_542_06),
    ];
    for (n, m, ln) in table {
        close(signed_rank(&ramp(n, m), Zeros::Pratt).ln(), ln, 1e-12);
    }
    // All positive: 2^-n, far below the smallest f64.
    let ln = signed_rank(&ramp(2000, 2001), Zeros::Pratt).ln();
    close(ln, -2000.0 * std::f64::consts::LN_2, 1e-12);
}

#[test]
fn ties_and_zeros_agree_with_scipy() {
    // scipy 1.17.1: wilcoxon(x, alternative='greater', zero_method=...,
    // method=PermutationMethod(n_resamples=np.inf)).pvalue; every sign pattern is enumerated.
    close(signed_rank(&TIES, Zeros::Pratt).value(), 0.058_349_609_375, 1e-12);
    close(signed_rank(&TIES, Zeros::Drop).value(), 0.058_349_609_375, 1e-12);
    close(signed_rank(&ZEROS, Zeros::Pratt).value(), 0.037_109_375, 1e-12);
    close(signed_rank(&ZEROS, Zeros::Drop).value(), 0.033_203_125, 1e-12);
}

#[test]
fn sign_test_agrees_with_scipy() {
    // scipy 1.17.1: binomtest(k, n, 0.5, alternative='greater').pvalue
    let table = [
        (10, 7, 0.171_875),
        (10, 3, 0.945_312_5),
        (10, 5, 0.623_046_875),
        (100, 60, 0.028_443_966_820_490_444),
        (100, 40, 0.982_399_899_891_147_6),
        (1000, 700, 8.832_839_003_974_784e-38),
        (5000, 2600, 0.002_441_824_868_758_747),
        (3, 3, 0.125),
        (1000, 1000, 9.332_636_185_032_189e-302),
    ];
    for (n, k, expected) in table {
        let x: Vec<f64> = (0..n).map(|i| if i < k { 1.0 } else { -2.0 }).collect();
        close(sign_test(&x).value(), expected, 1e-9);
        close(rank_sum(&pairs(&x)).value(), expected, 1e-9);
    }
}

#[test]
fn empty_and_foreign_input_convinces_nobody() {
    for x in [&[][..], &[0.0, 0.0], &[f64::NAN, 1.0, 1.0], &[f64::INFINITY; 20]] {
        close(sign_test(x).value(), 1.0, 0.0);
        close(signed_rank(x, Zeros::Pratt).value(), 1.0, 0.0);
        close(signed_rank(x, Zeros::Drop).value(), 1.0, 0.0);
    }
    close(quade(&[]).value(), 1.0, 0.0);
    close(chernoff(&[]).value(), 1.0, 0.0);
    close(closed_form(&[]).value(), 1.0, 0.0);
}

/// P(sum ≥ observed) by visiting every relabelling.
fn brute_force(rows: &[Vec<f64>], observed: f64) -> f64 {
    let mut sums = vec![0.0];
    for row in rows {
        sums = sums.iter().flat_map(|s| row.iter().map(move |v| s + v)).collect();
    }
    sums.iter().filter(|s| **s >= observed - 1e-9).count() as f64 / sums.len() as f64
}

fn midranks(row: &[f64]) -> Vec<f64> {
    row.iter()
        .map(|v| {
            let below = row.iter().filter(|o| *o < v).count();
            let up_to = row.iter().filter(|o| *o <= v).count();
            (below + up_to + 1) as f64 / 2.0
        })
        .collect()
}

fn small_sets() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let score = (-4_i32..=4).prop_map(f64::from);
    prop::collection::vec(prop::collection::vec(score, 2..5), 1..6)
}

proptest! {
    #[test]
    fn sums_of_ranks_are_exact_for_any_sets(rows in small_sets()) {
        let units: Vec<Unit> = rows.iter().map(|r| Unit::new(r, 1.0).expect("finite")).collect();
        let ranks: Vec<Vec<f64>> = rows.iter().map(|r| midranks(r)).collect();
        let observed = ranks.iter().map(|r| r[0]).sum();
        close(rank_sum(&units).value(), brute_force(&ranks, observed), 1e-11);

        // Spreads as the units hold them: centring rounds, and a tie broken there stays broken.
        let spread: Vec<f64> = units
            .iter()
            .map(|u| {
                let high = u.scores().iter().copied().fold(f64::MIN, f64::max);
                high - u.scores().iter().copied().fold(f64::MAX, f64::min)
            })
            .collect();
        let quades: Vec<Vec<f64>> = ranks
            .iter()
            .zip(midranks(&spread))
            .map(|(r, w)| r.iter().map(|v| w * (2.0 * v - r.len() as f64 - 1.0)).collect())
            .collect();
        let observed = quades.iter().map(|r| r[0]).sum();
        close(quade(&units).value(), brute_force(&quades, observed), 1e-11);
        if rows.iter().all(|r| r.len() == 2) {
            let x: Vec<f64> = rows.iter().map(|r| r[0] - r[1]).collect();
            close(quade(&units).value(), signed_rank(&x, Zeros::Pratt).value(), 1e-12);
        }
    }

    #[test]
    fn chernoff_is_never_below_the_exact_tail(rows in small_sets()) {
        let units: Vec<Unit> = rows.iter().map(|r| Unit::new(r, 1.0).expect("finite")).collect();
        let scores: Vec<Vec<f64>> = units.iter().map(|u| u.scores().to_vec()).collect();
        let observed: f64 = scores.iter().map(|r| r[0]).sum();
        prop_assert!(chernoff(&units).value() >= brute_force(&scores, observed + 1e-8) - 1e-12);
    }
}

#[test]
fn chernoff_is_the_best_tilt() {
    // scipy 1.17.1: minimize_scalar(lambda t: -t*S + sum(log(cosh(t*x))), bounds=(0, 20),
    // method='bounded', options={'xatol': 1e-12}).fun with x = [.3, 1.2, .7, 2.5, .9, .1, 1.1, 3]
    let x = [0.3, 1.2, -0.7, 2.5, 0.9, -0.1, 1.1, 3.0];
    close(chernoff(&pairs(&x)).ln(), -2.355_980_504_842_805_5, 1e-9);
}

#[test]
fn one_set_ranks_exactly() {
    let unit = Unit::new(&[2.0, 1.0, 2.0, 0.0], 1.0).expect("finite");
    close(exact_rank(&unit).value(), 0.5, 0.0);
}

#[test]
fn two_thousand_pairs_approach_the_normal() {
    let mut x = ramp(2000, 2001);
    let sd = x.iter().map(|r| r * r).sum::<f64>().sqrt();
    let mut sum: f64 = x.iter().sum();
    // Negate every other rank from the top while the sum stays above three standard deviations.
    for v in x.iter_mut().rev().step_by(2) {
        if sum - 2.0 * *v > 3.0 * sd {
            sum -= 2.0 * *v;
            *v = -*v;
        }
    }
    // scipy 1.17.1: norm.sf(3), norm.sf(3.02) = 0.00135, 0.00126; the sum is symmetric, so the
    // next term of Edgeworth's series is of order 1/n.
    let p = signed_rank(&x, Zeros::Pratt).value();
    assert!((1.24e-3..1.36e-3).contains(&p), "{p} at {}", sum / sd);
}

#[test]
fn many_pairs_stay_exact_or_bounded() {
    // Above some 1,000 pairs the closed form groups ranks, which moves a p-value by little; above
    // some 18,000 it bounds them, which only enlarges it (and signed_rank does above 5,000).
    for (n, m) in [(900, 2), (900, 3), (1300, 2), (1300, 3), (20_000, 2), (20_000, 3)] {
        let x = ramp(n, m);
        let parts = [sign_test(&x), signed_rank(&x, Zeros::Pratt), chernoff(&pairs(&x))];
        let smallest = parts.iter().map(|p| p.ln()).fold(0.0, f64::min);
        let expected = (smallest + 3.0_f64.ln()).min(0.0);
        let closed = closed_form(&pairs(&x)).ln();
        assert!((closed - expected).abs() < 0.05, "{n}, {m}: {closed} against {expected}");
    }
}
