//! The e-process is one: exactly, by throwing all coins, and by simulation; and it has power.

use proptest::prelude::*;
use rand::Rng;
use stillwatch_stats::{
    Alpha, EProcess, EProcessParams, EStop, ScoreSet, TestParams, correct, min_detectable_effect_e,
    min_detectable_effect_e_against, min_detectable_effect_e_of_sets,
};

use crate::helpers::{normal, pairs, relabel, rng as seeded};
use crate::simulate::{LAWS, Law, innocent_set, pair};

fn process() -> EProcess {
    EProcess::new(EProcessParams::default())
}

/// Means over all throws of the coins of `sets`: e at the end; e at an adversary's stopping time
/// (first e ≥ 2, or the lowest hope); share of throws whose e ever reached 4.
fn over_all_coins(sets: &[ScoreSet]) -> (f64, f64, f64) {
    let sides: Vec<usize> = sets.iter().map(|s| s.k() + 1).collect();
    let throws: usize = sides.iter().product();
    let (mut last, mut stopped, mut crossed) = (0.0, 0.0, 0.0);
    for throw in 0..throws {
        let mut rest = throw;
        let mut e = process();
        let mut at_stop = None;
        for (set, sides) in sets.iter().zip(&sides) {
            let value = e.push(&relabel(set, rest % sides)).expect("checked set").value();
            rest /= sides;
            if value >= 2.0 || value <= 0.1 {
                at_stop.get_or_insert(value);
            }
        }
        last += e.value().value();
        stopped += at_stop.unwrap_or(e.value().value());
        crossed += f64::from(u8::from(e.maximum().value() >= 4.0));
    }
    let throws = throws as f64;
    (last / throws, stopped / throws, crossed / throws)
}

#[test]
fn expectation_over_all_coins_is_one_for_any_scores() {
    for law in LAWS {
        for (k, n, n_references, lengths) in [
            (1, 10, 0, false),
            (1, 10, 1, false),
            (1, 9, 2, true),
            (2, 6, 1, true),
            (3, 5, 0, false),
        ] {
            let mut rng = seeded(7);
            let sets: Vec<ScoreSet> =
                (0..n).map(|_| innocent_set(law, k, n_references, lengths, &mut rng)).collect();
            let (last, stopped, crossed) = over_all_coins(&sets);
            let case = format!("{law:?}, K {k}, {n_references} references");
            assert!((last - 1.0).abs() < 1e-9, "{case}: E[e] = {last}");
            assert!((stopped - 1.0).abs() < 1e-9, "{case}: E[e at stop] = {stopped}");
            assert!(crossed <= 0.25 + 1e-9, "{case}: P(sup e >= 4) = {crossed}");
        }
    }
}

#[test]
fn sets_of_different_size_mix() {
    let mut rng = seeded(8);
    let sets: Vec<ScoreSet> = [1, 2, 1, 3, 1, 2, 1]
        .iter()
        .map(|k| innocent_set(Law::Gaussian, *k, 1, true, &mut rng))
        .collect();
    let (last, stopped, _) = over_all_coins(&sets);
    assert!((last - 1.0).abs() < 1e-9 && (stopped - 1.0).abs() < 1e-9, "{last} {stopped}");
}

/// 10⁵ runs: mean e at a fixed and at a greedy stopping time, and Ville's bound at 1/20.
#[test]
fn innocent_runs_keep_markov_and_ville() {
    for (law, runs, n) in [
        (Law::Gaussian, 100_000, 10),
        (Law::StudentT2, 100_000, 10),
        (Law::Zeros, 5_000, 60),
        (Law::Heteroscedastic, 5_000, 60),
    ] {
        let mut rng = seeded(11);
        let (mut fixed, mut greedy, mut crossed) = (0.0, 0.0, 0_u32);
        for _ in 0..runs {
            let mut e = process();
            let mut stop = None;
            for _ in 0..n {
                let value = e.push(&pair(law.draw(&mut rng))).expect("checked set").value();
                if value > 1.5 {
                    stop.get_or_insert(value);
                }
            }
            fixed += e.value().value().min(50.0);
            greedy += stop.unwrap_or(e.value().value());
            crossed += u32::from(e.maximum().value() >= 20.0);
        }
        let runs = f64::from(runs);
        // Standard errors: e capped at 50 has variance below 50, the greedy one below 4.
        assert!(fixed / runs <= 1.0 + 4.0 * (50.0 / runs).sqrt(), "{law:?}: {}", fixed / runs);
        assert!(greedy / runs <= 1.0 + 4.0 * (4.0 / runs).sqrt(), "{law:?}: {}", greedy / runs);
        let share = f64::from(crossed) / runs;
        assert!(share <= 0.05 + 4.0 * (0.05 / runs).sqrt(), "{law:?}: {share}");
    }
}

/// A client who watches the released texts and stops sending anything that tells texts apart
/// once the running sign test has reached 1e-3 (METHOD: later magnitudes reveal earlier coins).
/// Flipping all signs with the magnitudes as given then overshoots its level several times over;
/// the e-process keeps Ville's bound.
#[test]
fn clients_that_adapt_break_flips_and_not_the_e_process() {
    const RUNS: u32 = 4_000;
    const PAIRS: u32 = 300;
    let mut rng = seeded(12);
    // Least wins among n at which the one-sided sign test has p ≤ 1e-3.
    let needed: Vec<u32> = (0..=PAIRS).map(wins_needed).collect();
    let (mut flips, mut crossed) = (0_u32, 0_u32);
    for _ in 0..RUNS {
        let mut e = process();
        let (mut wins, mut n) = (0_u32, 0_u32);
        for _ in 0..PAIRS {
            let coin = rng.random::<bool>();
            let magnitude = if wins >= needed[n as usize] { 0.0 } else { 1.0 };
            e.push(&pair(if coin { magnitude } else { -magnitude })).expect("checked set");
            if magnitude > 0.0 {
                n += 1;
                wins += u32::from(coin);
            }
        }
        // Zeros don't move the sum, so the flip test of all pairs is the sign test of n.
        flips += u32::from(wins >= needed[n as usize]);
        crossed += u32::from(e.maximum().value() >= 1000.0);
    }
    let (flips, crossed) =
        (f64::from(flips) / f64::from(RUNS), f64::from(crossed) / f64::from(RUNS));
    assert!(flips > 0.005, "the attack should beat 1e-3 clearly: {flips}");
    assert!(crossed <= 0.001 + 4.0 * (0.001 / f64::from(RUNS)).sqrt(), "{crossed}");
}

fn wins_needed(n: u32) -> u32 {
    let mut tail = 0.0;
    let mut mass = 0.5_f64.powf(f64::from(n));
    for losses in 0..=n {
        tail += mass;
        if tail > 1e-3 {
            return n - losses + 1;
        }
        mass *= f64::from(n - losses) / f64::from(losses + 1);
    }
    n + 1
}

/// The same by throwing all coins: magnitudes are any function of the coins before them.
#[test]
fn expectation_is_one_when_magnitudes_follow_the_coins() {
    const N: u32 = 12;
    let mut mean = 0.0;
    for throw in 0..1_u32 << N {
        let mut e = process();
        let mut sum = 0.0;
        for t in 0..N {
            let sign = if throw >> t & 1 == 1 { 1.0 } else { -1.0 };
            let magnitude = if sum > 1.0 { 0.01 } else { 1.0 + f64::from(t) - sum };
            sum += sign * magnitude;
            e.push(&pair(sign * magnitude)).expect("checked set");
        }
        mean += e.value().value();
    }
    let mean = mean / f64::from(1_u32 << N);
    assert!((mean - 1.0).abs() < 1e-9, "{mean}");
}

/// Treating K siblings as K pairs counts one coin K times; the mean over the coin exceeds 1.
#[test]
fn flattening_siblings_into_pairs_is_no_e_value() {
    let scores = [4.0, 0.1, 0.0, -0.1];
    let mean = |flat: bool| {
        let total: f64 = (0..scores.len())
            .map(|released| {
                let mut e = process();
                let mut order = scores.to_vec();
                order.swap(0, released);
                if flat {
                    for withheld in &order[1..] {
                        e.push(&pair(order[0] - withheld)).expect("checked set");
                    }
                } else {
                    let set = ScoreSet::new(order, Vec::new(), None).expect("finite");
                    e.push(&set).expect("checked set");
                }
                e.value().value()
            })
            .sum();
        total / scores.len() as f64
    };
    assert!((mean(false) - 1.0).abs() < 1e-12);
    assert!(mean(true) > 1.05, "{}", mean(true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Swapping the current set changes neither slopes nor any later factor, and the factors of
    /// all its labellings average to 1.
    #[test]
    fn slopes_and_later_bets_ignore_the_current_coin(seed in 0_u64..10_000, k in 1_usize..4) {
        let mut rng = seeded(seed);
        let before: Vec<ScoreSet> =
            (0..9).map(|_| innocent_set(Law::StudentT2, k, 2, true, &mut rng)).collect();
        let current = innocent_set(Law::StudentT2, k, 2, true, &mut rng);
        let after = innocent_set(Law::StudentT2, k, 2, true, &mut rng);
        let mut start = process();
        for set in &before {
            start.push(set).expect("checked set");
        }
        let mut factors = 0.0;
        let mut reference: Option<Vec<f64>> = None;
        for released in 0..=k {
            let mut e = start.clone();
            let value = e.push(&relabel(&current, released)).expect("checked set");
            factors += (value.ln() - start.value().ln()).exp();
            let slopes = e.beta().to_vec();
            e.push(&after).expect("checked set");
            prop_assert_eq!(reference.get_or_insert(slopes.clone()), &slopes);
            prop_assert!(slopes.iter().all(|s| *s >= 0.0));
        }
        prop_assert!((factors / (k + 1) as f64 - 1.0).abs() < 1e-12);
    }
}

/// A run depends on nothing but its input, and mirrored coins on the earlier sets don't move
/// what a later set is worth relative to its own mirror image.
#[test]
fn scale_and_slopes_are_the_same_whatever_the_earlier_coins() {
    let mut rng = seeded(3);
    let sets: Vec<ScoreSet> =
        (0..40).map(|_| innocent_set(Law::Gaussian, 1, 1, true, &mut rng)).collect();
    let run = |flip: bool| {
        let mut e = process();
        for (index, set) in sets.iter().enumerate() {
            e.push(&relabel(set, usize::from(flip && index % 3 == 0))).expect("checked set");
        }
        e.beta().to_vec()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn finds_shifts_everywhere_shifts_in_few_and_sets_zeros_aside() {
    type Draw = fn(&mut rand_chacha::ChaCha8Rng) -> f64;
    let cases: [(&str, usize, Draw); 4] = [
        ("gaussian", 300, |rng| normal(rng) + 0.35),
        ("t2", 300, |rng| Law::StudentT2.draw(rng) + 0.5),
        ("3% outliers", 600, |rng| {
            normal(rng) + if rng.random::<f64>() < 0.03 { 8.0 } else { 0.0 }
        }),
        ("zeros", 300, |rng| if rng.random::<f64>() < 0.7 { 0.0 } else { normal(rng) + 0.7 }),
    ];
    for (name, n, draw) in cases {
        let found = (0..50_u64)
            .filter(|seed| {
                let mut rng = seeded(*seed);
                let mut e = process();
                for _ in 0..n {
                    e.push(&pair(draw(&mut rng))).expect("checked set");
                }
                e.maximum().value() >= 1000.0
            })
            .count();
        assert!(found >= 38, "{name}: {found} of 50");
    }
}

#[test]
fn a_reference_multiplies_power() {
    let mut rng = seeded(5);
    let (mut with, mut without) = (process(), process());
    for _ in 0..200 {
        let noise = normal(&mut rng);
        let set = ScoreSet::new(
            vec![5.0 * noise + normal(&mut rng) + 1.0, 0.0],
            vec![vec![4.0 * noise, 0.0]],
            None,
        )
        .expect("finite");
        without.push(&set.without_references()).expect("checked set");
        with.push(&set).expect("checked set");
    }
    assert!(with.value().ln() > without.value().ln() + 20.0);
    assert!((with.beta()[0] - 1.25).abs() < 0.1, "{:?}", with.beta());
}

/// Innocent suspect; the reference saw the released side and its noise opposes the suspect's:
/// a slope of free sign would add its shift to the suspect's score.
#[test]
fn a_reference_that_saw_the_released_side_convicts_nobody() {
    let convicted = (0..200_u64)
        .filter(|seed| {
            let mut rng = seeded(*seed);
            let mut e = process();
            for _ in 0..200 {
                let suspect = normal(&mut rng);
                let reference = -0.6 * suspect + 0.8 * normal(&mut rng) + 1.0;
                let set = ScoreSet::new(vec![suspect, 0.0], vec![vec![reference, 0.0]], None)
                    .expect("finite");
                e.push(&set).expect("checked set");
            }
            e.maximum().value() >= 1000.0
        })
        .count();
    assert_eq!(convicted, 0);
}

#[test]
fn path_maximum_and_crossing_agree() {
    let mut e = process();
    let mut values = Vec::new();
    for t in 0..40 {
        values.push(e.push(&pair(if t % 7 == 0 { -1.0 } else { 1.5 })).expect("checked set").ln());
    }
    assert_eq!(e.path(), values);
    let top = values.iter().copied().fold(0.0, f64::max);
    assert!((e.maximum().ln() - top).abs() < 1e-12);
    let alpha = Alpha::new(0.01).expect("in range");
    let first = values.iter().position(|v| *v >= 100.0_f64.ln()).map(|i| i + 1);
    assert!(first.is_some());
    assert_eq!(e.first_crossing(alpha), first);
    let mut pathless =
        EProcess::new(EProcessParams { keep_path: false, ..EProcessParams::default() });
    assert_eq!(pathless.first_crossing(alpha), None);
    for t in 0..40 {
        pathless.push(&pair(if t % 7 == 0 { -1.0 } else { 1.5 })).expect("checked set");
    }
    assert_eq!(pathless.first_crossing(alpha), first);
}

#[test]
fn wild_scores_neither_panic_nor_make_nan() {
    let mut e = process();
    for x in [1e308, -1e308, 1e-308, 0.0, f64::MAX, 5e-324, 1.0, -1.0] {
        let set =
            ScoreSet::new(vec![x, -x, 0.0], vec![vec![-x, x, x]], Some(vec![x.abs(), 0.0, 1.0]));
        e.push(&set.expect("finite")).expect("same shape");
        assert!(e.value().ln().is_finite());
        assert!(e.beta().iter().all(|b| b.is_finite()));
    }
    let other = ScoreSet::new(vec![1.0, 0.0], Vec::new(), None).expect("finite");
    let message = e.push(&other).expect_err("a reference is missing").to_string();
    assert_eq!(message, "set 9 has 0 references, the sets before it 1");
}

#[test]
fn a_million_innocent_sets_end_finite() {
    let mut rng = seeded(1);
    let mut e = EProcess::new(EProcessParams { keep_path: false, ..EProcessParams::default() });
    for _ in 0..200_000 {
        e.push(&pair(normal(&mut rng))).expect("checked set");
    }
    assert!(e.value().ln().is_finite());
    assert!(e.path().is_empty());
}

/// The smallest detectable effect is found in about that share of runs.
#[test]
fn minimum_detectable_effect_has_its_power() {
    let alpha = Alpha::new(1e-3).expect("in range");
    let params = TestParams { n_resamples: 1_000, seed: 2 };
    for n in [60, 250] {
        let mut rng = seeded(20);
        let x: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
        let effect =
            min_detectable_effect_e(&pairs(&x), alpha, 0.8, &params).expect("enough pairs");
        let runs = 400;
        let found = (0..runs)
            .filter(|_| {
                let mut e = process();
                (0..n).any(|_| {
                    let x = normal(&mut rng) + effect;
                    e.push(&pair(x)).expect("checked set").value() >= 1000.0
                })
            })
            .count();
        let power = found as f64 / f64::from(runs);
        assert!((0.65..0.95).contains(&power), "n {n}: d = {effect}, power {power}");
    }
}

#[test]
fn minimum_detectable_effect_knows_no_coin_and_when_nothing_would_do() {
    let alpha = Alpha::new(1e-3).expect("in range");
    let params = TestParams { n_resamples: 1_000, seed: 2 };
    let mut rng = seeded(21);
    let x: Vec<f64> = (0..50).map(|_| normal(&mut rng)).collect();
    let effect = |x: &[f64]| min_detectable_effect_e(&pairs(x), alpha, 0.8, &params);
    assert!(effect(&x[..6]).is_none());
    assert!(effect(&[]).is_none());
    assert!(effect(&[0.0; 50]).is_none());
    let flipped: Vec<f64> =
        x.iter().zip([1.0, -1.0].into_iter().cycle()).map(|(x, s)| x * s).collect();
    assert_eq!(effect(&x), effect(&flipped));
    assert!(effect(&x[..50]).is_some_and(|d| d < effect(&x[..25]).unwrap_or(f64::INFINITY)));
}

/// Slopes that have to be learnt cost power, and lengths are used.
#[test]
fn minimum_detectable_effect_of_sets_counts_the_learning() {
    let alpha = Alpha::new(1e-3).expect("in range");
    let params = TestParams { n_resamples: 1_000, seed: 2 };
    let mut rng = seeded(22);
    let sets: Vec<ScoreSet> = (0..60)
        .map(|_| {
            let common = 20.0 * normal(&mut rng);
            ScoreSet::new(vec![common + normal(&mut rng), 0.0], vec![vec![0.7 * common, 0.0]], None)
                .expect("finite")
        })
        .collect();
    let units = correct(&sets).expect("same shape").units;
    let known = min_detectable_effect_e(&units, alpha, 0.8, &params).expect("enough");
    let learnt = min_detectable_effect_e_of_sets(&sets, &units, alpha, 0.8, &params);
    let learnt = learnt.expect("enough");
    assert!((known..2.0 * known).contains(&learnt), "{known} known, {learnt} learnt");
    let at_end = EStop::AtEnd;
    let at_end = min_detectable_effect_e_against(&[], &sets, &units, alpha, 0.8, at_end, &params);
    let at_end = at_end.expect("enough");
    assert!((learnt..1.5 * learnt).contains(&at_end), "{learnt} at 1/alpha, {at_end} at the end");
    assert!(min_detectable_effect_e_of_sets(&sets[1..], &units, alpha, 0.8, &params).is_none());
    let flipped: Vec<ScoreSet> = sets.iter().map(|set| relabel(set, 1)).collect();
    let units = correct(&flipped).expect("same shape").units;
    let again = min_detectable_effect_e_of_sets(&flipped, &units, alpha, 0.8, &params);
    assert!((again.expect("enough") / learnt - 1.0).abs() < 0.02);
}
