//! Power of ways to combine accounts' p-values, the pooled test, and the e-values.
//!
//! `cargo run --release -p stillwatch-stats --example accounts_power [REPETITIONS]`. The first
//! table gives each combination its exact critical value at 5e-4 by simulation of uniform
//! p-values, then its power where g of A accounts are guilty with a shift in z. The second
//! runs the whole thing on pairs: who speaks at alpha 1e-3, split in halves.
#![expect(clippy::print_stdout, reason = "an example that prints tables")]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal};
use stillwatch_stats::accounts::{AccountsParams, AlphaSplit, Coins, accounts_test, combine};
use stillwatch_stats::{
    AccountsEProcess, Alpha, EProcessParams, PValue, ScoreSet, TestParams, Unit, bonferroni,
    calibrate, mean_e, simes,
};

/// The accounts' share of 1e-3.
const LEVEL: f64 = 5e-4;

/// Larger is more evidence.
type Combination = (&'static str, fn(&[f64]) -> f64);

const COMBINATIONS: [Combination; 8] = [
    ("min p", |z| -bonferroni(&p_values(z)).ln()),
    ("Simes", |z| -simes(&p_values(z)).ln()),
    ("Fisher", |z| -p_values(z).iter().map(|p| p.ln()).sum::<f64>()),
    ("sum z+^2", |z| z.iter().map(|z| z.max(0.0).powi(2)).sum()),
    ("W(.1)", |z| p_values(z).iter().map(|p| (0.1_f64.ln() - p.ln()).max(0.0)).sum()),
    ("mean e", |z| mean_e(&p_values(z).iter().map(|p| calibrate(*p)).collect::<Vec<_>>()).ln()),
    ("bet on share", |z| {
        let e: Vec<f64> = p_values(z).iter().map(|p| calibrate(*p).value()).collect();
        let share = |s: f64| e.iter().map(|e| 1.0 - s + s * e).product::<f64>();
        [0.02, 0.05, 0.1, 0.2, 0.5, 1.0].map(share).iter().sum()
    }),
    ("combine()", |z| -combine(&p_values(z), Coins::Disjoint).ln()),
];

const CASES: [(usize, usize, f64); 9] = [
    (12, 1, 4.3),
    (12, 3, 3.0),
    (20, 1, 4.4),
    (20, 3, 3.2),
    (20, 6, 2.4),
    (20, 20, 1.25),
    (100, 1, 4.8),
    (100, 5, 3.3),
    (100, 20, 1.9),
];

fn p_values(z: &[f64]) -> Vec<PValue> {
    let normal = Normal::standard();
    z.iter().map(|z| PValue::new(normal.sf(*z))).collect()
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn combinations(repetitions: usize) {
    println!("power at {LEVEL}\n");
    print!("   A   g  shift");
    for (name, _) in COMBINATIONS {
        print!("  {name:>12}");
    }
    println!();
    for (accounts, guilty, shift) in CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut draw = |guilty: usize| -> [f64; 8] {
            let z: Vec<f64> = (0..accounts)
                .map(|a| normal(&mut rng) + if a < guilty { shift } else { 0.0 })
                .collect();
            COMBINATIONS.map(|(_, statistic)| statistic(&z))
        };
        let innocent: Vec<[f64; 8]> = (0..40 * repetitions).map(|_| draw(0)).collect();
        let found: Vec<[f64; 8]> = (0..repetitions).map(|_| draw(guilty)).collect();
        print!("{accounts:>4}{guilty:>4}{shift:>7.2}");
        for index in 0..COMBINATIONS.len() {
            let mut null: Vec<f64> = innocent.iter().map(|row| row[index]).collect();
            null.sort_unstable_by(f64::total_cmp);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a length"
            )]
            let exceed = (LEVEL * null.len() as f64) as usize;
            let critical = null[null.len() - 1 - exceed];
            let hits = found.iter().filter(|row| row[index] > critical).count();
            print!("  {:>12.2}", hits as f64 / repetitions as f64);
        }
        println!();
    }
}

fn whole(repetitions: usize) -> Result<(), Box<dyn std::error::Error>> {
    let alpha = Alpha::new(1e-3)?;
    let split = AlphaSplit::default();
    println!("\nwhole test at 1e-3: pairs per account n, shift d per pair of the g guilty ones");
    println!("p: pooled, accounts, either, named of the guilty | e: the same\n");
    for (accounts, guilty, n, shift) in [
        (20, 3, 16, 1.15),
        (20, 3, 40, 0.8),
        (12, 3, 60, 0.7),
        (20, 20, 16, 0.25),
        (20, 1, 40, 1.0),
    ] {
        let mut counts = [0_usize; 8];
        for seed in 0..repetitions as u64 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut members = vec![Vec::new(); accounts];
            let mut units = Vec::new();
            let mut e =
                AccountsEProcess::new(accounts, Coins::Disjoint, split, EProcessParams::default());
            for index in 0..accounts * n {
                let account = index % accounts;
                let x = normal(&mut rng) + if account < guilty { shift } else { 0.0 };
                members[account].push(index);
                units.push(Unit::pair(x)?);
                e.push(&ScoreSet::new(vec![x, 0.0], Vec::new(), None)?, &[account])?;
            }
            let params =
                AccountsParams { alpha, split, test: TestParams { n_resamples: 20_000, seed } };
            let p = accounts_test(&units, &members, &params)?.decision;
            let e = e.decide(alpha);
            let named = |named: &[bool]| named[..guilty].iter().filter(|n| **n).count();
            let now = [
                usize::from(p.pooled_spoke),
                usize::from(p.accounts_spoke),
                usize::from(p.rejected),
                named(&p.named),
                usize::from(e.pooled_spoke),
                usize::from(e.accounts_spoke),
                usize::from(e.rejected),
                named(&e.named),
            ];
            counts.iter_mut().zip(now).for_each(|(count, now)| *count += now);
        }
        let share = |i: usize| {
            let of = if i % 4 == 3 { repetitions * guilty } else { repetitions };
            counts[i] as f64 / of as f64
        };
        println!(
            "A {accounts:>3} g {guilty:>2} n {n:>2} d {shift:.2}: p {:.2} {:.2} {:.2} {:.2} | e {:.2} {:.2} {:.2} {:.2}",
            share(0),
            share(1),
            share(2),
            share(3),
            share(4),
            share(5),
            share(6),
            share(7)
        );
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let repetitions = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2_000);
    combinations(repetitions);
    whole(repetitions.div_ceil(20))
}
