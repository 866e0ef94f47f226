//! Multiplicity against brute-force closed testing and published implementations.

use proptest::prelude::*;
use stillwatch_stats::{
    Alpha, EValue, PValue, bonferroni, calibrate, conformal_rank, e_bh, e_holm, e_holm_adjusted,
    holm, holm_adjusted, mean_e, p_from_e, product_e, simes, weighted_mean_e,
};

use crate::helpers::rng as seeded;
use rand::Rng;

fn alpha(value: f64) -> Alpha {
    Alpha::new(value).expect("in range")
}

fn ps(values: &[f64]) -> Vec<PValue> {
    values.iter().map(|p| PValue::new(*p)).collect()
}

fn es(values: &[f64]) -> Vec<EValue> {
    values.iter().map(|e| EValue::from_ln(e.ln())).collect()
}

/// Benjamini and Hochberg's (1995) fifteen p-values. Holm: statsmodels 0.15.0,
/// `multipletests(p, method='holm')[1]`; BH and Simes: scipy 1.17.1,
/// `stats.false_discovery_control(p)` and its minimum.
const P: [f64; 15] = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
    0.6528, 0.7590, 1.0,
];
const HOLM: [f64; 15] = [
    0.0015, 0.0056, 0.0247, 0.114, 0.2211, 0.278, 0.278, 0.278, 0.3213, 1.0, 1.0, 1.0, 1.0, 1.0,
    1.0,
];
const BH: [f64; 15] = [
    0.0015,
    0.003,
    0.0095,
    0.035_625,
    0.0603,
    0.063_857_142_857_142_86,
    0.063_857_142_857_142_86,
    0.0645,
    0.076_5,
    0.486,
    0.581_181_818_181_818_1,
    0.714_875,
    0.753_230_769_230_769_2,
    0.813_214_285_714_285_7,
    1.0,
];

#[test]
fn holm_simes_and_bh_match_statsmodels_and_scipy() {
    for (ours, theirs) in holm_adjusted(&ps(&P)).iter().zip(HOLM) {
        assert!((ours.value() - theirs).abs() < 1e-12, "{} {theirs}", ours.value());
    }
    assert!((simes(&ps(&P)).value() - 0.0015).abs() < 1e-15);
    assert!((bonferroni(&ps(&P)).value() - 0.0015).abs() < 1e-15);
    // e-BH on 1/p is Benjamini and Hochberg's procedure on p.
    let reciprocal = es(&P.map(|p| 1.0 / p));
    for level in [0.0016, 0.004, 0.01, 0.04, 0.0639, 0.07, 0.6] {
        let theirs: Vec<bool> = BH.iter().map(|q| *q <= level).collect();
        assert_eq!(e_bh(&reciprocal, alpha(level)), theirs, "{level}");
    }
}

/// `integrate.quad(lambda k: k*p**(k-1), 0, 1, epsabs=0, epsrel=1e-13)`, scipy 1.17.1.
#[test]
fn calibrator_matches_quadrature_and_is_stable_at_both_ends() {
    for (p, e) in [
        (1.0, 0.5),
        (0.999, 0.500_166_791_772_316_3),
        (0.7, 0.565_148_335_500_27),
        (0.6, 0.597_222_963_089_326_5),
        (0.5, 0.638_673_940_116_644_5),
        (0.1, 1.263_210_791_201_273_3),
        (0.01, 4.450_992_260_085_819),
        (1e-4, 117.761_948_780_719_68),
        (1e-10, 18_861_169.655_845_83),
    ] {
        let ours = calibrate(PValue::new(p)).value();
        assert!((ours / e - 1.0).abs() < 1e-12, "p {p}: {ours} for {e}");
    }
    // e(p) ≈ 1 / (p ln² p) far out, where p itself underflows.
    let far = calibrate(PValue::from_ln(-1e5)).ln();
    assert!((far - (1e5 - 2.0 * 1e5_f64.ln())).abs() < 1e-6);
    assert_eq!(calibrate(PValue::from_ln(f64::NEG_INFINITY)), EValue::from_ln(f64::INFINITY));
    assert!(calibrate(PValue::new(1.0 - 1e-16)).value() >= 0.5);
    assert!((p_from_e(EValue::from_ln(3.0)).ln() + 3.0).abs() < 1e-15);
    assert_eq!(p_from_e(EValue::from_ln(-3.0)), PValue::ONE);
}

#[test]
fn calibrated_uniform_p_has_mean_at_most_one() {
    let mut rng = seeded(4);
    let runs = 200_000;
    let mean: f64 = (0..runs)
        .map(|_| calibrate(PValue::new(rng.random::<f64>())).value().min(1e3))
        .sum::<f64>()
        / f64::from(runs);
    assert!(mean < 1.02 && mean > 0.8, "{mean}");
}

#[test]
fn simes_of_independent_uniforms_is_uniform() {
    let mut rng = seeded(6);
    let runs = 100_000;
    for level in [0.1, 0.01] {
        let below = (0..runs)
            .filter(|_| {
                let p: Vec<PValue> =
                    (0..8).map(|_| PValue::new(1.0 - rng.random::<f64>())).collect();
                simes(&p).value() <= level
            })
            .count() as f64;
        let share = below / f64::from(runs);
        let error = 4.0 * (level / f64::from(runs)).sqrt();
        assert!((share - level).abs() <= error, "{level}: {share}");
    }
}

#[test]
fn means_and_products() {
    let e = es(&[0.5, 2.0, 8.0]);
    assert!((mean_e(&e).value() - 3.5).abs() < 1e-12);
    assert!((product_e(&e).value() - 8.0).abs() < 1e-12);
    let weighted = weighted_mean_e(&e, &[1.0, 0.0, 3.0]).expect("three weights");
    assert!((weighted.value() - 6.125).abs() < 1e-12);
    assert!(weighted_mean_e(&e, &[1.0, -1.0, 3.0]).is_err());
    assert!(weighted_mean_e(&e, &[1.0]).is_err());
    assert_eq!(mean_e(&[]), EValue::ONE);
    assert_eq!(product_e(&[]), EValue::ONE);
    let zero = EValue::from_ln(f64::NEG_INFINITY);
    let infinite = EValue::from_ln(f64::INFINITY);
    assert_eq!(product_e(&[zero, infinite]), zero);
    assert_eq!(mean_e(&[zero, zero]), zero);
    assert!((mean_e(&[EValue::from_ln(2000.0), zero]).ln() - (2000.0 - 2.0_f64.ln())).abs() < 1e-9);
    assert_eq!(simes(&[]), PValue::ONE);
    assert_eq!(bonferroni(&[]), PValue::ONE);
    assert!(holm(&[], alpha(0.05)).is_empty() && e_holm(&[], alpha(0.05)).is_empty());
    assert!(e_bh(&[], alpha(0.05)).is_empty());
}

#[test]
fn conformal_rank_counts_ties_against_the_score() {
    for (calibration, score, expected) in [
        (vec![], 3.0, 1.0),
        (vec![1.0, 2.0, 3.0], 3.5, 0.25),
        (vec![1.0, 2.0, 3.0], 3.0, 0.5),
        (vec![1.0, 2.0, f64::NAN], 3.0, 0.5),
        (vec![1.0, 2.0, 3.0], f64::NAN, 1.0),
        (vec![1.0, 2.0, 3.0], f64::NEG_INFINITY, 1.0),
    ] {
        let ours = conformal_rank(&calibration, score).value();
        assert!((ours - expected).abs() < 1e-15, "{calibration:?} {score}: {ours}");
    }
    // Super-uniform with heavy ties: P(p ≤ j/8) ≤ j/8.
    let mut rng = seeded(9);
    let mut below = [0_u32; 9];
    let runs = 100_000;
    for _ in 0..runs {
        let mut draw = || f64::from(rng.random_range(0..4_u32));
        let calibration: Vec<f64> = (0..7).map(|_| draw()).collect();
        let p = conformal_rank(&calibration, draw()).value();
        for (j, count) in (0_u32..).zip(&mut below) {
            *count += u32::from(p <= f64::from(j) / 8.0 + 1e-12);
        }
    }
    for (j, count) in (0_u32..).zip(below) {
        let (share, level) = (f64::from(count) / f64::from(runs), f64::from(j) / 8.0);
        assert!(share <= level + 4.0 * (0.25 / f64::from(runs)).sqrt(), "{j}: {share}");
    }
}

/// Rejected by closed testing: every set of hypotheses that contains k is rejected.
fn closed_testing(m: usize, rejects: impl Fn(&[usize]) -> bool) -> Vec<bool> {
    let sets: Vec<Vec<usize>> =
        (1..1_usize << m).map(|bits| (0..m).filter(|k| bits >> k & 1 == 1).collect()).collect();
    (0..m).map(|k| sets.iter().filter(|s| s.contains(&k)).all(|s| rejects(s))).collect()
}

proptest! {
    #[test]
    fn holm_is_closed_testing_with_bonferroni(
        p in prop::collection::vec(1e-4..1.0_f64, 1..7), level in 0.01..0.5_f64,
    ) {
        let brute = closed_testing(p.len(), |set| {
            let least = set.iter().map(|k| p[*k]).fold(1.0, f64::min);
            least * set.len() as f64 <= level
        });
        prop_assert_eq!(holm(&ps(&p), alpha(level)), brute);
    }

    #[test]
    fn e_holm_is_closed_testing_with_means(
        ln in prop::collection::vec(-6.0..8.0_f64, 1..7), level in 0.001..0.5_f64,
    ) {
        let e: Vec<EValue> = ln.iter().map(|l| EValue::from_ln(*l)).collect();
        let mean = |set: &[usize]| {
            set.iter().map(|k| e[*k].value()).sum::<f64>() / set.len() as f64
        };
        let brute = closed_testing(e.len(), |set| mean(set) >= 1.0 / level);
        prop_assert_eq!(e_holm(&e, alpha(level)), brute);
        for (k, ours) in e_holm_adjusted(&e).iter().enumerate() {
            let least = (1..1_usize << e.len())
                .map(|bits| (0..e.len()).filter(|k| bits >> k & 1 == 1).collect::<Vec<_>>())
                .filter(|set| set.contains(&k))
                .map(|set| mean(&set))
                .fold(f64::INFINITY, f64::min);
            prop_assert!((ours.value() / least - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn e_bh_is_its_definition(ln in prop::collection::vec(-6.0..8.0_f64, 1..9), fdr in 0.01..0.5_f64) {
        let e: Vec<EValue> = ln.iter().map(|l| EValue::from_ln(*l)).collect();
        let m = ln.len();
        // k is self-consistent if the k largest all reach m / (k · fdr).
        let best = (0..=m)
            .rfind(|k| {
                let needed = m as f64 / (*k as f64 * fdr);
                ln.iter().filter(|l| l.exp() >= needed).count() >= *k
            })
            .unwrap_or(0);
        prop_assert_eq!(e_bh(&e, alpha(fdr)).iter().filter(|r| **r).count(), best);
    }
}
