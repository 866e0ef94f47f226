//! A million pairs: the closed-form p-value and the e-process, and the twins test at usual sizes.
//!
//! Measured: wall time of one call on an idle core, best of three, on normal differences with a small shift and one
//! reference; fixed seed. The target is one second for both million-pair lines together, in the
//! release profile.
//!
//! Run: `cargo bench -p stillwatch-stats --bench million`

#![expect(clippy::print_stdout, reason = "figures for people")]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use std::time::Instant;
use stillwatch_stats::{
    Alpha, EProcess, EProcessParams, ScoreSet, StatsError, TestParams, Unit, closed_form, correct,
    min_detectable_effect, twins_test,
};

fn main() -> Result<(), StatsError> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let sets = (0..1_000_000).map(|_| set(&mut rng)).collect::<Result<Vec<_>, _>>()?;
    let units = correct(&sets)?.units;
    timed("closed form, 10^6 pairs", || closed_form(&units).log10());
    timed("e-process, 10^6 pairs, one reference", || e_process(&sets));
    timed("correction, 10^6 pairs, one reference", || correct(&sets).map_or(0.0, |c| c.beta[0]));
    for n in [16, 60, 600, 5_000] {
        let few: Vec<Unit> = units.iter().take(n).cloned().collect();
        timed(&format!("twins test, {n} pairs, 100,000 resamples"), || {
            twins_test(&few, &TestParams::default()).p_value.log10()
        });
    }
    let alpha = Alpha::new(1e-3)?;
    for n in [60, 600, 2_000] {
        let few: Vec<Unit> = units.iter().take(n).cloned().collect();
        timed(&format!("minimum detectable effect, {n} pairs"), || {
            let found = min_detectable_effect(&few, alpha, 0.8, &TestParams::default());
            found.unwrap_or(f64::NAN)
        });
    }
    Ok(())
}

fn set(rng: &mut ChaCha8Rng) -> Result<ScoreSet, StatsError> {
    let mut sum = |n: u32| (0..n).map(|_| rng.random::<f64>() - 0.5).sum::<f64>();
    let reference = sum(6);
    ScoreSet::new(
        vec![-50.0 + 0.8 * reference + sum(6) + 0.02, -50.0],
        vec![vec![-60.0 + reference, -60.0]],
        None,
    )
}

fn e_process(sets: &[ScoreSet]) -> f64 {
    let params = EProcessParams { keep_path: false, ..EProcessParams::default() };
    let mut process = EProcess::new(params);
    for set in sets {
        if process.push(set).is_err() {
            return f64::NAN;
        }
    }
    process.value().log10()
}

fn timed(what: &str, run: impl Fn() -> f64) {
    let mut best = f64::INFINITY;
    let mut result = 0.0;
    for _ in 0..3 {
        let start = Instant::now();
        result = black_box(run());
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{what}: {best:.3} s (result, its log10 if a p- or e-value: {result:.2})");
}
