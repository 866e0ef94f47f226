//! Drafts: exchangeable by construction, different, and none the parent.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stillwatch_lab::drafts::{DraftParams, draft, drafts_from_seeds, make_drafts};

const PARENT: &str = "Call me Ishmael. Some years ago—never mind how long precisely—having little or \
    no money in my purse, and nothing particular to interest me on shore, I thought I would sail \
    about a little and see the watery part of the world.";

#[test]
fn permuting_the_seeds_permutes_the_drafts() {
    // With seeds drawn independently this identity is exchangeability: the joint law of the
    // drafts is that of the seeds, which no permutation changes.
    let params = DraftParams::default();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..200 {
        let seeds = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        let drafts = drafts_from_seeds(PARENT, &seeds, &params);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let permuted = drafts_from_seeds(PARENT, &order.map(|i| seeds[i]), &params);
            let expected = drafts.as_ref().map(|d| order.map(|i| d[i].clone()).to_vec());
            assert_eq!(permuted, expected);
        }
    }
}

#[test]
fn no_label_is_longer_or_closer_to_the_parent_than_another() {
    // The sets as the demo draws them, rejection included: the mean difference between the first
    // and the last draft of a set is within 4 standard errors of zero for length and for words
    // shared with the parent.
    let params = DraftParams::default();
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let shared = |d: &str| d.split_whitespace().filter(|w| PARENT.contains(w)).count() as f64;
    let mut differences = Vec::new();
    for _ in 0..2_000 {
        let set = make_drafts(PARENT, 3, &mut rng, &params).unwrap();
        let (first, last) = (&set[0], &set[2]);
        differences.push([first.len() as f64 - last.len() as f64, shared(first) - shared(last)]);
    }
    for feature in 0..2 {
        let n = differences.len() as f64;
        let mean = differences.iter().map(|d| d[feature]).sum::<f64>() / n;
        let variance = differences.iter().map(|d| (d[feature] - mean).powi(2)).sum::<f64>() / n;
        assert!(variance > 0.0);
        assert!(mean.abs() < 4.0 * (variance / n).sqrt(), "feature {feature}: {mean}");
    }
}

#[test]
fn drafts_differ_and_none_is_the_parent() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..50 {
        let set = make_drafts(PARENT, 4, &mut rng, &DraftParams::default()).unwrap();
        for (i, a) in set.iter().enumerate() {
            assert_ne!(a, PARENT);
            assert!(set.iter().skip(i + 1).all(|b| a != b));
        }
    }
    let still = DraftParams { reword: 0.0, omit: 0.0, reorder: 0.0, repunctuate: 0.0 };
    // Spaces around its dash are all that a draft without a change differs by from the parent.
    assert_ne!(draft(PARENT, 1, &still), PARENT);
    assert_eq!(drafts_from_seeds(PARENT, &[1], &still), None);
    let error = make_drafts(PARENT, 2, &mut rng, &still).unwrap_err();
    assert!(error.to_string().contains("can't be made"), "{error}");
}

#[test]
fn a_draft_reads_like_a_text() {
    let still = DraftParams { reword: 0.0, omit: 0.0, reorder: 0.0, repunctuate: 0.0 };
    assert_eq!(
        draft("The ship, and the sea; or not.", 1, &still),
        "The ship, and the sea; or not."
    );
    assert_eq!(draft("", 1, &still), "");
    let text = draft(PARENT, 3, &DraftParams::default());
    assert!(text.ends_with('.') && !text.contains("  ") && !text.contains(" ,"), "{text}");
}
