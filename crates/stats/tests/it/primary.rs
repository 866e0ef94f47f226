//! The primary statistic: blind to the coins, reproducible, small where it should be.

use crate::helpers::{close, normal, pairs, rng};
use stillwatch_stats::{
    NullDistribution, PValue, Tail, TestParams, Unit, chernoff, closed_form, exact_rank, quade,
    rank_sum, split, twins_test, twins_test_two_sided,
};

fn params(n_resamples: u32) -> TestParams {
    TestParams { n_resamples, seed: 7 }
}

fn shifted(n: usize, shift: f64, seed: u64) -> Vec<Unit> {
    let mut rng = rng(seed);
    pairs(&(0..n).map(|_| normal(&mut rng) + shift).collect::<Vec<_>>())
}

#[test]
fn few_pairs_are_enumerated() {
    // All ten positive: only the declared outcome reaches the maximum, whatever the statistic.
    let x: Vec<f64> = (1..=10).map(f64::from).collect();
    close(twins_test(&pairs(&x), &params(1)).p_value.value(), 2.0_f64.powi(-10), 1e-12);
    close(twins_test_two_sided(&pairs(&x), &params(1)).p_value.value(), 2.0_f64.powi(-9), 1e-12);
    let negative: Vec<f64> = x.iter().map(|v| -v).collect();
    close(twins_test(&pairs(&negative), &params(1)).p_value.value(), 1.0, 1e-12);
    close(
        twins_test_two_sided(&pairs(&negative), &params(1)).p_value.value(),
        2.0_f64.powi(-9),
        1e-12,
    );
}

#[test]
fn nothing_to_see_is_one() {
    for x in [&[][..], &[0.0; 50]] {
        let test = twins_test(&pairs(x), &params(100));
        close(test.p_value.value(), 1.0, 0.0);
        close(test.z, 0.0, 0.0);
    }
}

#[test]
fn overwhelming_evidence_has_no_floor() {
    let test = twins_test(&shifted(600, 3.0, 1), &params(1000));
    assert!(test.p_value.log10() < -150.0, "{}", test.p_value.log10());
    let closed = closed_form(&shifted(600, 3.0, 1));
    close(test.p_value.ln(), closed.ln() - 0.05_f64.ln(), 1e-9);
}

#[test]
fn moderate_evidence_is_resampled() {
    let test = twins_test(&shifted(200, 0.15, 2), &params(20_000));
    let joint = test.parts.iter().find(|(name, _)| *name == "joint").expect("always there").1;
    close(test.p_value.value(), joint.value() / 0.95, 1e-12);
    assert!(test.p_value.value() < 0.2 && test.z > 1.0);
    assert_eq!(test, twins_test(&shifted(200, 0.15, 2), &params(20_000)));
}

#[test]
fn the_null_has_forgotten_the_coins() {
    let units = shifted(80, 0.3, 3);
    let mut rng = rng(4);
    let (unordered, own) = split(&units);
    let null = NullDistribution::new(&unordered, Tail::Released, &params(2000));
    close(
        null.p_value(&own).expect("own").ln(),
        twins_test(&units, &params(2000)).p_value.ln(),
        0.0,
    );
    for _ in 0..20 {
        let thrown = unordered.throw(&mut rng);
        let oriented = unordered.oriented(&thrown).expect("own");
        assert_eq!(split(&oriented), (unordered.clone(), thrown.clone()));
        let again = twins_test(&oriented, &params(2000));
        close(null.p_value(&thrown).expect("own").ln(), again.p_value.ln(), 0.0);
        assert_eq!(null.test(&thrown).expect("own"), again);
    }
    let other = split(&shifted(81, 0.0, 5));
    assert!(null.p_value(&other.1).is_err() && unordered.oriented(&other.1).is_err());
}

type Test = fn(&[Unit]) -> PValue;

/// Every joint outcome of these sets' coins, as units.
fn outcomes(rows: &[Vec<f64>]) -> Vec<Vec<Unit>> {
    let mut all: Vec<Vec<Unit>> = vec![Vec::new()];
    for row in rows {
        all = all
            .iter()
            .flat_map(|before| {
                (0..row.len()).map(move |at| {
                    let mut scores = row.clone();
                    scores.swap(0, at);
                    let mut units = before.clone();
                    units.push(Unit::new(&scores, 1.0).expect("finite"));
                    units
                })
            })
            .collect();
    }
    all
}

/// No simulation: over all outcomes, the share with p ≤ a must not exceed a, for every a. (Sets of
/// three are centred to numbers whose sums tie exactly, so rounding can't decide.)
#[test]
fn few_coins_are_exactly_super_uniform() {
    let pairs = |x: &[f64]| x.iter().map(|v| vec![*v, 0.0]).collect::<Vec<_>>();
    let cases = [
        pairs(&[1.5]),
        pairs(&[1.0, -2.0]),
        pairs(&[0.0, 1.0, 1.0, 1.0]),
        pairs(&[3.0, 3.0, 1.0, -1.0, 50.0]),
        pairs(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1e6, 0.0]),
        vec![vec![1.0, 0.0, 2.0], vec![5.0, -1.0, 2.0], vec![0.0, 0.0, 9.0], vec![4.0, 1.0]],
        vec![vec![3.0, 0.0, 0.0, 0.0], vec![1.0, 2.0, 3.0, 6.0], vec![-8.0, 0.0, 4.0, 4.0]],
    ];
    let tests: [(&str, Test); 7] = [
        ("twins", |u| twins_test(u, &params(1)).p_value),
        ("two-sided", |u| twins_test_two_sided(u, &params(1)).p_value),
        ("closed form", closed_form),
        ("rank sum", rank_sum),
        ("quade", quade),
        ("chernoff", chernoff),
        ("first set", |u| exact_rank(&u[0])),
    ];
    for rows in &cases {
        let all = outcomes(rows);
        for (name, test) in tests {
            let p: Vec<f64> = all.iter().map(|units| test(units).value()).collect();
            for a in &p {
                let share = p.iter().filter(|p| **p <= a * (1.0 + 1e-9)).count() as f64;
                let share = share / p.len() as f64;
                assert!(share <= a * (1.0 + 1e-9), "{name}, {rows:?}: P(p <= {a}) = {share}");
            }
        }
    }
}

#[test]
fn siblings_are_relabelled() {
    let mut rng = rng(6);
    let mut sets = |shift: f64| -> Vec<Unit> {
        (0..60)
            .map(|_| {
                let mut scores: Vec<f64> = (0..4).map(|_| normal(&mut rng)).collect();
                scores[0] += shift;
                Unit::new(&scores, 1.0).expect("finite")
            })
            .collect()
    };
    assert!(twins_test(&sets(1.0), &params(10_000)).p_value.value() < 1e-6);
    assert!(twins_test(&sets(0.0), &params(10_000)).p_value.value() > 1e-3);
    // Three sets of four whose released text is on top: one outcome of 64.
    let top = vec![Unit::new(&[3.0, 1.0, 0.0, 2.0], 1.0).expect("finite"); 3];
    close(twins_test(&top, &params(10)).p_value.value(), 1.0 / 64.0, 1e-12);
}
