//! Settings of the capture.

use crate::GuardError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Capture of exposures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExposureConfig {
    /// Share of eligible requests that are exposed, 0 to 1. With 0 nothing is exposed.
    pub rate: f64,
    /// Other shares for some models or plans; the first that fits counts.
    pub rates: Vec<RateConfig>,
    /// Models that answer greedily unless a request sets a temperature: their twins would be
    /// the same.
    pub greedy_models: Vec<String>,
    /// Most tokens a day (UTC) that exposed requests may cost, both texts together.
    pub tokens_per_day: u64,
    /// Most requests that are being exposed at once.
    pub concurrent_max: usize,
    /// A text that takes longer is left out with its twin, milliseconds. The client is served
    /// on.
    pub slot_timeout_ms: u64,
    /// Seconds between two signed heads of the ledger.
    pub epoch_s: u64,
    /// Days for which texts are kept. Older exposures can't be opened any more, so an audit must
    /// not ask about them. Absent: for ever.
    pub keep_days: Option<u32>,
    /// Marks of released texts that are remembered, so that no later request with a passage of
    /// one is exposed; about 100 for a text of 1,000 characters. A mark takes 9 to 18 bytes of
    /// memory; the newest half is remembered for certain.
    pub released_marks_max: usize,
    /// What becomes of a request that is to be exposed while the ledger can't be written.
    pub on_ledger_failure: OnLedgerFailure,
}

/// Another share for some requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// The model; a `*` at the end stands for any ending. Absent: all.
    #[serde(default)]
    pub model: Option<String>,
    /// The account's plan. Absent: all.
    #[serde(default)]
    pub plan: Option<String>,
    /// Share of eligible requests that are exposed, 0 to 1.
    pub rate: f64,
}

/// What becomes of a request that is to be exposed while the ledger can't be written, for
/// instance because the disk is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLedgerFailure {
    /// It is served without being exposed; counted, and said in a header and by `/healthz`.
    #[default]
    ServeUnexposed,
    /// It is refused with status 503.
    Refuse,
}

impl Default for ExposureConfig {
    fn default() -> Self {
        Self {
            rate: 0.01,
            rates: Vec::new(),
            greedy_models: Vec::new(),
            tokens_per_day: 10_000_000,
            concurrent_max: 32,
            slot_timeout_ms: 900_000,
            epoch_s: 3_600,
            keep_days: None,
            released_marks_max: 1 << 20,
            on_ledger_failure: OnLedgerFailure::ServeUnexposed,
        }
    }
}

impl ExposureConfig {
    /// Whether anything can be exposed.
    pub fn is_on(&self) -> bool {
        self.rate > 0.0 || self.rates.iter().any(|other| other.rate > 0.0)
    }

    /// The share for this model and plan.
    pub fn rate_for(&self, model: &str, plan: &str) -> f64 {
        let fits = |other: &&RateConfig| {
            other.model.as_deref().is_none_or(|pattern| matches(pattern, model))
                && other.plan.as_deref().is_none_or(|name| name == plan)
        };
        self.rates.iter().find(fits).map_or(self.rate, |other| other.rate)
    }

    /// Whether a model answers greedily unless told otherwise.
    pub(super) fn is_greedy(&self, model: &str) -> bool {
        self.greedy_models.iter().any(|pattern| matches(pattern, model))
    }

    /// Checks what the types don't say.
    ///
    /// # Errors
    /// The key, and what was expected.
    pub fn check(&self) -> Result<(), GuardError> {
        let share = |key: String, rate: f64| {
            if (0.0..=1.0).contains(&rate) {
                Ok(())
            } else {
                Err(GuardError::setting(format!("{key}: {rate} is no share, expected 0 to 1")))
            }
        };
        share("exposure.rate".to_owned(), self.rate)?;
        for (i, other) in self.rates.iter().enumerate() {
            share(format!("exposure.rates[{i}].rate"), other.rate)?;
        }
        let positive = |key: &str, value: u64| {
            if value > 0 {
                Ok(())
            } else {
                Err(GuardError::setting(format!("exposure.{key}: 0, expected at least 1")))
            }
        };
        positive("slot_timeout_ms", self.slot_timeout_ms)?;
        positive("epoch_s", self.epoch_s)?;
        positive("concurrent_max", self.concurrent_max as u64)?;
        positive("released_marks_max", self.released_marks_max as u64)?;
        positive("keep_days", u64::from(self.keep_days.unwrap_or(1)))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rate_that_fits_counts() {
        let other = |model: Option<&str>, plan: Option<&str>, rate| RateConfig {
            model: model.map(str::to_owned),
            plan: plan.map(str::to_owned),
            rate,
        };
        let config = ExposureConfig {
            rates: vec![
                other(Some("big-*"), Some("free"), 0.5),
                other(None, Some("free"), 0.2),
                other(Some("small"), None, 0.0),
            ],
            ..ExposureConfig::default()
        };
        for (model, plan, rate) in [
            ("big-1", "free", 0.5),
            ("big-1", "paid", 0.01),
            ("small", "free", 0.2),
            ("small", "paid", 0.0),
            ("", "default", 0.01),
        ] {
            assert_eq!(
                config.rate_for(model, plan).to_bits(),
                f64::to_bits(rate),
                "{model} {plan}"
            );
        }
        assert!(config.check().is_ok());
        assert!(ExposureConfig { rate: 1.5, ..config.clone() }.check().is_err());
        assert!(ExposureConfig { rate: f64::NAN, ..config }.check().is_err());
    }
}
