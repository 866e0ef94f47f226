//! What can be done about an account, the least harmful first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A countermeasure. The order is that of harm: `a < b` means that `a` harms an innocent less.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
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
    /// Reasoning traces are shortened (opt-in), declared.
    RewriteTraces,
    /// Requests made from the campaign's templates are refused.
    TemplateQuarantine,
    /// Everything is refused; only a human sets it.
    Suspension,
}

impl Measure {
    /// All of them, the least harmful first.
    pub const ALL: [Self; 10] = [
        Self::Shadow,
        Self::StripReasoning,
        Self::SharedBudget,
        Self::Verification,
        Self::HoldNewModels,
        Self::Exposure,
        Self::Downgrade,
        Self::RewriteTraces,
        Self::TemplateQuarantine,
        Self::Suspension,
    ];

    /// Its name in configuration, JSON and headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::StripReasoning => "strip_reasoning",
            Self::SharedBudget => "shared_budget",
            Self::Verification => "verification",
            Self::HoldNewModels => "hold_new_models",
            Self::Exposure => "exposure",
            Self::Downgrade => "downgrade",
            Self::RewriteTraces => "rewrite_traces",
            Self::TemplateQuarantine => "template_quarantine",
            Self::Suspension => "suspension",
        }
    }

    /// The measure of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.name() == name)
    }

    /// Whether it refuses requests. Such a measure needs three families of evidence and the
    /// approval of a human, whatever the configuration says.
    pub const fn blocks(self) -> bool {
        matches!(
            self,
            Self::Verification | Self::HoldNewModels | Self::TemplateQuarantine | Self::Suspension
        )
    }

    /// Whether it is set for a whole campaign or not at all.
    pub const fn is_atomic(self) -> bool {
        matches!(self, Self::TemplateQuarantine | Self::Suspension)
    }

    /// Whether answers say in a header that it was applied. Shadow does nothing to an answer,
    /// a refusal names its decision in its body, and the rate of exposure doesn't alter an
    /// answer and must not be told apart by the client.
    pub const fn is_declared(self) -> bool {
        matches!(self, Self::StripReasoning | Self::Downgrade | Self::RewriteTraces)
    }

    /// What it does, for the account that it is done to.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Shadow => "Nothing is done: it is noted for the operator only.",
            Self::StripReasoning => {
                "Hidden reasoning and log-probabilities are taken out of answers; the final answer \
                 is untouched. Answers say so in the header stillwatch-policy."
            }
            Self::SharedBudget => {
                "The accounts that act together share one budget of requests and tokens."
            }
            Self::Verification => {
                "Requests are refused with status 403 until the account has been verified."
            }
            Self::HoldNewModels => "Requests for the newest models are refused with status 403.",
            Self::Exposure => {
                "More answers are drawn at random from two samples; each answer is still one that \
                 the model gave to this request."
            }
            Self::Downgrade => {
                "A smaller model answers. Answers say so in the header stillwatch-policy."
            }
            Self::RewriteTraces => {
                "Reasoning traces are shortened to their first sentences; the final answer is \
                 untouched. Answers say so in the header stillwatch-policy."
            }
            Self::TemplateQuarantine => {
                "Requests made from the templates of the campaign are refused with status 403."
            }
            Self::Suspension => "All requests are refused with status 403.",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
