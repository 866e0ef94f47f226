//! One e-process per account over common slopes and scale, and one for all accounts together.
//!
//! The pooled e-process is [`EProcess`]; what to do with the values, and the same for p-values,
//! is in [`crate::accounts`].

use crate::accounts::{AlphaSplit, Coins, Decision, decide_e};
use crate::eprocess::{EProcess, EProcessParams, Records};
use crate::eprocess_bets::Wealth;
use crate::multiplicity::{ln_add, ln_sum, mean_e};
use crate::{Alpha, EValue, ScoreSet, StatsError};

/// Pooled, per-account and combined e-processes over one ledger.
///
/// **Account a's e-value**: under "the coins of account a are independent of the suspect and of
/// the references, given all other coins". Its wealth moves only at its own sets, by the factor
/// proved in [`EProcess`]; slopes and scale come from all accounts' earlier sets without their
/// coins, so they are as predictable for a as for the pool, whatever the other accounts did.
///
/// **Combined e-value**, under "no account's coins are in the suspect": with [`Coins::Disjoint`]
/// the mean over ε ∈ {1/A, 2/A, 4/A, …, 1} of `Π_a (1 − ε + ε e_a)`, a bet that each of the A
/// accounts is guilty with probability ε. Each set moves one e_a only, whose conditional
/// expectation given the past is itself, and the product is affine in it: a martingale, so valid
/// at any stopping time. With [`Coins::Shared`] one coin moves several e_a at once and the product
/// isn't a martingale; then it is the plain mean of the e_a, which always is.
#[derive(Debug, Clone)]
pub struct AccountsEProcess {
    pooled: EProcess,
    accounts: Vec<Wealth>,
    n: Vec<usize>,
    coins: Coins,
    split: AlphaSplit,
    /// ln Π_a (1 − ε + ε e_a) for each ε.
    products: Vec<(f64, f64)>,
    records: Records,
    keep_path: bool,
    path: Vec<f64>,
}

impl AccountsEProcess {
    /// All wealths 1. `n_accounts`, `coins` and `split` are fixed before the first set.
    pub fn new(n_accounts: usize, coins: Coins, split: AlphaSplit, params: EProcessParams) -> Self {
        let mut products = Vec::new();
        let mut guilty = 1;
        while guilty < n_accounts {
            products.push((guilty as f64 / n_accounts as f64, 0.0));
            guilty *= 2;
        }
        products.push((1.0, 0.0));
        Self {
            pooled: EProcess::new(params),
            accounts: vec![Wealth::new(); n_accounts],
            n: vec![0; n_accounts],
            coins,
            split,
            products,
            records: Records::default(),
            keep_path: params.keep_path,
            path: Vec::new(),
        }
    }

    /// Settles the next set in ledger order for the pool and for the `accounts` it went to (none,
    /// if unknown); returns the overall e-value after it.
    ///
    /// # Errors
    /// [`StatsError::Shape`] for an account that doesn't exist or is listed twice, for more than
    /// one account under [`Coins::Disjoint`], and as [`EProcess::push`].
    pub fn push(&mut self, set: &ScoreSet, accounts: &[usize]) -> Result<EValue, StatsError> {
        if self.coins == Coins::Disjoint && accounts.len() > 1 {
            return Err(StatsError::Shape(format!(
                "a coin counts in {} accounts although coins were declared disjoint",
                accounts.len()
            )));
        }
        for (position, account) in accounts.iter().enumerate() {
            if *account >= self.accounts.len() || accounts[..position].contains(account) {
                return Err(StatsError::Shape(format!(
                    "account {account} is unknown (there are {}) or listed twice",
                    self.accounts.len()
                )));
            }
        }
        self.pooled.push(set)?;
        for &account in accounts {
            let wealth = &mut self.accounts[account];
            let before = wealth.ln();
            let (z, released) = self.pooled.last_set();
            wealth.settle(z, released);
            self.n[account] += 1;
            let after = wealth.ln();
            for (guilty, product) in &mut self.products {
                *product += ln_stake(*guilty, after) - ln_stake(*guilty, before);
            }
        }
        let overall = self.overall();
        self.records.see(self.pooled.n(), overall.ln());
        if self.keep_path {
            self.path.push(overall.ln());
        }
        Ok(overall)
    }

    /// The pooled e-process.
    pub fn pooled(&self) -> &EProcess {
        &self.pooled
    }

    /// Each account's e-value.
    pub fn accounts(&self) -> Vec<EValue> {
        self.accounts.iter().map(|w| EValue::from_ln(w.ln())).collect()
    }

    /// Sets settled for each account.
    pub fn n(&self) -> &[usize] {
        &self.n
    }

    /// E-value of "no account's coins are in the suspect"; 1 without accounts.
    pub fn combination(&self) -> EValue {
        if self.accounts.is_empty() {
            return EValue::ONE;
        }
        match self.coins {
            Coins::Shared => mean_e(&self.accounts()),
            Coins::Disjoint => {
                let sum = ln_sum(self.products.iter().map(|(_, product)| *product));
                EValue::from_ln(sum - (self.products.len() as f64).ln())
            }
        }
    }

    /// E-value of "independent of all coins": pooled and combined, weighted by the split.
    /// Without accounts it is the pooled one.
    pub fn overall(&self) -> EValue {
        if self.accounts.is_empty() {
            return self.pooled.value();
        }
        EValue::from_ln(ln_add(
            self.pooled.value().ln() + self.split.pooled_share().ln(),
            self.combination().ln() + self.split.accounts_share().ln(),
        ))
    }

    /// The largest overall e-value so far. **Not an e-value**; see [`EProcess::maximum`].
    pub fn maximum(&self) -> EValue {
        EValue::from_ln(self.records.ln_maximum())
    }

    /// Natural logarithm of the overall e-value after each set; empty unless kept.
    pub fn path(&self) -> &[f64] {
        &self.path
    }

    /// After how many sets the overall e-value first reached `1/alpha`.
    pub fn first_crossing(&self, alpha: Alpha) -> Option<usize> {
        self.records.first_at_least(-alpha.ln())
    }

    /// Verdict and names at this stopping time.
    pub fn decide(&self, alpha: Alpha) -> Decision<EValue> {
        let pooled = self.pooled.value();
        let accounts = self.accounts();
        if accounts.is_empty() {
            return decide_e(pooled, pooled, &accounts, alpha, self.split);
        }
        decide_e(pooled, self.combination(), &accounts, alpha, self.split)
    }
}

/// `ln(1 − ε + ε e)`.
fn ln_stake(guilty: f64, ln_e: f64) -> f64 {
    ln_add((1.0 - guilty).ln(), guilty.ln() + ln_e)
}
