//! The size of the whole pipeline: innocents of every kind, and coins thrown again over scores.

use crate::synth::{Noise, Plan};
use crate::verdicts::roles;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use stillwatch_audit::{AuditContext, AuditParams, PowerAnalysis, evaluate};
use stillwatch_evidence::{Coin, Decide, Predates, ScoreTable, read_scores};
use stillwatch_stats::{NullDistribution, ScoreSet, Tail, TestParams, correct, merge_coin, split};

/// Innocents per kind.
const RUNS: u32 = 120;

/// Most findings that a test of size `alpha` shows in `runs` runs, at the 1e-4 level (exact
/// binomial tail).
pub(crate) fn most(runs: u32, alpha: f64) -> u32 {
    let n = f64::from(runs);
    let mut term = (n * (-alpha).ln_1p()).exp();
    let mut below = term;
    let mut k = 0;
    while 1.0 - below > 1e-4 {
        term *= (n - f64::from(k)) / f64::from(k + 1) * alpha / (1.0 - alpha);
        k += 1;
        below += term;
    }
    k
}

#[test]
fn innocents_of_every_kind_keep_the_error_rate() {
    let alpha = 0.05;
    let kinds =
        [Noise::Gaussian, Noise::HeavyTails, Noise::Zeros, Noise::Ties, Noise::Heteroscedastic];
    for noise in kinds {
        for (n, references, k, accounts) in
            [(30, 0, 1, 0), (30, 3, 1, 0), (24, 1, 3, 0), (40, 1, 1, 4), (8, 0, 1, 0)]
        {
            for decide in [Decide::P, Decide::E] {
                let names: Vec<String> = (1..=references).map(|r| format!("ref{r}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let context = AuditContext {
                    roles: roles(Predates::Ledger, &names),
                    ..AuditContext::default()
                };
                let params = AuditParams {
                    alpha,
                    decide,
                    n_resamples: 199,
                    power_analysis: PowerAnalysis::Skip,
                    ..AuditParams::default()
                };
                let found = (0..RUNS)
                    .filter(|seed| {
                        let table = Plan {
                            n,
                            k,
                            noise,
                            references,
                            accounts,
                            seed: u64::from(*seed),
                            ..Plan::default()
                        }
                        .table();
                        let result = evaluate(&table, &context, &params).expect("a good table");
                        let share = result.alpha_split["pooled"];
                        let main = &result.findings[0];
                        // The verdict, and the pooled number at its own share beside it.
                        result.verdict == stillwatch_evidence::VerdictKind::Established
                            || (decide == Decide::P && main.p_value.is_some_and(|p| p <= share))
                    })
                    .count();
                assert!(
                    found <= most(RUNS, alpha) as usize,
                    "{noise:?} n={n} references={references} K={k} accounts={accounts} \
                     {decide:?}: {found} of {RUNS}"
                );
            }
        }
    }
}

#[test]
fn tiny_cases_never_pass_below_what_their_coins_allow() {
    for n in 1..=12usize {
        for seed in 0..6 {
            let table = Plan { n, seed, effect: 30.0, ..Plan::default() }.table();
            let params = AuditParams {
                n_resamples: 199,
                power_analysis: PowerAnalysis::Skip,
                ..AuditParams::default()
            };
            let result = evaluate(&table, &AuditContext::default(), &params).expect("a good table");
            let least = 0.5f64.powi(i32::try_from(n).expect("small"));
            let p = result.findings[0].p_value.expect("a coin was thrown");
            assert!(p >= least * (1.0 - 1e-9), "n = {n}: p = {p}");
            let e = result.findings[0].e_value.expect("a coin was thrown");
            assert!(
                e <= 2f64.powi(i32::try_from(n).expect("small")) * (1.0 + 1e-9),
                "n = {n}: {e}"
            );
        }
    }
}

/// Every score file of the test data.
fn stored_scores() -> Vec<(PathBuf, ScoreTable)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<PathBuf> = fs_err::read_dir(&folder)
        .expect("the folder is part of the project")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "csv"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let table = read_scores(&path).expect("the project's own data can be read");
            (path, table)
        })
        .collect()
}

/// Units of a table, all columns besides the suspect's as references.
fn sets(table: &ScoreTable) -> Vec<ScoreSet> {
    stillwatch_evidence::score_groups(table)
        .iter()
        .map(|group| {
            let rows: Vec<ScoreSet> = group
                .iter()
                .map(|i| {
                    let row = &table.rows[*i];
                    ScoreSet::new(row.suspect.clone(), row.references.clone(), row.n_tokens.clone())
                        .expect("finite scores")
                })
                .collect();
            merge_coin(&rows).expect("rows of one coin agree")
        })
        .collect()
}

/// Coins thrown again over stored scores, at least 1e5 times: how often the pooled p-value falls
/// to alpha or below. It checks the arithmetic, not how the pairs were captured.
#[test]
fn coins_thrown_again_over_stored_scores_keep_the_size() {
    const THROWS: u64 = 100_000;
    let files = stored_scores();
    assert!(!files.is_empty());
    for (path, table) in files {
        let units = correct(&sets(&table)).expect("good scores").units;
        let (unordered, _) = split(&units);
        let params = TestParams { n_resamples: 20_000, seed: 11 };
        let null = NullDistribution::new(&unordered, Tail::Released, &params);
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let mut passed = [0u64; 3];
        let alphas = [0.05, 0.01, 1e-3];
        for _ in 0..THROWS {
            let p = null.p_value(&unordered.throw(&mut rng)).expect("its own orientation");
            for (count, alpha) in passed.iter_mut().zip(alphas) {
                *count += u64::from(p.value() <= alpha);
            }
        }
        for (count, alpha) in passed.into_iter().zip(alphas) {
            // One set of resamples serves all throws, so its own error (one standard deviation is
            // alpha·sqrt((1 − alpha)/(alpha·20,000))) adds to that of the throws: four of both.
            let draws = (alpha * (1.0 - alpha) / 20_000.0).sqrt();
            let throws = (alpha * (1.0 - alpha) / THROWS as f64).sqrt();
            let size = count as f64 / THROWS as f64;
            println!("{}: size at {alpha}: {size}", path.display());
            assert!(
                size <= alpha + 4.0 * draws.hypot(throws),
                "{} at {alpha}: {size}",
                path.display()
            );
        }
    }
}

/// The same through the whole of `evaluate`, verdict and accounts included: fewer throws.
#[test]
fn coins_thrown_again_through_the_whole_pipeline_keep_the_size() {
    let alpha = 0.05;
    let runs = 200;
    for (path, table) in stored_scores() {
        let params = AuditParams {
            alpha,
            n_resamples: 199,
            power_analysis: PowerAnalysis::Skip,
            ..AuditParams::default()
        };
        let context = AuditContext {
            coin: Some(Coin::Server),
            roles: table
                .reference_names
                .iter()
                .map(|n| {
                    (n.clone(), stillwatch_audit::Role::Reference { predates: Predates::Declared })
                })
                .collect(),
            ..AuditContext::default()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        let found = (0..runs)
            .filter(|_| {
                let mut again = table.clone();
                again.rows.truncate(160);
                for row in &mut again.rows {
                    let text = rng.random_range(0..row.suspect.len());
                    row.suspect.swap(0, text);
                    row.references.iter_mut().for_each(|r| r.swap(0, text));
                    if let Some(n) = &mut row.n_tokens {
                        n.swap(0, text);
                    }
                }
                evaluate(&again, &context, &params).expect("good scores").verdict
                    == stillwatch_evidence::VerdictKind::Established
            })
            .count();
        println!("{}: {found} of {runs} at {alpha}", path.display());
        assert!(found <= most(runs, alpha) as usize, "{}: {found} of {runs}", path.display());
    }
}
