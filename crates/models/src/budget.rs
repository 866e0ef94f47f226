//! Limits on requests, tokens and money, which are never overshot.
//!
//! A [`Meter`] reserves the most that a request can cost before it is sent, and puts back what
//! it did not use afterwards. A request that doesn't fit while others are under way waits for
//! them; one that doesn't fit when nothing is under way is refused. So the sum of what was spent
//! and what is reserved never exceeds a limit, at any concurrency, provided that the estimate
//! before dispatch is an upper bound. Money is counted in whole picodollars, without rounding
//! errors. Who estimates, and what is sent, is left to the endpoint client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Picodollars per dollar. One token at 1 USD per million tokens costs a million of them.
const PICO_PER_USD: f64 = 1e12;
/// Tokens to which prices refer.
const TOKENS_PER_PRICE: f64 = 1e6;

/// What tokens cost, US dollars per 1,000,000 tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// Tokens of the prompt, USD per 1M.
    pub input_usd_per_million: f64,
    /// Tokens of the answer, USD per 1M.
    pub output_usd_per_million: f64,
}

/// Limits on what a model may cost; absent means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    /// Most HTTP requests, retries included.
    pub requests: Option<u64>,
    /// Most tokens, prompt and answer together.
    pub tokens: Option<u64>,
    /// Most US dollars; needs [`Budget::prices`].
    pub usd: Option<f64>,
    /// Prices by which dollars are counted.
    pub prices: Option<Prices>,
}

/// Why a budget can't be kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// A limit or price that is negative or not a number.
    #[error("{field} must be a finite number, 0 or more, got {value}")]
    Value {
        /// Which one.
        field: &'static str,
        /// What was given.
        value: f64,
    },
    /// Dollars without prices.
    #[error("a budget in dollars needs prices: give USD per 1M input and output tokens")]
    NoPrices,
}

/// What was spent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spent {
    /// HTTP requests sent, retries included.
    pub requests: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// US dollars by the given prices; 0 without prices.
    pub usd: f64,
}

/// Tokens of one request: an upper bound before it is sent, the count afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// Tokens of the prompt.
    pub(crate) input_tokens: u64,
    /// Tokens of the answer.
    pub(crate) output_tokens: u64,
}

/// Integer amounts, so that sums are exact.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    requests: u64,
    input: u64,
    output: u64,
    pico: u64,
}

impl Amount {
    fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            pico: self.pico.saturating_add(other.pico),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            input: self.input.saturating_sub(other.input),
            output: self.output.saturating_sub(other.output),
            pico: self.pico.saturating_sub(other.pico),
        }
    }

    fn tokens(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

#[derive(Debug)]
struct State {
    spent: Amount,
    reserved: Amount,
    in_flight: u64,
}

#[derive(Debug)]
struct Shared {
    requests: Option<u64>,
    tokens: Option<u64>,
    pico: Option<u64>,
    input_pico: u64,
    output_pico: u64,
    state: Mutex<State>,
    settled: Notify,
}

/// Keeps a [`Budget`]. Clones share one account, so several models can draw on it.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Shared>);

impl Meter {
    /// Checks the budget and opens the account.
    pub fn new(budget: &Budget) -> Result<Self, BudgetError> {
        let prices = budget.prices.unwrap_or_default();
        for (field, value) in [
            ("the budget in dollars", budget.usd.unwrap_or(0.0)),
            ("the price of input tokens", prices.input_usd_per_million),
            ("the price of output tokens", prices.output_usd_per_million),
        ] {
            if !value.is_finite() || value < 0.0 {
                return Err(BudgetError::Value { field, value });
            }
        }
        if budget.usd.is_some() && budget.prices.is_none() {
            return Err(BudgetError::NoPrices);
        }
        let per_token = |usd: f64| to_count((usd * PICO_PER_USD / TOKENS_PER_PRICE).ceil());
        Ok(Self(Arc::new(Shared {
            requests: budget.requests,
            tokens: budget.tokens,
            pico: budget.usd.map(|usd| to_count((usd * PICO_PER_USD).floor())),
            input_pico: per_token(prices.input_usd_per_million),
            output_pico: per_token(prices.output_usd_per_million),
            state: Mutex::new(State {
                spent: Amount::default(),
                reserved: Amount::default(),
                in_flight: 0,
            }),
            settled: Notify::new(),
        })))
    }

    /// What was spent so far, reservations under way not counted.
    pub fn spent(&self) -> Spent {
        let amount = self.state().spent;
        Spent {
            requests: amount.requests,
            input_tokens: amount.input,
            output_tokens: amount.output,
            usd: amount.pico as f64 / PICO_PER_USD,
        }
    }

    /// Reserves one request of at most `bound` tokens. Waits while it could still fit after
    /// requests under way are settled; an error says which limit is in the way.
    pub(crate) async fn reserve(&self, bound: Usage) -> Result<Reservation, String> {
        let wanted = self.amount(bound);
        loop {
            // Registered before the look at the state: a settlement in between is not missed.
            let settled = self.0.settled.notified();
            {
                let mut state = self.state();
                match self.obstacle(&state, wanted) {
                    None => {
                        state.reserved = state.reserved.plus(wanted);
                        state.in_flight += 1;
                        return Ok(Reservation { meter: self.clone(), held: wanted, open: true });
                    }
                    Some(reason) if state.in_flight == 0 => return Err(reason),
                    Some(_) => {}
                }
            }
            settled.await;
        }
    }

    fn obstacle(&self, state: &State, wanted: Amount) -> Option<String> {
        let total = state.spent.plus(state.reserved).plus(wanted);
        let over = |limit: Option<u64>, total: u64| limit.filter(|&limit| total > limit);
        if let Some(limit) = over(self.0.requests, total.requests) {
            return Some(format!("{limit} requests were allowed and all are used"));
        }
        if let Some(limit) = over(self.0.tokens, total.tokens()) {
            return Some(format!(
                "{limit} tokens were allowed, {} are used, the next request may need {}",
                state.spent.tokens(),
                wanted.tokens()
            ));
        }
        over(self.0.pico, total.pico).map(|limit| {
            format!(
                "{} USD were allowed, {} are used, the next request may cost {}",
                limit as f64 / PICO_PER_USD,
                state.spent.pico as f64 / PICO_PER_USD,
                wanted.pico as f64 / PICO_PER_USD
            )
        })
    }

    fn amount(&self, usage: Usage) -> Amount {
        Amount {
            requests: 1,
            input: usage.input_tokens,
            output: usage.output_tokens,
            pico: (usage.input_tokens.saturating_mul(self.0.input_pico))
                .saturating_add(usage.output_tokens.saturating_mul(self.0.output_pico)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Amounts are updated in one go, so a panic elsewhere leaves them whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, held: Amount, used: Amount) {
        {
            let mut state = self.state();
            state.reserved = state.reserved.minus(held);
            state.spent = state.spent.plus(used);
            state.in_flight = state.in_flight.saturating_sub(1);
        }
        self.0.settled.notify_waiters();
    }
}

/// A reservation under way. Dropped without a word (a timeout, a cut connection: nobody knows
/// what the server counted), all of it counts as spent.
#[derive(Debug)]
pub(crate) struct Reservation {
    meter: Meter,
    held: Amount,
    open: bool,
}

impl Reservation {
    /// The server answered and said what it counted.
    pub(crate) fn used(mut self, usage: Usage) {
        self.open = false;
        self.meter.settle(self.held, self.meter.amount(usage));
    }

    /// The server refused before it worked: the request counts, no tokens.
    pub(crate) fn refused(self) {
        self.used(Usage::default());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.open {
            self.meter.settle(self.held, self.held);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be finite and 0 or more; beyond 64 bits the cast saturates"
)]
fn to_count(value: f64) -> u64 {
    value as u64
}
