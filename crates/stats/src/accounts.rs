//! Whose traffic is in the model: the verdict over all accounts and the names of some.
//!
//! A thief with few accounts hides in the pool: three guilty ones among twenty leave the pooled
//! test at p = .38 with .003 for each of the three. So the error rate is split beforehand
//! ([`AlphaSplit`]) between the pooled test and a combination over accounts. The p-values of
//! accounts come from the twins test on each account's units; e-values from one e-process each.

use crate::multiplicity::{bonferroni, e_holm_adjusted, holm_adjusted, ln_add};
use crate::{
    Alpha, ENUMERATED_OUTCOMES_MAX, EValue, PValue, RESAMPLED_SHARE, StatsError, TestParams,
    TwinsTest, Unit, twins_test,
};

/// How alpha is divided, before any score is seen, between the pooled test and the accounts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlphaSplit {
    pooled: f64,
}

impl Default for AlphaSplit {
    /// Half and half.
    fn default() -> Self {
        Self { pooled: 0.5 }
    }
}

impl AlphaSplit {
    /// `pooled` is the pooled test's share, in the open interval (0, 1).
    ///
    /// # Errors
    /// [`StatsError::Alpha`] outside it.
    pub fn new(pooled: f64) -> Result<Self, StatsError> {
        Alpha::new(pooled).map(|share| Self { pooled: share.value() })
    }

    /// The pooled test's share of the error rate.
    pub fn pooled_share(self) -> f64 {
        self.pooled
    }

    /// The accounts' share of the error rate.
    pub fn accounts_share(self) -> f64 {
        1.0 - self.pooled
    }
}

/// Whether any coin was thrown for texts that went to more than one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coins {
    /// Each coin belongs to one account, so under the null the accounts' p-values are independent.
    Disjoint,
    /// Some coin counts in several accounts; nothing is assumed of their dependence.
    Shared,
}

/// The verdict over all accounts and which of them are named.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<V> {
    /// Combination over accounts, for "no account's coins are in the suspect".
    pub combination: V,
    /// Pooled and combined value together, after the split: compare with alpha.
    pub overall: V,
    /// Whether "independent of all coins" is rejected at alpha.
    pub rejected: bool,
    /// Whether the pooled test alone, at its share, rejects.
    pub pooled_spoke: bool,
    /// Whether the combination alone, at its share, rejects.
    pub accounts_spoke: bool,
    /// Each account's value adjusted for all accounts: compare with alpha.
    pub adjusted: Vec<V>,
    /// Accounts that are named, family-wise at alpha.
    pub named: Vec<bool>,
}

/// Soft threshold of the many-accounts half of [`combine`].
const SOFT_THRESHOLD: f64 = 0.1;

/// P-value of "no account's coins are in the suspect" from one p-value per account.
///
/// With [`Coins::Disjoint`], twice the smaller of Bonferroni's `A · min p` (one guilty account)
/// and the soft-thresholded Fisher test `W = Σ_a max(0, ln 0.1 − ln p_a)` (several; Zhang, Tong,
/// Landers and Wu 2020, Ann. Appl. Stat. 14:1246). Under the null, given the unordered sets, the
/// accounts' coins and so their p-values are independent and super-uniform; W falls as any p
/// rises, so `P(W ≥ w)` is at most its value for uniform ones:
/// `Σ_k C(A, k) 0.1^k 0.9^{A−k} P(Gamma(k) ≥ w)`, in closed form, exact however small. That is
/// the joint calibration under common flips without its Monte Carlo floor.
///
/// With [`Coins::Shared`], Bonferroni, which needs no independence.
///
/// Why this one: power at 5e-4 (`examples/accounts_power.rs`; A accounts, g guilty, shift chosen
/// per row), Σ z₊² standing for joint calibrations:
///
/// ```text
///    A   g  min p  Simes  Fisher  Σ z₊²   W(.1)  Berk-Jones  mean e   this
///   12   1    .65    .65     .26    .43     .50         .52     .65    .60
///   12   3    .44    .45     .69    .76     .78         .66     .48    .73
///   20   1    .63    .63     .17    .35     .44         .48     .63    .59
///   20   3    .47    .48     .58    .74     .78         .65     .50    .74
///   20   6    .26    .26     .82    .85     .83         .74     .30    .79
///   20  20    .05    .05     .98    .92     .75         .87     .06    .69
///  100   1    .66    .66     .03    .08     .15         .45     .66    .60
///  100   5    .54    .55     .47    .76     .88         .77     .60    .86
///  100  20    .11    .11     .97    .98     .97         .90     .13    .95
/// ```
///
/// It is within 10% of the best wherever few are guilty; where most are, the pooled test speaks.
pub fn combine(p: &[PValue], coins: Coins) -> PValue {
    match coins {
        Coins::Shared => bonferroni(p),
        Coins::Disjoint => {
            let best = bonferroni(p).ln().min(soft_fisher(p).ln());
            PValue::from_ln(best + 2.0_f64.ln())
        }
    }
}

/// Soft-thresholded Fisher combination of independent p-values; see [`combine`].
fn soft_fisher(p: &[PValue]) -> PValue {
    let w: f64 = p.iter().map(|p| (SOFT_THRESHOLD.ln() - p.ln()).max(0.0)).sum();
    if w <= 0.0 {
        return PValue::ONE;
    }
    if w == f64::INFINITY {
        return PValue::from_ln(f64::NEG_INFINITY);
    }
    let n = p.len() as f64;
    // ln P(N = k) and ln P(Gamma(k) ≥ w) = −w + ln Σ_{j < k} w^j / j!, both by recursion in k.
    let mut ln_count = n * (-SOFT_THRESHOLD).ln_1p();
    let mut ln_term = -w;
    let mut ln_tail = f64::NEG_INFINITY;
    let mut ln_p = f64::NEG_INFINITY;
    for k in 1..=p.len() {
        let k = k as f64;
        ln_count += ((n - k + 1.0) / k).ln() + (SOFT_THRESHOLD / (1.0 - SOFT_THRESHOLD)).ln();
        ln_tail = ln_add(ln_tail, ln_term);
        ln_term += (w / k).ln();
        ln_p = ln_add(ln_p, ln_count + ln_tail);
    }
    PValue::from_ln(ln_p)
}

/// Verdict and names from p-values, family-wise at `alpha`.
///
/// Overall p-value: `min(p_pooled / share, p_combination / (1 − share))`, a weighted Bonferroni.
/// An account is named if the overall null falls **and** Holm rejects the account at `alpha`.
/// Together the family-wise error is at most `alpha`: where all accounts are innocent, any error
/// needs the overall null to fall, at most `alpha`; where some are guilty, the overall null is
/// false and only Holm can err, at most `alpha` (a closed test).
pub fn decide(
    pooled: PValue,
    accounts: &[PValue],
    alpha: Alpha,
    split: AlphaSplit,
    coins: Coins,
) -> Decision<PValue> {
    let combination = combine(accounts, coins);
    let pooled_ln = pooled.ln() - split.pooled_share().ln();
    let accounts_ln = combination.ln() - split.accounts_share().ln();
    let overall = PValue::from_ln(pooled_ln.min(accounts_ln));
    let rejected = overall.ln() <= alpha.ln();
    let adjusted = holm_adjusted(accounts);
    Decision {
        combination,
        overall,
        rejected,
        pooled_spoke: pooled_ln <= alpha.ln(),
        accounts_spoke: accounts_ln <= alpha.ln(),
        named: adjusted.iter().map(|p| rejected && p.ln() <= alpha.ln()).collect(),
        adjusted,
    }
}

/// Verdict and names from e-values, family-wise at `alpha`.
///
/// `combination` is an e-value for "no account's coins are in the suspect" (from the accounts'
/// e-processes, or [`crate::mean_e`], which needs no independence). Overall e-value: the mean of
/// pooled and combination weighted by the split, which reaches `1/alpha` whenever one of them
/// reaches 1/(its share). Names by closed testing over means ([`crate::e_holm`]), if the overall
/// null falls; the argument is that of [`decide`].
pub fn decide_e(
    pooled: EValue,
    combination: EValue,
    accounts: &[EValue],
    alpha: Alpha,
    split: AlphaSplit,
) -> Decision<EValue> {
    let pooled_ln = pooled.ln() + split.pooled_share().ln();
    let accounts_ln = combination.ln() + split.accounts_share().ln();
    let overall = EValue::from_ln(ln_add(pooled_ln, accounts_ln));
    let threshold = -alpha.ln();
    let rejected = overall.ln() >= threshold;
    let adjusted = e_holm_adjusted(accounts);
    Decision {
        combination,
        overall,
        rejected,
        pooled_spoke: pooled_ln >= threshold,
        accounts_spoke: accounts_ln >= threshold,
        named: adjusted.iter().map(|e| rejected && e.ln() >= threshold).collect(),
        adjusted,
    }
}

/// What a test of accounts needs to know beforehand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccountsParams {
    /// Family-wise error rate of verdict and names together.
    pub alpha: Alpha,
    /// How alpha is divided between the pooled test and the combination over accounts.
    pub split: AlphaSplit,
    /// Resampling; each account draws from a stream of its own, and more often than the pool
    /// where its share of alpha asks for it (up to a total that takes a second or two).
    pub test: TestParams,
}

/// One account's own test.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountTest {
    /// Units whose released text this account received.
    pub n: usize,
    /// The twins test on these units alone.
    pub test: TwinsTest,
    /// p-value adjusted for all accounts (Holm): compare with alpha.
    pub adjusted: PValue,
    /// Whether the account is named, family-wise at alpha.
    pub named: bool,
    /// Units that this account would need before it could be named on its own evidence.
    pub pairs_needed: usize,
}

/// Pooled test, one test per account, and what follows from all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountsTest {
    /// The twins test on all units.
    pub pooled: TwinsTest,
    /// One entry per account, in the order given.
    pub accounts: Vec<AccountTest>,
    /// Whether some unit counts in several accounts; decided from the input.
    pub coins: Coins,
    /// The verdict over all.
    pub decision: Decision<PValue>,
}

/// The twins test pooled and for each account, with verdict and names at `params.alpha`.
///
/// `accounts[a]` lists the positions in `units` of the units that went to account a; a position
/// may appear in several accounts (then nothing is assumed of their dependence) or in none.
///
/// **Null of account a**: given all other coins and the unordered scores, the coins of a's units
/// are independent of the suspect and the references. The p-value is then one by the argument of
/// [`twins_test`] restricted to those units; that the slopes came from all units doesn't matter,
/// as they don't know any coin. See [`decide`] for the family-wise error.
///
/// # Errors
/// [`StatsError::Shape`] for a position that doesn't exist or is listed twice in one account.
pub fn accounts_test(
    units: &[Unit],
    accounts: &[Vec<usize>],
    params: &AccountsParams,
) -> Result<AccountsTest, StatsError> {
    let coins = coins_of(units.len(), accounts)?;
    let pooled = twins_test(units, &params.test);
    let n_resamples = resamples_per_account(accounts.len(), params);
    let mut tests = Vec::with_capacity(accounts.len());
    for (members, stream) in accounts.iter().zip(1..) {
        let own: Vec<Unit> = members.iter().filter_map(|&i| units.get(i)).cloned().collect();
        let test = TestParams { n_resamples, seed: stream_seed(params.test.seed, stream) };
        let k = own.iter().map(Unit::k).min().unwrap_or(1);
        tests.push((own.len(), k, twins_test(&own, &test)));
    }
    let p: Vec<PValue> = tests.iter().map(|(_, _, test)| test.p_value).collect();
    let decision = decide(pooled.p_value, &p, params.alpha, params.split, coins);
    let results = decision.adjusted.iter().zip(&decision.named);
    let accounts = tests
        .into_iter()
        .zip(results)
        .map(|((n, k, test), (adjusted, named))| AccountTest {
            n,
            test,
            adjusted: *adjusted,
            named: *named,
            pairs_needed: pairs_needed(accounts.len(), k, params),
        })
        .collect();
    Ok(AccountsTest { pooled, accounts, coins, decision })
}

/// Whether any of `n_units` coins counts in several accounts.
fn coins_of(n_units: usize, accounts: &[Vec<usize>]) -> Result<Coins, StatsError> {
    let mut last_account = vec![None; n_units];
    let mut coins = Coins::Disjoint;
    for (account, members) in accounts.iter().enumerate() {
        for &position in members {
            let Some(last) = last_account.get_mut(position) else {
                return Err(StatsError::Shape(format!(
                    "account {account} lists unit {position}, but there are only {n_units}"
                )));
            };
            match last.replace(account) {
                None => {}
                Some(before) if before == account => {
                    return Err(StatsError::Shape(format!(
                        "account {account} lists unit {position} twice"
                    )));
                }
                Some(_) => coins = Coins::Shared,
            }
        }
    }
    Ok(coins)
}

/// Resamples over all accounts together that take a second or two.
const RESAMPLES_TOTAL: f64 = 1e7;
/// Resamples per account, as a multiple of one over the share of alpha that names it.
const RESAMPLES_OVER_SHARE: f64 = 3.0;

/// At least the requested number; more where the floor of resampling would be above the share.
fn resamples_per_account(n_accounts: usize, params: &AccountsParams) -> u32 {
    let n = n_accounts.max(1) as f64;
    let share = params.alpha.value() * params.split.accounts_share() / (2.0 * n);
    let wanted = (RESAMPLES_OVER_SHARE / share).min(RESAMPLES_TOTAL / n);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1e7 at most")]
    let wanted = wanted as u32;
    wanted.max(params.test.n_resamples)
}

/// Seed of an account's own stream (the finaliser of splitmix64: Steele, Lea and Flood 2014).
fn stream_seed(seed: u64, stream: u64) -> u64 {
    let mut z = seed.wrapping_add(stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Sets of K + 1 texts that one account among `n_accounts` needs before it can be named by its
/// own evidence alone, even if the suspect prefers every one of its released texts.
///
/// Alone it must carry the combination, so its share of alpha is
/// `alpha · (accounts' share) / (2 A)` ([`combine`] doubles, Bonferroni divides by A), which also
/// passes Holm. The smallest p-value of n sets is `(K + 1)^-n` where all outcomes are enumerated;
/// beyond, the floor of resampling or the closed form's `3 (K + 1)^-n`, each at its own share.
pub fn pairs_needed(n_accounts: usize, k: usize, params: &AccountsParams) -> usize {
    let share = params.alpha.ln() + params.split.accounts_share().ln()
        - (2.0 * n_accounts.max(1) as f64).ln();
    let sides = ((k.max(1) + 1) as f64).ln();
    let enumerated = (ENUMERATED_OUTCOMES_MAX as f64).ln();
    let n_resamples = f64::from(resamples_per_account(n_accounts, params));
    let resampled = -(1.0 + n_resamples).ln() - RESAMPLED_SHARE.ln();
    let least_ln_p = |n: usize| {
        let all = -(n as f64) * sides;
        // A little slack where n sets have exactly as many outcomes as are enumerated.
        if -all <= enumerated + 1e-9 {
            all
        } else {
            resampled.min(all + 3.0_f64.ln() - (1.0 - RESAMPLED_SHARE).ln())
        }
    };
    let mut n = 1;
    while least_ln_p(n) > share {
        n += 1;
    }
    n
}
