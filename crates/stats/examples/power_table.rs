//! Power of the primary statistic against its ingredients, as a Markdown table.
//!
//! Measured: share of simulated audits with p ≤ 1e-2 and p ≤ 1e-3, for pairs (K = 1) whose
//! differences are normal, t with two degrees of freedom, normal with twelve pairs memorised (2% of
//! 600; fewer can't reach 1e-3 by themselves) by 6 to 15 standard deviations, or mostly zeros; sizes n = 40 … 600. The last column is the primary statistic's power
//! over that of the best of signed ranks, permuted mean and signs. Fixed seeds.
//!
//! Run: `cargo run --profile ci -p stillwatch-stats --example power_table [SIMULATIONS [DIFFERENCES [N]]]`

#![expect(clippy::print_stdout, reason = "a table for people")]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stillwatch_stats::{
    TestParams, Unit, Zeros, permuted_mean, sign_test, signed_rank, twins_test,
};

const ALPHAS: [f64; 2] = [1e-2, 1e-3];
const N_RESAMPLES: u32 = 20_000;

fn main() {
    let simulations = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100);
    println!("{simulations} simulations per row, {N_RESAMPLES} resamples; power at 1e-2 / 1e-3\n");
    println!(
        "| differences | n | signed ranks | permuted mean | signs | primary | primary / best |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let only_family = std::env::args().nth(2);
    let only_n: Option<usize> = std::env::args().nth(3).and_then(|n| n.parse().ok());
    for family in FAMILIES {
        if only_family.as_ref().is_some_and(|only| only != family) {
            continue;
        }
        for n in [40, 100, 250, 600].into_iter().filter(|n| only_n.is_none_or(|o| o == *n)) {
            row(family, n, simulations);
        }
    }
}

const FAMILIES: [&str; 8] = [
    "normal",
    "t, 2 d.o.f.",
    "12 memorised, 6 sd",
    "12 memorised, 8 sd",
    "12 memorised, 15 sd",
    "60% zeros, normal",
    "60% zeros, t, 2 d.o.f.",
    "80% zeros, t, signs only",
];

fn row(family: &str, n: usize, simulations: u32) {
    let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
    let mut counts = [[0.0_f64; 2]; 4];
    for seed in 0..simulations {
        let x = differences(family, n, &mut rng);
        let units: Vec<Unit> = x.iter().filter_map(|v| Unit::pair(*v).ok()).collect();
        let params = TestParams { n_resamples: N_RESAMPLES, seed: u64::from(seed) };
        let p = [
            signed_rank(&x, Zeros::Pratt),
            permuted_mean(&units, &params),
            sign_test(&x),
            twins_test(&units, &params).p_value,
        ];
        for (count, p) in counts.iter_mut().zip(p) {
            for (c, alpha) in count.iter_mut().zip(ALPHAS) {
                *c += f64::from(u8::from(p.value() <= alpha)) / f64::from(simulations);
            }
        }
    }
    let [ranks, mean, signs, primary] = counts;
    let ratio = |a: usize| primary[a] / ranks[a].max(mean[a]).max(signs[a]);
    let cell = |c: [f64; 2]| format!("{:.2} / {:.2}", c[0], c[1]);
    println!(
        "| {family} | {n} | {} | {} | {} | {} | {:.2} / {:.2} |",
        cell(ranks),
        cell(mean),
        cell(signs),
        cell(primary),
        ratio(0),
        ratio(1)
    );
}

fn differences(family: &str, n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let root = (n as f64).sqrt();
    let memorised = 12;
    let outlier = |i: usize, size: f64| if i < memorised { size } else { 0.0 };
    (0..n)
        .map(|i| match family {
            "normal" => normal(rng) + 3.9 / root,
            "t, 2 d.o.f." => t2(rng) + 6.0 / root,
            "12 memorised, 6 sd" => normal(rng) + outlier(i, 6.0),
            "12 memorised, 8 sd" => normal(rng) + outlier(i, 8.0),
            "12 memorised, 15 sd" => normal(rng) + outlier(i, 15.0),
            "60% zeros, normal" => nonzero(rng, 0.4, |r| normal(r) + 3.9 / (0.4_f64.sqrt() * root)),
            "60% zeros, t, 2 d.o.f." => {
                nonzero(rng, 0.4, |r| t2(r) + 6.0 / (0.4_f64.sqrt() * root))
            }
            _ => nonzero(rng, 0.2, |r| {
                let up = r.random_bool((0.5 + 1.95 / (0.2_f64.sqrt() * root)).min(1.0));
                t2(r).abs() * if up { 1.0 } else { -1.0 }
            }),
        })
        .collect()
}

fn nonzero(rng: &mut ChaCha8Rng, share: f64, draw: impl Fn(&mut ChaCha8Rng) -> f64) -> f64 {
    if rng.random_bool(share) { draw(rng) } else { 0.0 }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn t2(rng: &mut ChaCha8Rng) -> f64 {
    let exponential: f64 = -(1.0 - rng.random::<f64>()).ln();
    normal(rng) / exponential.sqrt()
}
