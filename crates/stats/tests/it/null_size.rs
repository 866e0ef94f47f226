//! Every null is simulated: p-values must be super-uniform.

use crate::helpers::{assert_super_uniform, normal, pairs, rng, set, t2};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use stillwatch_stats::{
    NullDistribution, PValue, ScoreSet, Tail, TestParams, Unit, Zeros, chernoff, closed_form,
    correct, quade, rank_sum, sign_test, signed_rank, split, twins_test,
};

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
