//! Countermeasures: what is done about an account, in the order of least harm, and why.
//!
//! Each is a policy with a dry run, a time limit, a reason code, an appeal's name and a budget
//! of innocent hits. Nothing alters a final answer silently: what is altered is declared in a
//! header and in the terms. What was measured comes from `traffic`; [`engine`] makes decisions of
//! it, [`Policies`] keeps them and answers for each request what is done, [`alter`] does it to an
//! answer, [`public`] tells the account and takes its appeal. Limits are enforced elsewhere.

pub mod admin;
pub mod alter;
pub mod appeal;
mod book;
mod config;
pub mod decision;
pub mod dry_run;
pub mod engine;
mod error;
mod measure;
mod pages;
pub mod public;
mod record;
mod run;
mod service;
mod snapshot;
mod subjects;
mod template;
pub mod terms;
pub mod webhook;

pub use book::Book;
pub use config::{BLOCKING_FAMILIES_MIN, BudgetConfig, EXPIRES_HOURS_MAX, PolicyConfig};
pub use decision::{Decision, DecisionState};
pub use error::PolicyError;
pub use measure::Measure;
pub(crate) use run::spawn;
pub use service::Policies;

/// What is done to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    /// The request is refused.
    pub refusal: Option<Refusal>,
    /// Reasoning and log-probabilities are taken out.
    pub strip_reasoning: bool,
    /// Reasoning is shortened and log-probabilities are taken out.
    pub shorten_reasoning: bool,
    /// Another model answers.
    pub downgrade_to: Option<String>,
    /// The rate of exposure is multiplied by this.
    pub exposure_factor: Option<u32>,
    /// Declared in `stillwatch-policy` headers: name of the measure and the decision.
    pub declared: Vec<(Measure, String)>,
    /// Only noted (shadow and dry runs), told to nobody but the operator.
    pub noted: Vec<(Measure, String)>,
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
