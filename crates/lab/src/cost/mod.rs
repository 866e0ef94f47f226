//! Is a claimed price of training plausible, and what would buying the answers have cost?
//!
//! Responsible for arithmetic on published figures: C = 6·N·D (Kaplan et al. 2020, arXiv
//! 2001.08361) with the attention term beside it, GPU-hours, money, the utilisation that a claim
//! needs, and the price of a harvest from an API with the fine-tuning after it. It answers with
//! ranges, names what a figure leaves out, and refuses impossible input without a number. It
//! says nothing of what anybody really paid; figures and their sources are in [`registry`].

mod answer;
mod harvest;
mod number;
mod page;
mod question;
pub mod registry;
mod text;

pub use answer::{Claim, Compute, CostReport, DollarRow, Estimate, Range, UsedFigure, answer};
pub use harvest::{Fetched, Harvest};
pub use number::{dollars, parse_count, parse_range, parse_share_range, scientific};
pub use page::html;
pub use question::{CostParams, Question};
pub use text::in_words;

use serde::{Deserialize, Serialize};

/// Number format of a peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// bfloat16.
    Bf16,
    /// 8-bit floating point.
    Fp8,
}

impl Precision {
    /// Its name in print.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bf16 => "BF16",
            Self::Fp8 => "FP8",
        }
    }
}

/// How the utilisation that a claim needs compares with what is known to have been reached.
///
/// Shares of the dense BF16 peak. Dense runs report 38 to 43% (Llama 3.1); 60% of BF16 is 30% of
/// FP8 on chips whose FP8 peak is twice as high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// Below 15%: more GPU-hours than needed.
    Slack,
    /// 15 to 45%.
    Plausible,
    /// 45 to 60%: as good as the best that is known.
    Record,
    /// Above 60%.
    Implausible,
}

impl Band {
    /// Upper ends of the bands, shares of the BF16 peak.
    pub const ENDS: [(f64, Self); 4] = [
        (0.15, Self::Slack),
        (0.45, Self::Plausible),
        (0.60, Self::Record),
        (1.00, Self::Implausible),
    ];

    /// The band of a share of the BF16 peak.
    pub fn of(share: f64) -> Self {
        Self::ENDS
            .into_iter()
            .find(|(end, _)| share < *end)
            .map_or(Self::Implausible, |(_, band)| band)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Plausible => "plausible",
            Self::Record => "record",
            Self::Implausible => "implausible",
        }
    }
}

/// Why there is no answer. No variant prints a computed price.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// A name that isn't in the registry.
    #[error("no {what} named {name:?}: known are {}", known.join(", "))]
    Unknown {
        /// GPU, model or price.
        what: &'static str,
        /// What was asked.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Something needed was not given.
    #[error("{0} is missing: give it, or name a model of the registry")]
    Missing(&'static str),
    /// A number that can't be.
    #[error("{field} = {value} can't be: {expected}")]
    Field {
        /// The flag.
        field: &'static str,
        /// What was given.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// More parameters are active than there are.
    #[error(
        "more parameters are active for a token than the model has: --params-active is at most --params-total"
    )]
    MoreActiveThanTotal,
    /// The GPU has no such arithmetic.
    #[error("{gpu} has no {precision} peak: give --precision bf16, or another GPU")]
    NoPeak {
        /// Label of the GPU.
        gpu: String,
        /// The precision.
        precision: &'static str,
    },
    /// The claim needs more than the chip can do.
    #[error(
        "the claim is impossible: {gpu} at 100% of its {precision} peak doesn't reach that many operations in so few GPU-hours; look at parameters, tokens and hours again"
    )]
    Impossible {
        /// Label of the GPU.
        gpu: String,
        /// The precision.
        precision: &'static str,
    },
    /// The shipped registry can't be read: a defect.
    #[error("the shipped registry: {0}")]
    Registry(String),
}
