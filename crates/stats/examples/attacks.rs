//! How badly each known attack or mistake misleads, as a Markdown table.
//!
//! Every line is a simulation of *innocent* suspects, first with the mistake, then as this crate
//! does it. Scores are drawn anew for every file, not only coins. Fixed seeds; the share of files
//! convicted at a nominal 1e-3 unless said otherwise, with the 95% interval of Clopper and Pearson.
//!
//! Run: `cargo run --release -p stillwatch-stats --example attacks [FILES] [size]` (default 1,000
//! files, some minutes; with `size` the first two lines only).

#![expect(clippy::print_stdout, reason = "a table for people")]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{Beta, ContinuousCDF};
use stillwatch_stats::{
    Alpha, EValue, ScoreSet, StatsError, TestParams, TwinsTest, Unit, calibrate, conformal_rank,
    correct, e_bh, mean_e, merge_coin, permuted_mean, product_e, twins_test, twins_test_two_sided,
};

const N_PAIRS: usize = 300;
const N_RESAMPLES: u32 = 9_999;
const ALPHA: f64 = 1e-3;

fn main() -> Result<(), StatsError> {
    let files = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000);
    println!("{files} files per line, nominal {ALPHA}, {N_RESAMPLES} resamples\n");
    println!("| attack or mistake | convicted with it | as done here |");
    println!("| --- | --- | --- |");
    size(files)?;
    if std::env::args().nth(2).is_some_and(|what| what == "size") {
        return Ok(());
    }
    released_side(files)?;
    withheld_side(files)?;
    flattened(files)?;
    duplicated(files)?;
    rigged(files)?;
    products()
}

/// Nothing is wrong: what the test itself costs.
fn size(files: u32) -> Result<(), StatsError> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut hundredth, mut thousandth) = (0, 0);
    for file in 0..files {
        let sets =
            (0..N_PAIRS).map(|_| pair(normal(&mut rng), &[])).collect::<Result<Vec<_>, _>>()?;
        let p = test(&correct(&sets)?.units, file).p_value.value();
        hundredth += u32::from(p <= 0.01);
        thousandth += u32::from(p <= ALPHA);
    }
    line("none (size at 0.01)", "", &share(hundredth, files));
    line("none (size at 0.001)", "", &share(thousandth, files));
    Ok(())
}

/// A reference that shares the suspect's noise with a negative sign and saw the released texts.
fn released_side(files: u32) -> Result<(), StatsError> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut free, mut bounded) = (0, 0);
    for file in 0..files {
        let rows: Vec<(f64, f64)> = (0..N_PAIRS)
            .map(|_| {
                let suspect = normal(&mut rng);
                (suspect, -0.6 * suspect + 0.8 * normal(&mut rng) + 1.0)
            })
            .collect();
        let beta = rows.iter().map(|(s, r)| s * r).sum::<f64>()
            / rows.iter().map(|(_, r)| r * r).sum::<f64>();
        let units =
            rows.iter().map(|(s, r)| Unit::pair(s - beta * r)).collect::<Result<Vec<_>, _>>()?;
        free += u32::from(passes(&test(&units, file)));
        let sets = rows.iter().map(|(s, r)| pair(*s, &[*r])).collect::<Result<Vec<_>, _>>()?;
        bounded += u32::from(passes(&test(&correct(&sets)?.units, file)));
    }
    line(
        "a reference that saw the released side (1 sd, correlation −0.6), slope of any sign",
        &share(free, files),
        &format!("{} (slope ≥ 0)", share(bounded, files)),
    );
    Ok(())
}

/// A reference that saw the withheld texts a little, and shares nearly all of the suspect's noise.
fn withheld_side(files: u32) -> Result<(), StatsError> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut with, mut without, mut own) = (0, 0, 0);
    for file in 0..files {
        let sets = (0..N_PAIRS)
            .map(|_| {
                let shared = normal(&mut rng);
                pair(shared + 0.3 * normal(&mut rng), &[shared - 0.08])
            })
            .collect::<Result<Vec<_>, _>>()?;
        with += u32::from(passes(&test(&correct(&sets)?.units, file)));
        let alone: Vec<ScoreSet> = sets.iter().map(ScoreSet::without_references).collect();
        without += u32::from(passes(&test(&correct(&alone)?.units, file)));
        let reference = sets
            .iter()
            .filter_map(|s| s.references().first())
            .map(|r| ScoreSet::new(r.clone(), Vec::new(), None))
            .collect::<Result<Vec<_>, _>>()?;
        let reference = correct(&reference)?.units;
        own += u32::from(passes(&twins_test_two_sided(&reference, &params(file))));
    }
    line(
        &format!(
            "a reference that saw the withheld side (0.08 sd, correlation 0.96); its own two-sided \
             test rejects {}",
            share(own, files)
        ),
        &format!("{} (slope ≥ 0 doesn't help)", share(with, files)),
        &format!(
            "{} (unless it is older than the coins, it doesn't decide)",
            share(without, files)
        ),
    );
    Ok(())
}

/// K siblings taken for K pairs, or their mean for one sibling with signs flipped.
fn flattened(files: u32) -> Result<(), StatsError> {
    for k in [3, 8] {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let (mut flat, mut within) = (0, 0);
        for file in 0..files {
            let sets = (0..N_PAIRS / k)
                .map(|_| {
                    let scores = (0..=k).map(|_| normal(&mut rng)).collect();
                    ScoreSet::new(scores, Vec::new(), None)
                })
                .collect::<Result<Vec<_>, _>>()?;
            let pairs = sets
                .iter()
                .flat_map(|s| {
                    let (own, others) = s.suspect().split_at(1);
                    others.iter().map(move |o| own.iter().sum::<f64>() - o)
                })
                .map(Unit::pair)
                .collect::<Result<Vec<_>, _>>()?;
            flat += u32::from(permuted_mean(&pairs, &params(file)).value() <= ALPHA);
            within += u32::from(passes(&test(&correct(&sets)?.units, file)));
        }
        line(
            &format!("sets of K = {k} siblings flattened into {k} pairs"),
            &share(flat, files),
            &format!("{} (relabelled within the set)", share(within, files)),
        );
    }
    Ok(())
}

/// Four copies of each pair.
fn duplicated(files: u32) -> Result<(), StatsError> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut copied, mut merged) = (0, 0);
    for file in 0..files {
        let sets =
            (0..N_PAIRS / 4).map(|_| pair(normal(&mut rng), &[])).collect::<Result<Vec<_>, _>>()?;
        let four: Vec<Vec<ScoreSet>> = sets.iter().map(|s| vec![s.clone(); 4]).collect();
        copied += u32::from(passes(&test(&correct(&four.concat())?.units, file)));
        let one = four.iter().map(|rows| merge_coin(rows)).collect::<Result<Vec<_>, _>>()?;
        merged += u32::from(passes(&test(&correct(&one)?.units, file)));
    }
    line(
        "each pair four times",
        &share(copied, files),
        &format!("{} (one coin, one unit)", share(merged, files)),
    );
    Ok(())
}

/// An owner who releases whichever text a public model prefers; suspect and placebo are innocent.
fn rigged(files: u32) -> Result<(), StatsError> {
    for correlation in [0.2, 0.5, 0.9] {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let (mut z, mut convicted, mut caught) = (0.0, 0, 0);
        for file in 0..files {
            let own = f64::sqrt(1.0 - correlation * correlation);
            let rows: Vec<(f64, f64)> = (0..N_PAIRS)
                .map(|_| {
                    let proxy = normal(&mut rng).abs();
                    let suspect = correlation * proxy + own * normal(&mut rng);
                    (suspect, correlation * proxy + own * normal(&mut rng))
                })
                .collect();
            let units = |column: fn(&(f64, f64)) -> f64| {
                let sets = rows.iter().map(|r| pair(column(r), &[])).collect::<Result<Vec<_>, _>>();
                sets.and_then(|sets| correct(&sets)).map(|c| c.units)
            };
            let suspect = test(&units(|r| r.0)?, file);
            let placebo = twins_test_two_sided(&units(|r| r.1)?, &params(file));
            z += suspect.z;
            convicted += u32::from(passes(&suspect));
            caught += u32::from(passes(&suspect) && passes(&placebo));
        }
        line(
            &format!(
                "a coin rigged by a public model, which suspect and placebo resemble with \
                 correlation {correlation}: mean z = {:.1}",
                z / f64::from(files)
            ),
            &share(convicted, files),
            &format!(
                "{} (those convicted whose placebo is silent)",
                share(convicted - caught, files)
            ),
        );
    }
    Ok(())
}

/// Accounts watched for 12 weeks, all innocent; an odd one is odd every week.
fn products() -> Result<(), StatsError> {
    const ACCOUNTS: usize = 2_000;
    let fdr = Alpha::new(0.01)?;
    let (mut multiplied, mut averaged) = (Vec::new(), Vec::new());
    for run in 0..10 {
        let mut rng = ChaCha8Rng::seed_from_u64(100 + run);
        let habits: Vec<f64> = (0..ACCOUNTS).map(|_| normal(&mut rng)).collect();
        let labelled: Vec<f64> = (0..ACCOUNTS).map(|_| normal(&mut rng)).collect();
        let mut weeks: Vec<Vec<EValue>> = vec![Vec::new(); ACCOUNTS];
        for _ in 0..12 {
            let week = |habit: &f64, rng: &mut ChaCha8Rng| 0.8 * habit + 0.6 * normal(rng);
            let calibration: Vec<f64> = labelled.iter().map(|h| week(h, &mut rng)).collect();
            for (own, habit) in weeks.iter_mut().zip(&habits) {
                own.push(calibrate(conformal_rank(&calibration, week(habit, &mut rng))));
            }
        }
        let flagged = |by: fn(&[EValue]) -> EValue| {
            let e: Vec<EValue> = weeks.iter().map(|own| by(own)).collect();
            e_bh(&e, fdr).into_iter().filter(|f| *f).count()
        };
        multiplied.push(flagged(product_e));
        averaged.push(flagged(mean_e));
    }
    let range = |counts: &[usize]| {
        let least = counts.iter().min().copied().unwrap_or(0);
        let most = counts.iter().max().copied().unwrap_or(0);
        format!("{least} to {most} of {ACCOUNTS} flagged")
    };
    line(
        "accounts accused by the product of 12 dependent weekly e-values, FDR 0.01, 10 runs",
        &range(&multiplied),
        &format!("{} (mean over weeks)", range(&averaged)),
    );
    Ok(())
}

fn line(what: &str, with: &str, here: &str) {
    println!("| {what} | {with} | {here} |");
}

/// A share with its exact 95% interval.
fn share(count: u32, of: u32) -> String {
    let (k, n) = (f64::from(count), f64::from(of));
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map_or(f64::NAN, |d| d.inverse_cdf(p));
    let low = if count == 0 { 0.0 } else { quantile(k, n - k + 1.0, 0.025) };
    let high = if count == of { 1.0 } else { quantile(k + 1.0, n - k, 0.975) };
    format!("{:.2}% [{:.2}, {:.2}]", 100.0 * k / n, 100.0 * low, 100.0 * high)
}

fn params(file: u32) -> TestParams {
    TestParams { n_resamples: N_RESAMPLES, seed: u64::from(file) }
}

fn test(units: &[Unit], file: u32) -> TwinsTest {
    twins_test(units, &params(file))
}

fn passes(test: &TwinsTest) -> bool {
    test.p_value.value() <= ALPHA
}

fn pair(d: f64, references: &[f64]) -> Result<ScoreSet, StatsError> {
    ScoreSet::new(vec![d, 0.0], references.iter().map(|r| vec![*r, 0.0]).collect(), None)
}

/// A standard normal value (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
