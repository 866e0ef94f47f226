//! Power of the e-process against single adaptive bets, and its cost per set.
//!
//! `cargo run --release -p stillwatch-stats --example e_power [REPETITIONS]` prints the share of
//! runs whose e-value reached 1,000 within n pairs. The rivals get the same standardisation
//! (median magnitude of the pairs so far) and their usual parameters.
#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stillwatch_stats::{EProcess, EProcessParams, ScoreSet, StatsError};

const THRESHOLD: f64 = 1000.0;

#[derive(Clone, Copy)]
enum Law {
    Gaussian,
    StudentT2,
    Outliers,
    Zeros,
}

/// Law, pairs, shift in units of the law's scale.
const CASES: [(&str, Law, usize, f64); 14] = [
    ("gaussian", Law::Gaussian, 40, 0.85),
    ("gaussian", Law::Gaussian, 100, 0.5),
    ("gaussian", Law::Gaussian, 300, 0.27),
    ("gaussian", Law::Gaussian, 600, 0.19),
    ("t2", Law::StudentT2, 40, 1.3),
    ("t2", Law::StudentT2, 100, 0.75),
    ("t2", Law::StudentT2, 300, 0.4),
    ("t2", Law::StudentT2, 600, 0.28),
    ("2% outliers", Law::Outliers, 300, 8.0),
    ("2% outliers", Law::Outliers, 600, 8.0),
    ("70% zeros", Law::Zeros, 40, 2.2),
    ("70% zeros", Law::Zeros, 100, 1.2),
    ("70% zeros", Law::Zeros, 300, 0.55),
    ("70% zeros", Law::Zeros, 600, 0.37),
];

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn draw(law: Law, shift: f64, rng: &mut ChaCha8Rng) -> f64 {
    let g = normal(rng);
    match law {
        Law::Gaussian => g + shift,
        Law::StudentT2 => g / (-(1.0 - rng.random::<f64>()).ln()).sqrt() + shift,
        Law::Outliers => g + if rng.random::<f64>() < 0.02 { shift } else { 0.0 },
        Law::Zeros => {
            if rng.random::<f64>() < 0.7 {
                0.0
            } else {
                g + shift
            }
        }
    }
}

/// Running median of magnitudes, by insertion.
#[derive(Default)]
struct Median(Vec<f64>);

impl Median {
    fn scale(&mut self, x: f64) -> f64 {
        if x != 0.0 {
            let at = self.0.partition_point(|m| *m < x.abs());
            self.0.insert(at, x.abs());
        }
        self.0.get(self.0.len() / 2).map_or(1.0, |m| m / 0.6745)
    }
}

/// Approximate growth-rate-adaptive bets (Waudby-Smith and Ramdas 2024), on scores in [−1, 1].
struct Agrapa {
    sum: f64,
    squares: f64,
    n: f64,
    ln: f64,
}

impl Agrapa {
    fn settle(&mut self, v: f64) -> f64 {
        let mean = self.sum / self.n;
        let bet = (mean / (self.squares / self.n + mean * mean)).clamp(0.0, 0.9);
        self.ln += (bet * v).ln_1p();
        self.squares += (v - mean).powi(2);
        self.sum += v;
        self.n += 1.0;
        self.ln
    }
}

/// Online Newton step (Cutkosky and Orabona 2018), on scores in [−1, 1].
struct Newton {
    bet: f64,
    curvature: f64,
    ln: f64,
}

impl Newton {
    fn settle(&mut self, v: f64) -> f64 {
        self.ln += (self.bet * v).ln_1p();
        let gradient = -v / (1.0 + self.bet * v);
        self.curvature += gradient * gradient;
        let step = 2.0 / (2.0 - 3.0_f64.ln()) * gradient / self.curvature;
        self.bet = (self.bet - step).clamp(0.0, 0.5);
        self.ln
    }
}

fn main() -> Result<(), StatsError> {
    let repetitions =
        std::env::args().nth(1).and_then(|text| text.parse::<u32>().ok()).unwrap_or(1000);
    println!("share of {repetitions} runs with e >= {THRESHOLD} within n pairs\n");
    println!("law           n  shift  mixture  aGRAPA  aGRAPA-sign  ONS");
    for (name, law, n, shift) in CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
        let mut hits = [0_u32; 4];
        for _ in 0..repetitions {
            let mut process = EProcess::new(EProcessParams::default());
            let mut median = Median::default();
            let agrapa = || Agrapa { sum: 0.0, squares: 0.25, n: 1.0, ln: 0.0 };
            let (mut clipped, mut signs) = (agrapa(), agrapa());
            let mut newton = Newton { bet: 0.0, curvature: 1.0, ln: 0.0 };
            let mut best = [0.0_f64; 4];
            for _ in 0..n {
                let x = draw(law, shift, &mut rng);
                process.push(&ScoreSet::new(vec![x / 2.0, -x / 2.0], Vec::new(), None)?)?;
                let v = (x / median.scale(x)).clamp(-2.0, 2.0) / 2.0;
                let sign = if x == 0.0 { 0.0 } else { x.signum() };
                let now =
                    [process.value().ln(), clipped.settle(v), signs.settle(sign), newton.settle(v)];
                best.iter_mut().zip(now).for_each(|(best, now)| *best = best.max(now));
            }
            for (hit, best) in hits.iter_mut().zip(best) {
                *hit += u32::from(best >= THRESHOLD.ln());
            }
        }
        let share = |hit: u32| f64::from(hit) / f64::from(repetitions);
        println!(
            "{name:<12}{n:>4}{shift:>7.2}{:>9.2}{:>8.2}{:>13.2}{:>5.2}",
            share(hits[0]),
            share(hits[1]),
            share(hits[2]),
            share(hits[3])
        );
    }
    cost()
}

/// Nanoseconds per pair, without and with one reference.
fn cost() -> Result<(), StatsError> {
    for n_references in [0, 1] {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sets = (0..200_000)
            .map(|_| {
                let mut pair = || vec![normal(&mut rng), normal(&mut rng)];
                let suspect = pair();
                ScoreSet::new(suspect, (0..n_references).map(|_| pair()).collect(), None)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut process = EProcess::new(EProcessParams::default());
        let start = Instant::now();
        for set in &sets {
            process.push(set)?;
        }
        let nanos = start.elapsed().as_secs_f64() * 1e9 / sets.len() as f64;
        println!("{n_references} references: {nanos:.0} ns per pair");
    }
    Ok(())
}
