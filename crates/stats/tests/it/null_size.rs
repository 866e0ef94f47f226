//! Every null is simulated: p-values must be super-uniform.

use crate::helpers::{normal, pairs, rng, set, t2, throw};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use stillwatch_stats::{
    NullDistribution, PValue, ScoreSet, Tail, TestParams, Unit, Zeros, chernoff, closed_form,
    correct, merge_coin, quade, rank_sum, sign_test, signed_rank, split, twins_test,
};

/// P(p ≤ a) ≤ a + 4 standard errors at several a.
#[track_caller]
fn assert_super_uniform(what: &str, p: &[PValue]) {
    let n = p.len() as f64;
    for a in [0.3, 0.1, 0.05, 0.01, 1e-3] {
        let share = p.iter().filter(|p| p.value() <= a * (1.0 + 1e-12)).count() as f64 / n;
        let standard_error = (a * (1.0 - a) / n).sqrt();
        assert!(share <= a + 4.0 * standard_error, "{what}: P(p <= {a}) = {share}");
    }
}

/// A symmetric draw of the family `kind` for pair `i`.
fn symmetric(kind: usize, i: usize, rng: &mut ChaCha8Rng) -> f64 {
    match kind {
        0 => normal(rng),
        1 => t2(rng),
        2 => f64::from(rng.random_range(-2..=2_i32)),
        3 => {
            if rng.random_bool(0.7) {
                0.0
            } else {
                normal(rng)
            }
        }
        _ => normal(rng) * (1.0 + i as f64).powi(2),
    }
}

const FAMILIES: [&str; 5] = ["gaussian", "t2", "ties", "zeros", "heteroscedastic"];

#[test]
fn cheap_tests_of_pairs() {
    let mut rng = rng(11);
    for (kind, name) in FAMILIES.iter().enumerate() {
        for n in [1, 2, 3, 4, 5, 6, 12] {
            let mut p: [Vec<PValue>; 4] = Default::default();
            for _ in 0..100_000 / 7 {
                let x: Vec<f64> = (0..n).map(|i| symmetric(kind, i, &mut rng)).collect();
                p[0].push(sign_test(&x));
                p[1].push(signed_rank(&x, Zeros::Pratt));
                p[2].push(signed_rank(&x, Zeros::Drop));
                p[3].push(chernoff(&pairs(&x)));
            }
            for (test, p) in ["sign", "pratt", "wilcoxon", "chernoff"].iter().zip(&p) {
                assert_super_uniform(&format!("{test}, {name}, n = {n}"), p);
            }
        }
    }
}

#[test]
fn the_pipeline_of_pairs_with_references() {
    // Suspect and two references share noise; nobody saw anything. Everything is fitted anew on
    // each draw, with a fresh seed for the resampling.
    let mut rng = rng(12);
    for (kind, name) in FAMILIES.iter().enumerate() {
        let (mut joint, mut closed) = (Vec::new(), Vec::new());
        for seed in 0..1500 {
            let n = [3, 6, 19, 30][rng.random_range(0..4_usize)];
            let sets: Vec<ScoreSet> = (0..n)
                .map(|i| {
                    let (a, b) = (symmetric(kind, i, &mut rng), normal(&mut rng));
                    let own = symmetric(kind, i, &mut rng);
                    set(&[own + 0.8 * a - 0.5 * b, 0.0], &[&[a, 0.0], &[b, 0.0]])
                })
                .collect();
            let units = correct(&sets).expect("valid").units;
            joint.push(twins_test(&units, &TestParams { n_resamples: 199, seed }).p_value);
            closed.push(closed_form(&units));
        }
        assert_super_uniform(&format!("twins test, {name}"), &joint);
        assert_super_uniform(&format!("closed form, {name}"), &closed);
    }
}

#[test]
fn coins_thrown_again_over_one_set_of_scores() {
    // 10^5 throws: the whole pipeline's p-value, its null computed once because it can't see them.
    let mut rng = rng(13);
    for (k, n, tail) in [(1, 40, Tail::Released), (1, 14, Tail::Either), (3, 25, Tail::Released)] {
        let sets: Vec<ScoreSet> = (0..n)
            .map(|_| {
                let noise: Vec<f64> = (0..=k).map(|_| t2(&mut rng)).collect();
                let own: Vec<f64> = noise.iter().map(|r| 0.6 * r + normal(&mut rng)).collect();
                set(&own, &[&noise])
            })
            .collect();
        let units = correct(&sets).expect("valid").units;
        let (unordered, _) = split(&units);
        let params = TestParams { n_resamples: 100_000, seed: 1 };
        let null = NullDistribution::new(&unordered, tail, &params);
        let p: Vec<PValue> = (0..100_000)
            .map(|_| null.p_value(&unordered.throw(&mut rng)).expect("own orientation"))
            .collect();
        assert_super_uniform(&format!("re-thrown, K = {k}, n = {n}"), &p);
        // And it isn't idle: close to its nominal size at 5%.
        let size = p.iter().filter(|p| p.value() <= 0.05).count() as f64 / p.len() as f64;
        assert!(size > 0.039, "K = {k}, n = {n}: size {size} at 0.05");
    }
}

#[test]
fn sums_of_ranks_of_siblings() {
    let mut rng = rng(14);
    for k in [2, 3, 8] {
        let mut p: [Vec<PValue>; 3] = Default::default();
        for _ in 0..20_000 {
            let units: Vec<Unit> = (0..6)
                .map(|_| {
                    let scores: Vec<f64> = (0..=k).map(|_| t2(&mut rng).round()).collect();
                    Unit::new(&scores, 1.0).expect("finite")
                })
                .collect();
            p[0].push(rank_sum(&units));
            p[1].push(quade(&units));
            p[2].push(chernoff(&units));
        }
        for (test, p) in ["rank sum", "quade", "chernoff"].iter().zip(&p) {
            assert_super_uniform(&format!("{test}, K = {k}"), p);
        }
    }
}

/// Share of 300 innocent suspects convicted at 1e-2, where `reference` scores what it likes.
fn convictions(reference: impl Fn(f64, f64, &mut ChaCha8Rng) -> f64, seed: u64) -> f64 {
    let mut rng = rng(seed);
    let mut convicted = 0;
    for run in 0..300 {
        let sets: Vec<ScoreSet> = (0..150)
            .map(|_| {
                let shared = normal(&mut rng);
                let suspect = shared + 0.5 * normal(&mut rng);
                let r = reference(shared, suspect, &mut rng);
                set(&[suspect, 0.0], &[&[r, 0.0]])
            })
            .collect();
        let units = correct(&sets).expect("valid").units;
        let test = twins_test(&units, &TestParams { n_resamples: 999, seed: run });
        convicted += u32::from(test.p_value.value() <= 0.01);
    }
    f64::from(convicted) / 300.0
}

#[test]
fn a_reference_that_saw_the_released_side_convicts_nobody() {
    // It prefers what was released by one nat. Subtracting a share ≥ 0 of that can only push the
    // innocent suspect's difference down; with a free sign and a negative correlation it would
    // push it up.
    for sign in [1.0, -1.0] {
        let saw = |shared: f64, _: f64, rng: &mut ChaCha8Rng| {
            sign * 0.7 * shared + 0.7 * normal(rng) + 1.0
        };
        assert!(convictions(saw, 15) <= 0.01 + 4.0 * 0.0058, "sign {sign}");
    }
}

#[test]
fn a_reference_that_saw_the_withheld_side_does_convict() {
    // Not a bug but the reason why a reference counts for `established` only if its weights
    // predate the coins: no sign of beta helps here, the reference depends on the coins.
    let saw = |shared: f64, _: f64, _: &mut ChaCha8Rng| shared - 1.0;
    assert!(convictions(saw, 16) > 0.9);
}

#[test]
fn repeated_rows_are_one_unit() {
    // Four copies of each pair would turn 1e-3 into several per cent; merged they don't.
    let mut rng = rng(17);
    let base: Vec<ScoreSet> = (0..25).map(|_| set(&[normal(&mut rng), 0.0], &[])).collect();
    let (mut naive, mut merged) = (Vec::new(), Vec::new());
    for _ in 0..20_000 {
        let thrown: Vec<ScoreSet> = base.iter().map(|s| throw(s, &mut rng)).collect();
        let x = |s: &ScoreSet| s.suspect()[0] - s.suspect()[1];
        let copies: Vec<f64> = thrown.iter().flat_map(|s| vec![x(s); 4]).collect();
        naive.push(signed_rank(&copies, Zeros::Pratt));
        let units: Vec<f64> = thrown
            .iter()
            .map(|s| x(&merge_coin(&vec![s.clone(); 4]).expect("one shape")))
            .collect();
        merged.push(signed_rank(&units, Zeros::Pratt));
    }
    assert_super_uniform("merged", &merged);
    let false_alarms = naive.iter().filter(|p| p.value() <= 1e-3).count();
    assert!(false_alarms > 200, "the attack must bite: {false_alarms}");
}
