//! An owner who owns the coin can rig it; the placebo is what catches that.

use stillwatch_stats::{
    EProcess, EProcessParams, ScoreSet, TestParams, correct, twins_test, twins_test_two_sided,
};

use crate::helpers::{normal, rng as seeded};

/// Scores of the suspect and of a public model for two texts, the "coin" having chosen whichever
/// text a public base model prefers. The suspect has never seen either text.
fn rigged(seed: u64, n: usize, correlation: f64) -> (Vec<ScoreSet>, Vec<ScoreSet>) {
    let mut rng = seeded(seed);
    (0..n)
        .map(|_| {
            let base = normal(&mut rng).abs();
            let mut like = |r: f64| r * base + (1.0 - r * r).sqrt() * normal(&mut rng);
            let (suspect, placebo) = (like(correlation), like(0.8));
            let set = |d: f64| ScoreSet::new(vec![d, 0.0], Vec::new(), None).expect("finite");
            (set(suspect), set(placebo))
        })
        .unzip()
}

/// METHOD's simulation: z = 6.9 against an innocent suspect at correlation .5, n = 300. p and e
/// are both exact under *their* null, which the rigged coin breaks: they convict. The placebo,
/// a public model whose weights predate the coins, takes the same test two-sided and rejects.
#[test]
fn the_placebo_catches_a_coin_rigged_by_a_proxy() {
    let params = TestParams { n_resamples: 20_000, seed: 1 };
    for seed in 0..5 {
        let (suspect, placebo) = rigged(seed, 300, 0.5);
        let units = correct(&suspect).expect("same shape").units;
        assert!(twins_test(&units, &params).p_value.value() < 1e-3, "the attack works");
        let mut e = EProcess::new(EProcessParams::default());
        for set in &suspect {
            e.push(set).expect("checked set");
        }
        assert!(e.maximum().value() > 1e3, "on the e-process too");
        let placebo = correct(&placebo).expect("same shape").units;
        assert!(twins_test_two_sided(&placebo, &params).p_value.value() < 1e-3, "seed {seed}");
    }
}
