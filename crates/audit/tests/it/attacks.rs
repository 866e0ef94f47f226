//! The attacks that the method names: each must fail, or cost its author the verdict.

use crate::{
    null::most,
    synth::{Noise, Plan, draw, gaussian},
    verdicts::{params, roles},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use stillwatch_audit::{AuditContext, AuditParams, PowerAnalysis, Role, evaluate};
use stillwatch_evidence::{Coin, Decide, Predates, ScoreRow, ScoreTable, VerdictKind as V};

/// Where only findings count.
fn quick() -> AuditParams {
    AuditParams { power_analysis: PowerAnalysis::Skip, ..params() }
}

fn older(names: &[&str]) -> AuditContext {
    AuditContext { roles: roles(Predates::Declared, names), ..AuditContext::default() }
}

fn unknown_age(names: &[&str]) -> AuditContext {
    AuditContext { roles: roles(Predates::Unknown, names), ..AuditContext::default() }
}

/// Innocents for each attack. Some of them are found by chance, one in a thousand: no seed is
/// chosen, and what is found is held against the binomial law.
const RUNS: u32 = 40;

/// An innocent suspect and a reference that resembles it and has seen one side of each pair.
fn reference_saw(side: f64, seed: u64, effect: f64) -> ScoreTable {
    let plan = Plan { n: 300, references: 1, shared: 0.7, effect, seed, ..Plan::default() };
    let mut table = plan.table();
    for row in &mut table.rows {
        row.references[0][0] += side;
    }
    table
}

#[test]
fn a_reference_that_saw_the_released_side_never_creates_a_finding() {
    let mut without = 0;
    for seed in 0..RUNS {
        let table = reference_saw(1.2, seed.into(), 0.0);
        for context in [older(&["ref1"]), unknown_age(&["ref1"])] {
            let result = evaluate(&table, &context, &quick()).expect("a good table");
            // It is reported as what it is.
            let reference = &result.references[0];
            assert!(reference.own_p_value_two_sided < 1e-6, "{reference:?}");
            let of = |name: &str| result.findings.iter().find(|f| f.test == name);
            match (of("twins"), of("twins_with_references"), of("twins_without_references")) {
                // Said to be older it would decide, but puts the coin in doubt itself.
                (Some(with), None, Some(alone)) => {
                    assert_eq!(result.verdict, V::Inconclusive, "{}", result.sentence);
                    assert!(with.statistic < alone.statistic, "seed {seed}: {with:?}");
                    assert!(with.p_value > Some(0.5), "seed {seed}: {with:?}");
                }
                // Of unknown age it doesn't; what is found then is the test's own size.
                (Some(alone), Some(with), None) => {
                    assert!(with.statistic < alone.statistic, "seed {seed}: {with:?}");
                    assert!(with.p_value > Some(0.5), "seed {seed}: {with:?}");
                    without += u32::from(result.verdict == V::Established);
                }
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
    let allowed = most(RUNS, quick().alpha);
    assert!(without <= allowed, "{without} of {RUNS} innocents, at most {allowed} by chance");
}

#[test]
fn a_reference_that_saw_the_released_side_costs_power_only() {
    // The guilty is found without it; with it the finding is weaker, never of another sign.
    let table = reference_saw(1.2, 3, 1.0);
    let result = evaluate(&table, &unknown_age(&["ref1"]), &quick()).expect("a good table");
    assert_eq!(result.verdict, V::Established, "{}", result.sentence);
    let (without, with) = (&result.findings[0], &result.findings[1]);
    assert_eq!((without.test.as_str(), with.test.as_str()), ("twins", "twins_with_references"));
    assert!(with.statistic < without.statistic, "{} {}", with.statistic, without.statistic);
}

#[test]
fn a_reference_that_saw_the_withheld_side_does_not_decide_unless_it_is_older() {
    let (mut convicted, mut without) = (0, 0);
    for seed in 0..RUNS {
        let table = reference_saw(-0.8, seed.into(), 0.0);
        let result = evaluate(&table, &unknown_age(&["ref1"]), &quick()).expect("a good table");
        without += u32::from(result.verdict == V::Established);
        assert_eq!(result.findings[0].test, "twins");
        assert_eq!(result.findings[1].test, "twins_with_references");
        convicted += u32::from(result.findings[1].p_value < Some(1e-3));
        // Said to be older it would decide; but then its own test puts the coin in doubt.
        let result = evaluate(&table, &older(&["ref1"]), &quick()).expect("a good table");
        assert_eq!(result.verdict, V::Inconclusive, "{}", result.sentence);
    }
    assert!(convicted > RUNS / 2, "the attack is real: {convicted} of {RUNS} with the reference");
    let allowed = most(RUNS, quick().alpha);
    assert!(without <= allowed, "{without} of {RUNS} innocents, at most {allowed} by chance");
}

/// An owner who releases whichever text a public model prefers; the innocent suspect and a
/// placebo both resemble that model.
fn rigged(seed: u64, resemblance: f64) -> ScoreTable {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let own = (1.0 - resemblance * resemblance).sqrt();
    let rows = (0..300)
        .map(|i| {
            let mut proxy: Vec<f64> = (0..2).map(|_| gaussian(&mut rng)).collect();
            if proxy[0] < proxy[1] {
                proxy.reverse();
            }
            let mut like = |proxy: &[f64]| -> Vec<f64> {
                proxy.iter().map(|p| resemblance * p + own * gaussian(&mut rng)).collect()
            };
            ScoreRow {
                id: format!("r{i}"),
                account: None,
                coin: Some(Coin::Server),
                unit: None,
                suspect: like(&proxy),
                references: vec![like(&proxy)],
                n_tokens: None,
            }
        })
        .collect();
    ScoreTable { reference_names: vec!["public".to_owned()], rows, sha256: String::new() }
}

#[test]
fn placebos_catch_a_coin_rigged_by_a_model_they_resemble() {
    for (seed, resemblance) in [(1, 0.5), (2, 0.5), (3, 0.9)] {
        let table = rigged(seed, resemblance);
        let blind = evaluate(&table, &unknown_age(&["public"]), &quick()).expect("a good table");
        assert_eq!(blind.verdict, V::Established, "the attack is real: {}", blind.sentence);
        let context = AuditContext {
            roles: BTreeMap::from([("public".to_owned(), Role::Placebo)]),
            ..AuditContext::default()
        };
        let result = evaluate(&table, &context, &quick()).expect("a good table");
        assert_eq!(result.verdict, V::Inconclusive, "{}", result.sentence);
        assert!(result.sentence.contains("coin is in doubt"), "{}", result.sentence);
        assert!(result.grade.placebos[0].p_value_two_sided < 1e-6);
    }
}

#[test]
fn an_honest_coin_leaves_placebos_alone() {
    let plan = Plan { n: 300, references: 2, effect: 0.8, ..Plan::default() };
    let mut context = older(&["ref1"]);
    context.roles.insert("ref2".to_owned(), Role::Placebo);
    let result = evaluate(&plan.table(), &context, &quick()).expect("a good table");
    assert_eq!(result.verdict, V::Established, "{}", result.sentence);
    assert_eq!(result.grade.placebos.len(), 1);
    assert!(result.grade.placebos[0].p_value_two_sided > 1e-3);
    assert_eq!(result.references.len(), 1, "a placebo is no reference");
}

/// Each pair four times, as rows of one coin.
fn copied(plan: &Plan, with_units: bool) -> ScoreTable {
    let table = plan.table();
    let rows = table
        .rows
        .iter()
        .flat_map(|row| {
            (0..4).map(move |copy| {
                let mut again = row.clone();
                again.id = format!("{}-{copy}", row.id);
                again.unit = with_units.then(|| row.id.clone());
                again
            })
        })
        .collect();
    ScoreTable { rows, ..table }
}

#[test]
fn copies_of_a_pair_are_one_unit() {
    let plan = Plan { n: 60, ..Plan::default() };
    let once = evaluate(&plan.table(), &AuditContext::default(), &quick()).expect("a good table");
    let four =
        evaluate(&copied(&plan, true), &AuditContext::default(), &quick()).expect("a good table");
    assert_eq!(four.n_pairs, 60);
    assert_eq!(once.findings[0].p_value, four.findings[0].p_value);
    let told = |table: &ScoreTable| {
        let result = evaluate(table, &AuditContext::default(), &quick()).expect("a good table");
        result.findings[0].assumptions.iter().any(|a| a.contains("units repeat another's scores"))
    };
    assert!(told(&copied(&plan, false)) && !told(&copied(&plan, true)) && !told(&plan.table()));
    // Without their units copies inflate: the nominal 1% is passed by far more.
    let passing = |with_units: bool| {
        (0..150)
            .filter(|seed| {
                let table = copied(&Plan { n: 40, seed: *seed, ..Plan::default() }, with_units);
                let params = AuditParams { alpha: 0.01, n_resamples: 999, ..quick() };
                let result = evaluate(&table, &AuditContext::default(), &params);
                result.expect("a good table").verdict == V::Established
            })
            .count()
    };
    assert!(passing(false) >= 8, "the attack is real");
    assert!(passing(true) <= 6, "joined by their unit they keep the size");
}

#[test]
fn a_thief_with_few_accounts_does_not_hide_in_the_pool() {
    // Three accounts of twenty, 24 pairs each. The pool alone is weak; the accounts speak.
    let plan = Plan {
        n: 480,
        accounts: 20,
        guilty: vec![2, 9, 13],
        effect: 1.6,
        seed: 5,
        noise: Noise::Gaussian,
        ..Plan::default()
    };
    for decide in [Decide::P, Decide::E] {
        let params = AuditParams {
            decide,
            n_resamples: 99_999,
            power_analysis: PowerAnalysis::Skip,
            stopping: stillwatch_audit::Stopping::AtEnd,
            ..params()
        };
        let result =
            evaluate(&plan.table(), &AuditContext::default(), &params).expect("a good table");
        assert_eq!(result.verdict, V::Established, "{decide:?}: {}", result.sentence);
        assert!(result.sentence.contains("combination over 20 accounts"), "{}", result.sentence);
        let named: Vec<&str> =
            result.accounts.iter().filter(|a| a.rejected).map(|a| a.account.as_str()).collect();
        assert!(!named.is_empty(), "{decide:?}: {}", result.sentence);
        assert!(
            named.iter().all(|n| ["acct-02", "acct-09", "acct-13"].contains(n)),
            "only the guilty are named: {named:?}"
        );
        assert!(result.accounts.iter().all(|a| a.n == 24 && a.pairs_needed > 10));
    }
}

#[test]
fn leaves_that_stay_shut_count_against_the_claim() {
    let table = Plan { n: 60, effect: 0.75, ..Plan::default() }.table();
    let result = |unopened_leaves| {
        let context = AuditContext { unopened_leaves, ..AuditContext::default() };
        evaluate(&table, &context, &quick()).expect("a good table")
    };
    let (open, shut) = (result(0), result(10));
    assert_eq!(open.verdict, V::Established, "{}", open.sentence);
    assert_ne!(shut.verdict, V::Established, "{}", shut.sentence);
    assert_eq!(shut.n_pairs, 70);
    assert!(shut.findings[0].p_value > open.findings[0].p_value);
    assert!(shut.findings[0].log10_e_value < open.findings[0].log10_e_value);
    assert!(shut.findings[0].assumptions.iter().any(|a| a.contains("10 ledger leaves")));
    // They cost power too, and what could have been found says so.
    for decide in [Decide::P, Decide::E] {
        let detectable = |unopened_leaves| {
            let context = AuditContext { unopened_leaves, ..AuditContext::default() };
            let table = Plan { n: 200, ..Plan::default() }.table();
            let params = AuditParams { decide, ..params() };
            let result = evaluate(&table, &context, &params).expect("a good table");
            result.findings[0].min_detectable_effect.expect("pairs enough")
        };
        let (open, shut) = (detectable(0), detectable(12));
        assert!(shut > 1.15 * open, "{decide:?}: {shut} against {open}");
    }
}

#[test]
fn rows_of_equal_scores_stay_as_zeros() {
    let mut table = Plan { n: 80, effect: 0.8, ..Plan::default() }.table();
    for row in table.rows.iter_mut().take(20) {
        row.suspect = vec![-3.5, -3.5];
    }
    let result = evaluate(&table, &AuditContext::default(), &quick()).expect("a good table");
    assert_eq!((result.n_pairs, result.n_set_aside), (80, 0));
    assert!(result.findings[0].assumptions.iter().any(|a| a.starts_with("20 units with equal")));
    for row in &mut table.rows {
        row.suspect = vec![1.0, 1.0];
    }
    let result = evaluate(&table, &AuditContext::default(), &quick()).expect("a good table");
    assert_eq!(result.verdict, V::Inconclusive, "{}", result.sentence);
    assert_eq!(result.findings[0].p_value, Some(1.0));
}

#[test]
fn clients_that_adapt_leave_the_e_process_its_error_rate() {
    // A client who, after each answer, asks harder questions if the last coin fell one way: then
    // magnitudes reveal coins. The e-process in ledger order holds at any alpha.
    let alpha = 0.05;
    let params = AuditParams { alpha, decide: Decide::E, n_resamples: 99, ..quick() };
    let runs: u64 = 300;
    let found = (0..runs)
        .filter(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(*seed);
            let mut size = 1.0;
            let rows = (0..60)
                .map(|i| {
                    let d = draw(Noise::Gaussian, &mut rng) * size;
                    let up = rng.random::<bool>();
                    size = if up == (d > 0.0) { size * 1.3 } else { size / 1.3 };
                    ScoreRow {
                        id: format!("a{i}"),
                        account: None,
                        coin: Some(Coin::Server),
                        unit: None,
                        suspect: if up { vec![d, 0.0] } else { vec![0.0, d] },
                        references: Vec::new(),
                        n_tokens: None,
                    }
                })
                .collect();
            let table = ScoreTable { reference_names: Vec::new(), rows, sha256: String::new() };
            let result = evaluate(&table, &AuditContext::default(), &params);
            result.expect("a good table").verdict == V::Established
        })
        .count();
    // 15 expected at most; 28 is beyond the 99.9% point of Binomial(300, .05).
    assert!(found <= 28, "{found} of {runs}");
}
