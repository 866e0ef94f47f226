//! Effect sizes, detectable effects and the power of the primary statistic.

use crate::helpers::{close, normal, pairs, rng, set, t2};
use rand_chacha::ChaCha8Rng;
use stillwatch_stats::{
    Alpha, EStop, ScoreSet, TestParams, Unit, Zeros, correct, effect, min_detectable_effect,
    min_detectable_effect_against, min_detectable_effect_e_against, pairs_needed, permuted_mean,
    power_curve, sign_test, signed_rank, split, twins_test,
};

fn alpha(value: f64) -> Alpha {
    Alpha::new(value).expect("inside (0, 1)")
}

#[test]
fn effects_agree_with_scipy() {
    // scipy 1.17.1: m, s = mean(x), std(x, ddof=1); ttest_1samp(x, 0).confidence_interval(.95);
    // d interval: m/s ± t.ppf(.975, n-1)·sqrt((1 − d·skew(x) + d²(kurtosis(x, fisher=False) − 1)/4)/n)
    let x = [0.3, 1.2, -0.7, 2.5, 0.9, -0.1, 1.1, 3.0];
    let found = effect(&pairs(&x)).expect("eight different values");
    close(found.nats.value, 1.025, 1e-12);
    close(found.nats.ci95[0], -0.017_993_839_344_991_214, 1e-9);
    close(found.nats.ci95[1], 2.067_993_839_344_991_3, 1e-9);
    close(found.d_z.value, 0.821_597_800_815_973_9, 1e-12);
    close(found.d_z.ci95[0], 0.018_364_979_684_468_04, 1e-9);
    close(found.d_z.ci95[1], 1.624_830_621_947_479_7, 1e-9);
    assert_eq!(effect(&pairs(&[1.0, 2.0])), None);
    assert_eq!(effect(&pairs(&[1.0; 9])), None);
}

#[test]
fn the_interval_of_d_covers() {
    let mut rng = rng(21);
    let covered = (0..2000)
        .filter(|_| {
            let x: Vec<f64> = (0..80).map(|_| normal(&mut rng) + 0.4).collect();
            effect(&pairs(&x)).is_some_and(|e| e.d_z.ci95[0] <= 0.4 && 0.4 <= e.d_z.ci95[1])
        })
        .count();
    assert!((1860..=1940).contains(&covered), "{covered} of 2000");
}

#[test]
fn pairs_needed_is_the_logarithm() {
    let table =
        [(1e-3, 1, 10), (0.25, 1, 2), (0.24, 1, 3), (1e-3, 3, 5), (0.999, 1, 1), (1e-6, 1, 20)];
    for (a, k, expected) in table {
        assert_eq!(pairs_needed(alpha(a), k), expected, "alpha {a}, K {k}");
    }
}

#[test]
fn detectable_effects_match_the_normal_theory() {
    // A z-test finds (3.09 + 0.84)/√n at 1e-3 and power .8; the primary statistic pays a little
    // for its four sums.
    let mut rng = rng(22);
    for n in [100, 400] {
        let units = pairs(&(0..n).map(|_| normal(&mut rng)).collect::<Vec<_>>());
        let found = min_detectable_effect(&units, alpha(1e-3), 0.8, &TestParams::default());
        let found = found.expect("enough pairs") * f64::from(n).sqrt();
        assert!((3.7..4.8).contains(&found), "n = {n}: {found}/√n");
    }
}

#[test]
fn detectable_effects_are_blind_to_the_coins() {
    let mut rng = rng(23);
    let units = pairs(&(0..60).map(|_| t2(&mut rng)).collect::<Vec<_>>());
    let (unordered, _) = split(&units);
    let params = TestParams { n_resamples: 2000, seed: 5 };
    let own = min_detectable_effect(&units, alpha(0.01), 0.8, &params);
    let thrown = unordered.oriented(&unordered.throw(&mut rng)).expect("own");
    assert_eq!(own, min_detectable_effect(&thrown, alpha(0.01), 0.8, &params));
    assert!(own.is_some());
}

#[test]
fn too_few_pairs_detect_nothing() {
    let params = TestParams::default();
    let units = |n: u32| pairs(&(1..=n).map(f64::from).collect::<Vec<_>>());
    assert_eq!(min_detectable_effect(&units(9), alpha(1e-3), 0.8, &params), None);
    assert!(min_detectable_effect(&units(10), alpha(1e-3), 0.8, &params).is_some());
    assert_eq!(min_detectable_effect(&[], alpha(1e-3), 0.8, &params), None);
    assert_eq!(min_detectable_effect(&pairs(&[0.0; 50]), alpha(1e-3), 0.8, &params), None);
    // Below the floor of resampling the closed form decides.
    let tiny = min_detectable_effect(&units(60), alpha(1e-9), 0.8, &params).expect("reachable");
    assert!((0.5..3.0).contains(&tiny), "{tiny}");
}

#[test]
fn power_rises_and_agrees_with_simulated_audits() {
    let mut rng = rng(24);
    let units = pairs(&(0..120).map(|_| normal(&mut rng)).collect::<Vec<_>>());
    let params = TestParams { n_resamples: 5000, seed: 6 };
    let curve = power_curve(&units, alpha(0.01), &params);
    assert!(curve.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1 + 0.03), "{curve:?}");
    assert!(curve[0].1 <= 0.035 && curve[8].1 > 0.99, "{curve:?}");
    let (d, predicted) = curve[4];
    let passed = (0..300)
        .filter(|seed| {
            let x: Vec<f64> = (0..120).map(|_| normal(&mut rng) + d).collect();
            let test = TestParams { n_resamples: 2000, seed: *seed };
            twins_test(&pairs(&x), &test).p_value.value() <= 0.01
        })
        .count();
    assert!(
        (passed as f64 / 300.0 - predicted).abs() < 0.1,
        "{passed} of 300, {predicted} predicted"
    );
}

/// Power at 1e-3 of signed ranks, permuted mean, signs and the primary statistic.
fn powers(n: usize, mut draw: impl FnMut(usize, &mut ChaCha8Rng) -> f64) -> [f64; 4] {
    let mut rng = rng(25);
    let mut passed = [0.0; 4];
    for seed in 0..120 {
        let x: Vec<f64> = (0..n).map(|i| draw(i, &mut rng)).collect();
        let units: Vec<Unit> = pairs(&x);
        let params = TestParams { n_resamples: 8000, seed };
        let p = [
            signed_rank(&x, Zeros::Pratt),
            permuted_mean(&units, &params),
            sign_test(&x),
            twins_test(&units, &params).p_value,
        ];
        for (count, p) in passed.iter_mut().zip(p) {
            *count += f64::from(u8::from(p.value() <= 1e-3)) / 120.0;
        }
    }
    passed
}

/// The whole table is printed by `examples/power_table.rs`; here one row of each family, with
/// room for the error of 120 simulations around the target of 0.9.
#[test]
fn the_primary_statistic_is_never_far_from_the_best() {
    let rows = [
        ("normal", powers(100, |_, rng| normal(rng) + 0.39)),
        ("t2", powers(100, |_, rng| t2(rng) + 0.6)),
        ("memorised", powers(600, |i, rng| normal(rng) + if i < 12 { 8.0 } else { 0.0 })),
        ("zeros", powers(100, |i, rng| if i % 5 < 3 { 0.0 } else { t2(rng) + 0.95 })),
    ];
    for (name, [ranks, mean, signs, primary]) in rows {
        let best = ranks.max(mean).max(signs);
        assert!(best > 0.2 && primary >= 0.85 * best, "{name}: {primary} against {best}");
    }
}

#[test]
fn evidence_that_was_withheld_costs_power_and_the_detectable_effect_says_so() {
    // 15 adverse pairs of four standard deviations before 200 normal ones: at the effect that is
    // said to be found with probability .8 the real test finds it at least about so often, and
    // at that of a run without adverse pairs far less often.
    let alpha = alpha(1e-2);
    let params = TestParams { n_resamples: 1_999, seed: 3 };
    let mut rng = rng(31);
    let mut audit = |effect: f64| -> Vec<Unit> {
        let own = (0..200).map(|_| normal(&mut rng) + effect);
        let x: Vec<f64> = std::iter::repeat_n(-4.0, 15).chain(own).collect();
        pairs(&x)
    };
    let units = audit(0.0);
    let honest = min_detectable_effect_against(15, &units, alpha, 0.8, &params).expect("some");
    let blind = min_detectable_effect(&units[15..], alpha, 0.8, &params).expect("some");
    let mut power = |effect: f64| {
        let found = (0..150)
            .filter(|_| twins_test(&audit(effect), &params).p_value.value() <= alpha.value());
        found.count() as f64 / 150.0
    };
    let (at_honest, at_blind) = (power(honest), power(blind));
    assert!(at_honest > 0.68, "{honest}: {at_honest}");
    assert!(at_blind < 0.4, "{blind}: {at_blind}");
}

#[test]
fn sets_that_are_adverse_raise_the_detectable_effect_of_the_e_process() {
    let alpha = alpha(1e-2);
    let params = TestParams { n_resamples: 999, seed: 3 };
    let mut rng = rng(32);
    let sets: Vec<ScoreSet> = (0..150).map(|_| set(&[normal(&mut rng), 0.0], &[])).collect();
    let units = correct(&sets).expect("valid").units;
    let adverse = vec![set(&[-3.0, 0.0], &[]); 10];
    let effect = |adverse: &[ScoreSet]| {
        min_detectable_effect_e_against(
            adverse,
            &sets,
            &units,
            alpha,
            0.8,
            EStop::AtThreshold,
            &params,
        )
        .expect("some")
    };
    let (without, with) = (effect(&[]), effect(&adverse));
    assert!(with > 1.15 * without, "{with} against {without}");
}
