//! Policies as they are configured, and the rules that no configuration can lift.

use super::Measure;
use crate::{GuardError, limits::PlanLimits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Families of evidence that a blocking measure needs at least.
pub const BLOCKING_FAMILIES_MIN: u32 = 3;
/// The longest time that a decision holds before it must be made again, hours (90 days).
pub const EXPIRES_HOURS_MAX: f64 = 2160.0;
/// Policies at most.
pub(super) const POLICIES_MAX: usize = 64;

/// One policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// Name, unique.
    pub name: String,
    /// What is done.
    pub measure: Measure,
    /// Whether it only says whom it would hit.
    #[serde(default = "yes")]
    pub dry_run: bool,
    /// Whether a decision waits for a human's approval. Default: for measures that refuse
    /// requests, which can't do without.
    #[serde(default)]
    pub needs_human: Option<bool>,
    /// Whether it applies to the members of flagged campaigns.
    #[serde(default = "yes")]
    pub campaigns: bool,
    /// Whether it applies to flagged accounts that belong to no campaign.
    #[serde(default = "yes")]
    pub accounts: bool,
    /// Families of evidence that an account needs at least. Default: 1 for shadow, 2 for others,
    /// 3 for measures that refuse requests, which can't do with fewer.
    #[serde(default)]
    pub families_min: Option<u32>,
    /// Codes of reasons of which one must be among those measured; empty: any.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Exchanges of an account that must have been seen.
    #[serde(default = "requests_min")]
    pub requests_min: u64,
    /// Plans that it never applies to.
    #[serde(default)]
    pub exempt_plans: Vec<String>,
    /// Accounts that it never applies to.
    #[serde(default)]
    pub exempt_accounts: Vec<String>,
    /// How long a decision holds, hours. It is renewed while what was measured persists.
    #[serde(default = "expires_hours")]
    pub expires_hours: f64,
    /// How long the next milder policy must have been in force for an account first, hours.
    #[serde(default = "dwell_hours")]
    pub dwell_hours: f64,
    /// How many may be hit before it stops.
    #[serde(default)]
    pub budget: BudgetConfig,
    /// `shared_budget`: what the accounts of a campaign may spend together.
    #[serde(default)]
    pub limits: Option<PlanLimits>,
    /// `verification`: where an account verifies itself; `{decision}` becomes the decision's name.
    #[serde(default)]
    pub verification_url: Option<String>,
    /// `verification`: environment variable with the key that signs reports of verification
    /// (`POST /stillwatch/verified`); absent: only an administrator can say so.
    #[serde(default)]
    pub webhook_key_env: Option<String>,
    /// `hold_new_models`: the models that are held; a `*` at the end stands for any rest.
    #[serde(default)]
    pub models: Vec<String>,
    /// `exposure`: what the rate of exposure is multiplied by.
    #[serde(default)]
    pub factor: Option<u32>,
    /// `downgrade`: for each model the one that answers instead; `*` stands for any other.
    #[serde(default)]
    pub instead: BTreeMap<String, String>,
}

/// How many may be hit by one policy, because some of them will be innocent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Share of all known accounts that may be hit by new decisions in 24 hours; further ones
    /// wait for a human.
    pub accounts_share: f64,
    /// Accounts that may be hit in 24 hours however few are known.
    pub accounts_min: u64,
    /// Share of a day's requests (UTC) that may be touched; above it the policy rests until the
    /// day ends. Counted per node, from the thousandth request of the day on.
    pub requests_share: f64,
    /// Granted appeals in 30 days, each of them an innocent who was hit, after which the policy
    /// stops until a human lets it go on.
    pub granted_appeals_max: u32,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            accounts_share: 0.05,
            accounts_min: 10,
            requests_share: 0.25,
            granted_appeals_max: 3,
        }
    }
}

fn yes() -> bool {
    true
}

fn requests_min() -> u64 {
    20
}

fn expires_hours() -> f64 {
    7.0 * 24.0
}

fn dwell_hours() -> f64 {
    24.0
}

fn hours_ms(hours: f64) -> i64 {
    // Bounded by `check`: at most 90 days.
    #[expect(clippy::cast_possible_truncation, reason = "below 2^33 by check")]
    let ms = (hours.clamp(0.0, EXPIRES_HOURS_MAX) * 3_600_000.0).round() as i64;
    ms
}

impl PolicyConfig {
    /// A policy with every default.
    pub fn new(name: &str, measure: Measure) -> Self {
        Self {
            name: name.to_owned(),
            measure,
            dry_run: true,
            needs_human: None,
            campaigns: true,
            accounts: true,
            families_min: None,
            reasons: Vec::new(),
            requests_min: requests_min(),
            exempt_plans: Vec::new(),
            exempt_accounts: Vec::new(),
            expires_hours: expires_hours(),
            dwell_hours: dwell_hours(),
            budget: BudgetConfig::default(),
            limits: None,
            verification_url: None,
            webhook_key_env: None,
            models: Vec::new(),
            factor: None,
            instead: BTreeMap::new(),
        }
    }

    /// What is in force where nothing is configured: shadow, which does nothing but say.
    pub fn defaults() -> Vec<Self> {
        vec![Self { dry_run: false, ..Self::new("shadow", Measure::Shadow) }]
    }

    /// Whether a decision waits for a human.
    pub fn needs_human(&self) -> bool {
        self.measure.blocks() || self.needs_human.unwrap_or(false)
    }

    /// Families of evidence that an account needs.
    pub fn families_min(&self) -> u32 {
        match self.measure {
            measure if measure.blocks() => {
                self.families_min.unwrap_or(0).max(BLOCKING_FAMILIES_MIN)
            }
            Measure::Shadow => self.families_min.unwrap_or(1),
            _ => self.families_min.unwrap_or(2),
        }
    }

    /// How long a decision holds, milliseconds.
    pub fn expires_ms(&self) -> i64 {
        hours_ms(self.expires_hours)
    }

    /// How long the next milder policy must have been in force, milliseconds.
    pub fn dwell_ms(&self) -> i64 {
        hours_ms(self.dwell_hours)
    }

    /// Whether the model is one of those held.
    pub fn holds(&self, model: &str) -> bool {
        self.models.iter().any(|held| match held.strip_suffix('*') {
            Some(start) => model.starts_with(start),
            None => held == model,
        })
    }

    /// The model that answers in place of this one; `None` where it isn't replaced.
    pub fn instead_of(&self, model: &str) -> Option<&str> {
        let other = self.instead.get(model).or_else(|| self.instead.get("*"))?;
        (other != model && !self.instead.values().any(|small| small == model))
            .then_some(other.as_str())
    }

    /// Checks all policies together.
    ///
    /// # Errors
    /// The first setting that can't be, as a path into the configuration.
    pub fn check(policies: &[Self]) -> Result<(), GuardError> {
        if policies.len() > POLICIES_MAX {
            return Err(GuardError::setting(format!(
                "policy: {} of them, expected at most {POLICIES_MAX}",
                policies.len()
            )));
        }
        let mut names = BTreeSet::new();
        for (i, policy) in policies.iter().enumerate() {
            policy
                .check_one(&mut names)
                .map_err(|problem| GuardError::setting(format!("policy[{i}].{problem}")))?;
        }
        Ok(())
    }

    fn check_one<'a>(&'a self, names: &mut BTreeSet<&'a str>) -> Result<(), String> {
        let measure = self.measure;
        if self.name.is_empty() || self.name.len() > 64 || self.name.chars().any(char::is_control) {
            return Err("name: expected 1 to 64 printable characters".to_owned());
        }
        if self.name == super::decision::BY_HAND {
            return Err("name: \"manual\" is taken for decisions made by hand".to_owned());
        }
        if !names.insert(&self.name) {
            return Err(format!("name: {:?} is there twice", self.name));
        }
        if measure.blocks() && self.needs_human == Some(false) {
            return Err(format!(
                "needs_human: {measure} refuses requests, which only a human decides; leave it out"
            ));
        }
        if measure.blocks() && self.families_min.is_some_and(|n| n < BLOCKING_FAMILIES_MIN) {
            return Err(format!(
                "families_min: {measure} refuses requests, which takes at least \
                 {BLOCKING_FAMILIES_MIN} families of evidence"
            ));
        }
        if measure == Measure::SharedBudget && !self.exempt_plans.is_empty() {
            return Err("exempt_plans: a shared budget is of accounts whatever their plan; name \
                        exempt_accounts"
                .to_owned());
        }
        in_range("expires_hours", self.expires_hours, 0.01, EXPIRES_HOURS_MAX)?;
        in_range("dwell_hours", self.dwell_hours, 0.0, EXPIRES_HOURS_MAX)?;
        in_range("budget.accounts_share", self.budget.accounts_share, 0.0, 1.0)?;
        in_range("budget.requests_share", self.budget.requests_share, 0.0, 1.0)?;
        let needed = match measure {
            Measure::SharedBudget if self.limits.is_none() => "limits: expected a table of limits",
            Measure::HoldNewModels if self.models.is_empty() => "models: expected names of models",
            Measure::Downgrade if self.instead.is_empty() => "instead: expected models to replace",
            Measure::Exposure if self.factor.is_none_or(|factor| factor < 2) => {
                "factor: expected 2 or more"
            }
            _ => return self.check_unused(),
        };
        Err(format!("{needed}, which {measure} needs"))
    }

    /// A setting of another measure is a mistake, not a comment.
    fn check_unused(&self) -> Result<(), String> {
        let measure = self.measure;
        for (name, is_set, owner) in [
            ("limits", self.limits.is_some(), Measure::SharedBudget),
            ("verification_url", self.verification_url.is_some(), Measure::Verification),
            ("webhook_key_env", self.webhook_key_env.is_some(), Measure::Verification),
            ("models", !self.models.is_empty(), Measure::HoldNewModels),
            ("factor", self.factor.is_some(), Measure::Exposure),
            ("instead", !self.instead.is_empty(), Measure::Downgrade),
        ] {
            if is_set && measure != owner {
                return Err(format!("{name}: it belongs to {owner}, this measure is {measure}"));
            }
        }
        Ok(())
    }
}

fn in_range(name: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if value.is_finite() && (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name}: it is {value}, expected {low} to {high}"))
    }
}
