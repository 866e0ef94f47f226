//! What a plan allows and what a model costs.

use super::bucket::Rate;
use super::{Cost, LimitsConfig, PlanLimits, Price};
use crate::keys::DEFAULT_PLAN;
use std::collections::BTreeMap;
use std::sync::Arc;

const MINUTE_MS: f64 = 60_000.0;
const DAY_MS: f64 = 86_400_000.0;
/// Names of the three buckets.
pub(super) const KINDS: [&str; 3] = ["requests", "tokens", "money"];

/// Rates of requests, tokens and money; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates(pub(super) [Option<Rate>; 3]);

impl Rates {
    pub(super) fn new(limits: &PlanLimits) -> Self {
        let per = |amount: Option<u64>, ms| amount.map(|amount| Rate::per(amount.max(1), ms));
        Self([
            per(limits.requests_per_minute, MINUTE_MS),
            per(limits.tokens_per_minute, MINUTE_MS),
            per(limits.micros_per_day, DAY_MS),
        ])
    }

    pub(super) fn is_unlimited(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// Plans by name. The admin API's go before the configuration's.
#[derive(Debug, Default)]
pub(super) struct Plans {
    by_name: BTreeMap<String, (PlanLimits, Arc<Rates>)>,
}

impl Plans {
    /// Plans, the later ones before the earlier. Rates that stay the same stay the same object.
    pub(super) fn new(
        plans: impl IntoIterator<Item = (String, PlanLimits)>,
        before: &Self,
    ) -> Self {
        let mut by_name = BTreeMap::new();
        for (name, limits) in plans {
            let rates = match before.by_name.get(&name) {
                Some((known, rates)) if *known == limits => Arc::clone(rates),
                _ => Arc::new(Rates::new(&limits)),
            };
            by_name.insert(name, (limits, rates));
        }
        Self { by_name }
    }

    /// The rates of a plan; of `default` where there is none of that name.
    pub(super) fn rates(&self, plan: &str) -> Option<&Arc<Rates>> {
        let found = self.by_name.get(plan).or_else(|| self.by_name.get(DEFAULT_PLAN));
        found.map(|(_, rates)| rates).filter(|rates| !rates.is_unlimited())
    }

    /// All plans.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &PlanLimits)> {
        self.by_name.iter().map(|(name, (limits, _))| (name, limits))
    }
}

/// What models cost.
#[derive(Debug)]
pub(super) struct Prices {
    exact: BTreeMap<String, Price>,
    /// Beginnings of names, the longest first.
    beginnings: Vec<(String, Price)>,
}

impl Prices {
    pub(super) fn new(config: &LimitsConfig) -> Self {
        let mut beginnings: Vec<(String, Price)> = config
            .price
            .iter()
            .filter_map(|(name, price)| Some((name.strip_suffix('*')?.to_owned(), *price)))
            .collect();
        beginnings.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { exact: config.price.clone(), beginnings }
    }

    /// The price of a model: of its name, else of the longest beginning (`gpt-4*`).
    pub(super) fn of(&self, model: &str) -> Price {
        let beginning = || self.beginnings.iter().find(|(name, _)| model.starts_with(name));
        let found = self.exact.get(model).or_else(|| beginning().map(|(_, price)| price));
        found.copied().unwrap_or_default()
    }
}

impl Price {
    /// Amounts for the three buckets.
    pub(super) fn amounts(self, cost: Cost) -> [f64; 3] {
        let million = |tokens: u64, price: u64| tokens as f64 * price as f64 / 1e6;
        let micros = million(cost.prompt_tokens, self.prompt_micros_per_million)
            + million(cost.completion_tokens, self.completion_micros_per_million);
        [1.0, cost.prompt_tokens.saturating_add(cost.completion_tokens) as f64, micros.ceil()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_that_of_the_name_or_of_its_longest_beginning() {
        let price = |n| Price { prompt_micros_per_million: n, completion_micros_per_million: 0 };
        let names = [("*", 1), ("gpt-*", 2), ("gpt-4*", 3), ("gpt-4o", 4)];
        let prices = Prices::new(&LimitsConfig {
            price: names.iter().map(|(name, n)| ((*name).to_owned(), price(*n))).collect(),
            ..LimitsConfig::default()
        });
        for (model, n) in [("gpt-4o", 4), ("gpt-4o-mini", 3), ("gpt-3", 2), ("llama", 1)] {
            assert_eq!(prices.of(model), price(n), "{model}");
        }
        assert_eq!(Prices::new(&LimitsConfig::default()).of("x"), Price::default());
        let price = Price {
            prompt_micros_per_million: 2_500_000,
            completion_micros_per_million: 10_000_000,
        };
        let cost = Cost { prompt_tokens: 1_000, completion_tokens: 101 };
        let amounts = price.amounts(cost);
        let is_right = |(a, b): (&f64, f64)| (a - b).abs() < 1e-9;
        assert!(amounts.iter().zip([1.0, 1_101.0, 3_510.0]).all(is_right), "{amounts:?}");
    }
}
