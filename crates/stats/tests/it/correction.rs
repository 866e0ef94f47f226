//! The reference correction: what it estimates, and that it is blind to the coins.

use crate::helpers::{close, normal, relabel, rng, set};
use proptest::prelude::*;
use stillwatch_stats::{ScoreSet, Unit, correct, merge_coin};

#[test]
fn one_reference_gets_the_slope_through_the_origin() {
    // d_R and d_S = 2 d_R exactly: residual 0, slope 2 whatever the weights.
    let sets: Vec<ScoreSet> =
        (1..=8).map(|i| f64::from(i) - 4.2).map(|d| set(&[2.0 * d, 0.0], &[&[d, 0.0]])).collect();
    let corrected = correct(&sets).expect("valid");
    close(corrected.beta[0], 2.0, 1e-12);
    assert!(corrected.units.iter().all(|u| u.x().abs() < 1e-12 && u.scale() > 0.0));
}

#[test]
fn without_references_x_is_the_difference() {
    let corrected = correct(&[set(&[-3.0, -5.5], &[]), set(&[1.0, 0.0, 5.0], &[])]).expect("valid");
    close(corrected.units[0].x(), 2.5, 0.0);
    close(corrected.units[1].x(), -1.5, 1e-12);
    assert!(corrected.beta.is_empty());
    assert_eq!(correct(&[]).expect("valid").units, []);
}

#[test]
fn slopes_are_never_negative_and_recover_a_mixture() {
    let mut rng = rng(1);
    let sets: Vec<ScoreSet> = (0..400)
        .map(|_| {
            let (a, b, c, e) =
                (normal(&mut rng), normal(&mut rng), normal(&mut rng), normal(&mut rng));
            set(&[0.5 * a + 1.5 * b - 0.8 * c + 0.3 * e, 0.0], &[&[a, 0.0], &[b, 0.0], &[c, 0.0]])
        })
        .collect();
    let beta = correct(&sets).expect("valid").beta;
    assert!((beta[0] - 0.5).abs() < 0.1 && (beta[1] - 1.5).abs() < 0.1, "{beta:?}");
    close(beta[2], 0.0, 0.0);
}

#[test]
fn outliers_dont_move_the_slope() {
    let mut rng = rng(2);
    let sets: Vec<ScoreSet> = (0..300)
        .map(|i| {
            let r = normal(&mut rng);
            let memorised = if i % 20 == 0 { 60.0 } else { 0.0 };
            set(&[0.7 * r + 0.3 * normal(&mut rng) + memorised, 0.0], &[&[r, 0.0]])
        })
        .collect();
    let corrected = correct(&sets).expect("valid");
    assert!((corrected.beta[0] - 0.7).abs() < 0.06, "{:?}", corrected.beta);
    let scale = corrected.units[0].scale();
    assert!((scale - 0.3).abs() < 0.05, "{scale}");
}

#[test]
fn scale_grows_with_length_as_the_noise_does() {
    let mut rng = rng(3);
    let sets: Vec<ScoreSet> = (0..600)
        .map(|i| {
            let tokens = f64::from(4 + (i % 50) * 10);
            let x = normal(&mut rng) * tokens.sqrt();
            ScoreSet::new(vec![x, 0.0], vec![], Some(vec![tokens; 2])).expect("finite")
        })
        .collect();
    let units = correct(&sets).expect("valid").units;
    for at in [0, 25, 49] {
        let tokens = f64::from(4 + at * 10);
        close(units[usize::try_from(at).expect("small")].scale(), tokens.sqrt(), 0.35);
    }
}

#[test]
fn a_scale_survives_zeros_and_constants() {
    let zeros = correct(&vec![set(&[1.0, 1.0], &[&[2.0, 2.0]]); 5]).expect("valid");
    assert!(zeros.units.iter().all(|u| u.x() == 0.0 && u.scale() > 0.0));
    close(zeros.beta[0], 0.0, 0.0);
}

#[test]
fn bad_shapes_are_named() {
    let error = correct(&[set(&[1.0, 2.0], &[]), set(&[1.0, 2.0], &[&[0.0, 1.0]])]);
    assert_eq!(
        error.expect_err("shapes differ").to_string(),
        "set 2 has 1 references, set 1 has 0"
    );
    assert!(Unit::new(&[1.0], 1.0).is_err() && Unit::new(&[1.0, 2.0], 0.0).is_err());
    assert!(Unit::new(&[f64::NAN, 1.0], 1.0).is_err());
    assert!(merge_coin(&[]).is_err());
}

#[test]
fn rows_of_one_coin_become_one_unit() {
    let a = set(&[1.0, 2.0], &[&[3.0, 4.0]]);
    let b = set(&[10.0, 20.0], &[&[30.0, 40.0]]);
    let merged = merge_coin(&[a.clone(), b.clone(), a.clone(), a.clone()]).expect("valid");
    assert_eq!(merged, set(&[11.0, 22.0], &[&[33.0, 44.0]]));
    assert_eq!(merge_coin(std::slice::from_ref(&a)).expect("valid"), a);
    assert!(merge_coin(&[a, set(&[1.0, 2.0, 3.0], &[&[1.0, 2.0, 3.0]])]).is_err());
}

/// Sets of 2 to 4 texts with two references and lengths.
fn any_sets() -> impl Strategy<Value = Vec<(ScoreSet, usize)>> {
    let score = prop_oneof![
        4 => -20.0..20.0_f64,
        1 => (-3_i32..3).prop_map(f64::from),
        1 => -1e6..1e6_f64
    ];
    let one = (2_usize..5).prop_flat_map(move |n| {
        let column = || prop::collection::vec(score.clone(), n);
        (column(), column(), column(), prop::collection::vec(1.0..500.0_f64, n), 0..n).prop_map(
            |(s, a, b, tokens, at)| {
                (ScoreSet::new(s, vec![a, b], Some(tokens)).expect("finite"), at)
            },
        )
    });
    prop::collection::vec(one, 1..60)
}

proptest! {
    /// Relabel any subset of the sets: slopes and scales keep every bit, scores are permuted.
    #[test]
    fn correction_is_blind_to_the_coins(sets in any_sets()) {
        let as_declared: Vec<ScoreSet> = sets.iter().map(|(s, _)| s.clone()).collect();
        let relabelled: Vec<ScoreSet> = sets.iter().map(|(s, at)| relabel(s, *at)).collect();
        let (before, after) = (correct(&as_declared).expect("valid"), correct(&relabelled).expect("valid"));
        prop_assert_eq!(
            before.beta.iter().map(|b| b.to_bits()).collect::<Vec<_>>(),
            after.beta.iter().map(|b| b.to_bits()).collect::<Vec<_>>()
        );
        prop_assert!(before.beta.iter().all(|b| *b >= 0.0));
        for ((u, v), (_, at)) in before.units.iter().zip(&after.units).zip(&sets) {
            prop_assert_eq!(u.scale().to_bits(), v.scale().to_bits());
            let mut scores = u.scores().to_vec();
            scores.swap(0, *at);
            prop_assert_eq!(scores.as_slice(), v.scores());
        }
    }
}

#[test]
fn lengths_are_taken_away_where_they_are_known() {
    // Every token costs 3 nats; nothing else differs between the texts.
    let set = |n_released: f64, n_withheld: f64| {
        ScoreSet::new(
            vec![-3.0 * n_released, -3.0 * n_withheld],
            Vec::new(),
            Some(vec![n_released, n_withheld]),
        )
        .expect("finite scores of one shape")
    };
    let sets: Vec<ScoreSet> =
        (0..40).map(|i| set(10.0 + f64::from(i), 30.0 + f64::from(i * i % 17))).collect();
    let corrected = correct(&sets).expect("sets that agree");
    let slope = corrected.nats_per_token.expect("every set has lengths");
    assert!((slope - 3.0).abs() < 1e-9, "{slope}");
    assert!(corrected.beta.is_empty());
    assert!(corrected.units.iter().all(|u| u.x().abs() < 1e-6));
}
