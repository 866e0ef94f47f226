//! Accounts: combination, names, the thief who hides in the pool; for p and for e.

use rand::Rng;
use stillwatch_stats::accounts::{
    AccountsParams, AlphaSplit, Coins, accounts_test, combine, decide, decide_e, pairs_needed,
};
use stillwatch_stats::{
    AccountsEProcess, Alpha, EProcessParams, EValue, PValue, ScoreSet, TestParams, Unit,
};

use crate::helpers::{normal, pairs, relabel, rng as seeded};
use crate::simulate::{LAWS, innocent_set, pair};

fn params(alpha: f64) -> AccountsParams {
    AccountsParams {
        alpha: Alpha::new(alpha).expect("in range"),
        split: AlphaSplit::default(),
        test: TestParams { n_resamples: 20_000, seed: 1 },
    }
}

fn ps(values: &[f64]) -> Vec<PValue> {
    values.iter().map(|p| PValue::new(*p)).collect()
}

/// scipy 1.17.1: `w = np.maximum(0, np.log(.1) - np.log(p)).sum(); k = np.arange(1, len(p) + 1)`,
/// `2 * min((binom.pmf(k, len(p), .1) * gamma.sf(w, k)).sum(), len(p) * min(p))`.
#[test]
fn combination_matches_scipy() {
    let mut thief = vec![0.003; 3];
    thief.extend((2..=19).map(|i| f64::from(i) / 20.0).filter(|p| (*p - 0.95).abs() > 0.01));
    assert_eq!(thief.len(), 20);
    let dense: Vec<f64> = [1e-5; 5].into_iter().chain([0.05; 5]).collect();
    let one: Vec<f64> = std::iter::once(1e-8).chain([0.5; 11]).collect();
    for (p, expected) in [
        (thief, 0.004_913_199_068_484_992),
        (vec![0.02, 0.5, 0.9], 0.12),
        (one, 2.4e-7),
        (dense, 8.638_963_709_608_8e-19),
    ] {
        let ours = combine(&ps(&p), Coins::Disjoint).value();
        assert!((ours / expected - 1.0).abs() < 1e-10, "{p:?}: {ours} for {expected}");
    }
    assert!((combine(&ps(&[0.01, 0.5]), Coins::Shared).value() - 0.02).abs() < 1e-15);
    assert_eq!(combine(&[], Coins::Disjoint), PValue::ONE);
    assert_eq!(combine(&ps(&[1.0, 1.0]), Coins::Disjoint), PValue::ONE);
    let tiny = combine(&[PValue::from_ln(-5e3), PValue::from_ln(-6e3)], Coins::Disjoint);
    assert!(tiny.ln() < -1e4 && tiny.ln().is_finite(), "{}", tiny.ln());
}

#[test]
fn combination_is_super_uniform_for_uniform_and_discrete_p() {
    let runs = 100_000;
    for (accounts, steps) in [(3, None), (20, None), (20, Some(32.0))] {
        let mut rng = seeded(2);
        let mut below = [0_u32; 3];
        let levels = [0.1, 0.01, 0.001];
        for _ in 0..runs {
            let p: Vec<PValue> = (0..accounts)
                .map(|_| {
                    let u = 1.0 - rng.random::<f64>();
                    PValue::new(steps.map_or(u, |s: f64| (u * s).ceil() / s))
                })
                .collect();
            let p = combine(&p, Coins::Disjoint).value();
            for (level, count) in levels.iter().zip(&mut below) {
                *count += u32::from(p <= *level);
            }
        }
        for (level, count) in levels.iter().zip(below) {
            let share = f64::from(count) / f64::from(runs);
            let error = 4.0 * (level / f64::from(runs)).sqrt();
            assert!(share <= level + error, "{accounts} accounts at {level}: {share}");
        }
    }
}

/// Family-wise error of verdict and names, with none and with two accounts guilty.
#[test]
fn verdict_and_names_keep_the_family_wise_error() {
    let alpha = Alpha::new(0.05).expect("in range");
    let runs = 40_000;
    for guilty in [0_usize, 2] {
        let mut rng = seeded(3);
        let mut wrong = 0_u32;
        for _ in 0..runs {
            let p: Vec<PValue> = (0..10)
                .map(|a| PValue::new(if a < guilty { 1e-9 } else { 1.0 - rng.random::<f64>() }))
                .collect();
            let pooled = PValue::new(if guilty > 0 { 1e-9 } else { 1.0 - rng.random::<f64>() });
            let decision = decide(pooled, &p, alpha, AlphaSplit::default(), Coins::Disjoint);
            let named_innocent = decision.named[guilty..].contains(&true);
            wrong += u32::from(named_innocent || (guilty == 0 && decision.rejected));
        }
        let share = f64::from(wrong) / f64::from(runs);
        assert!(share <= 0.05 + 4.0 * (0.05 / f64::from(runs)).sqrt(), "{guilty}: {share}");
        assert!(share > 0.03, "{guilty} guilty: needlessly conservative, {share}");
    }
}

/// 20 accounts with 16 pairs each, three of them guilty; returns units and members.
fn thief(seed: u64, shift: f64, n: usize) -> (Vec<f64>, Vec<Vec<usize>>) {
    let mut rng = seeded(seed);
    let mut members = vec![Vec::new(); 20];
    let mut x = Vec::new();
    for index in 0..20 * n {
        let account = index % 20;
        members[account].push(index);
        let own = if [2, 9, 15].contains(&account) { shift } else { 0.0 };
        x.push(normal(&mut rng) + own);
    }
    (x, members)
}

#[test]
fn a_thief_with_three_of_twenty_accounts_is_seen_and_named() {
    let (mut pooled, mut spoke, mut all_named, mut innocents) = (0, 0, 0, 0);
    for seed in 0..12 {
        let (x, members) = thief(seed, 1.15, 16);
        let result = accounts_test(&pairs(&x), &members, &params(1e-3)).expect("members exist");
        assert_eq!(result.coins, Coins::Disjoint);
        pooled += usize::from(result.decision.pooled_spoke);
        spoke += usize::from(result.decision.accounts_spoke);
        let named = |a: &usize| result.accounts[*a].named;
        all_named += [2, 9, 15].iter().filter(|a| named(a)).count();
        innocents += (0..20).filter(|a| ![2, 9, 15].contains(a)).filter(named).count();
    }
    assert!(spoke >= 8, "the combination spoke in {spoke} of 12, the pool in {pooled}");
    assert!(spoke > pooled + 3, "accounts {spoke}, pool {pooled}");
    // 16 pairs are just enough to name anyone among twenty.
    assert!(all_named >= 3, "{all_named} of 36 named");
    assert_eq!(innocents, 0);
}

#[test]
fn the_same_thief_by_e_values() {
    let (mut found, mut named, mut innocents) = (0, 0, 0);
    for seed in 0..12 {
        let (x, members) = thief(seed, 1.15, 40);
        let account_of = |i: usize| members.iter().position(|m| m.contains(&i)).expect("listed");
        let mut e = AccountsEProcess::new(
            20,
            Coins::Disjoint,
            AlphaSplit::default(),
            EProcessParams::default(),
        );
        for (i, x) in x.iter().enumerate() {
            e.push(&pair(*x), &[account_of(i)]).expect("checked set");
        }
        let alpha = Alpha::new(1e-3).expect("in range");
        let decision = e.decide(alpha);
        found += usize::from(decision.rejected);
        named += [2, 9, 15].iter().filter(|a| decision.named[**a]).count();
        innocents +=
            (0..20).filter(|a| ![2, 9, 15].contains(a)).filter(|a| decision.named[*a]).count();
        assert!(!decision.rejected || e.first_crossing(alpha).is_some());
        assert!(e.maximum().ln() >= e.overall().ln());
        assert_eq!(e.n().iter().sum::<usize>(), 800);
    }
    assert!(found >= 11, "{found} of 12");
    assert!(named >= 27, "{named} of 36");
    assert_eq!(innocents, 0);
}

/// All coins of nine sets in three accounts are thrown: every e-value has mean 1, at the end and
/// when an adversary stops.
#[test]
fn every_account_e_value_has_mean_one_over_all_coins() {
    for (law, coins) in
        LAWS.into_iter().flat_map(|law| [(law, Coins::Disjoint), (law, Coins::Shared)])
    {
        const N: usize = 9;
        let mut rng = seeded(6);
        let sets: Vec<ScoreSet> = (0..N).map(|_| innocent_set(law, 1, 1, true, &mut rng)).collect();
        let mut means = [0.0; 4];
        for throw in 0..1_usize << N {
            let mut e = AccountsEProcess::new(
                3,
                coins,
                AlphaSplit::new(0.3).expect("in range"),
                EProcessParams::default(),
            );
            let mut stopped: Option<[f64; 2]> = None;
            for (t, set) in sets.iter().enumerate() {
                let members: &[usize] = match (coins, t % 4) {
                    (_, 3) => &[],
                    (Coins::Shared, 1) => &[1, 2],
                    (_, a) => &[[0], [1], [2]][a],
                };
                let now = e.push(&relabel(set, throw >> t & 1), members).expect("checked").value();
                if !(0.6..1.6).contains(&now) {
                    stopped.get_or_insert([now, e.combination().value()]);
                }
            }
            let [at_stop, combined_at_stop] =
                stopped.unwrap_or([e.overall().value(), e.combination().value()]);
            means[0] += e.accounts()[1].value();
            means[1] += e.overall().value();
            means[2] += at_stop;
            means[3] += combined_at_stop;
        }
        for mean in means.map(|m| m / f64::from(1_u32 << N)) {
            assert!((mean - 1.0).abs() < 1e-9, "{law:?} {coins:?}: {mean}");
        }
    }
}

#[test]
fn accounts_refuse_what_they_cannot_count() {
    let units: Vec<Unit> = pairs(&[1.0, 2.0, -0.5]);
    let test = |members: &[Vec<usize>]| accounts_test(&units, members, &params(0.05));
    for (members, message) in [
        (vec![vec![0, 3]], "account 0 lists unit 3, but there are only 3"),
        (vec![vec![], vec![1, 1]], "account 1 lists unit 1 twice"),
    ] {
        assert_eq!(test(&members).expect_err("bad members").to_string(), message);
    }
    let shared = test(&[vec![0, 1], vec![1, 2], vec![]]).expect("fine");
    assert_eq!(shared.coins, Coins::Shared);
    assert_eq!(shared.accounts[2].n, 0);
    assert_eq!(shared.accounts[2].test.p_value, PValue::ONE);
    let none = test(&[]).expect("fine");
    assert!(none.accounts.is_empty() && !none.decision.rejected);

    let new =
        |coins| AccountsEProcess::new(2, coins, AlphaSplit::default(), EProcessParams::default());
    let mut disjoint = new(Coins::Disjoint);
    for (members, message) in [
        (&[0, 1][..], "a coin counts in 2 accounts although coins were declared disjoint"),
        (&[2], "account 2 is unknown (there are 2) or listed twice"),
    ] {
        assert_eq!(disjoint.push(&pair(1.0), members).expect_err("bad").to_string(), message);
    }
    assert!(new(Coins::Shared).push(&pair(1.0), &[1, 1]).is_err());
    assert!(AlphaSplit::new(1.0).is_err() && AlphaSplit::new(0.0).is_err());
}

#[test]
fn without_accounts_everything_is_the_pool() {
    let mut e =
        AccountsEProcess::new(0, Coins::Disjoint, AlphaSplit::default(), EProcessParams::default());
    for x in [1.0, 2.0, 1.5, -0.3] {
        e.push(&pair(x), &[]).expect("checked set");
    }
    assert_eq!(e.overall(), e.pooled().value());
    let decision = e.decide(Alpha::new(0.9).expect("in range"));
    assert_eq!(decision.rejected, e.pooled().value().value() >= 1.0 / 0.9);
    assert!(decision.named.is_empty());
}

#[test]
fn e_decision_weighs_the_two_by_the_split() {
    let split = AlphaSplit::new(0.25).expect("in range");
    let e = |value: f64| EValue::from_ln(value.ln());
    let alpha = Alpha::new(0.1).expect("in range");
    let decision = decide_e(e(8.0), e(12.0), &[e(30.0), e(1.0)], alpha, split);
    assert!((decision.overall.value() - 11.0).abs() < 1e-12);
    assert!(decision.rejected && !decision.pooled_spoke && !decision.accounts_spoke);
    assert_eq!(decision.named, [true, false]);
    let gate = decide_e(e(1.0), e(1.0), &[e(30.0), e(1.0)], alpha, split);
    assert_eq!(gate.named, [false, false]);
}

/// The number needed is enough, and one fewer is not, when every released text is preferred.
#[test]
fn pairs_needed_is_what_naming_takes() {
    for (alpha, accounts) in [(0.05, 3), (1e-3, 12), (1e-3, 100)] {
        let params = params(alpha);
        let needed = pairs_needed(accounts, 1, &params);
        for (n, expected) in [(needed, true), (needed - 1, false)] {
            let mut rng = seeded(4);
            let units = pairs(&(0..n).map(|_| 1.0 + rng.random::<f64>()).collect::<Vec<_>>());
            let mut members = vec![Vec::new(); accounts];
            members[0] = (0..n).collect();
            let mut result = accounts_test(&units, &members, &params).expect("members exist");
            // Only the account's own evidence: the pool is silent.
            let p: Vec<PValue> = result.accounts.iter().map(|a| a.test.p_value).collect();
            result.decision = decide(PValue::ONE, &p, params.alpha, params.split, Coins::Disjoint);
            assert_eq!(result.decision.named[0], expected, "{accounts} accounts, {n} of {needed}");
            assert_eq!(result.accounts[0].pairs_needed, needed);
        }
    }
}
