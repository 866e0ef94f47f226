//! The registry: what is published, estimated or rumoured, each figure with source and date.
//!
//! Responsible for reading `registry.toml` and for finding models, GPUs and prices in it. The
//! file is part of the program; a test checks that every figure names a source that is there.

use super::CostError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Where a figure was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is.
    pub title: String,
    /// Its address.
    pub url: String,
    /// Its date (RFC 3339 full-date).
    pub date: String,
}

/// How well a figure is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// By those who trained the model or made the chip.
    #[default]
    Published,
    /// By somebody else, with a known derivation.
    Estimate,
    /// Neither.
    Rumour,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Estimate => "estimate",
            Self::Rumour => "rumour",
        }
    }
}

/// A number with its origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The number, in the unit of its field.
    pub value: f64,
    /// Key of its source.
    pub source: String,
    /// How well it is known.
    #[serde(default)]
    pub kind: Kind,
    /// What to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A GPU and what it could do at most, dense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Its name on the command line.
    pub name: String,
    /// Its name in print.
    pub label: String,
    /// Peak in BF16, TFLOP/s.
    pub bf16_tflops: Figure,
    /// Peak in FP8, TFLOP/s, if it has one.
    pub fp8_tflops: Option<Figure>,
}

/// Another figure that is quoted for the same model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherReading {
    /// What it counts.
    pub what: String,
    /// Dollars.
    pub usd: Figure,
}

/// A model whose price is disputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// Its name on the command line.
    pub name: String,
    /// Its name in print.
    pub label: String,
    /// Name of the GPU that it was trained on.
    pub gpu: String,
    /// Number format of most of its arithmetic.
    pub trained_in: Option<super::Precision>,
    /// Parameters active for a token.
    pub params_active: Option<Figure>,
    /// All parameters.
    pub params_total: Option<Figure>,
    /// Tokens of pre-training.
    pub tokens: Option<Figure>,
    /// Layers.
    pub layers: Option<Figure>,
    /// Heads times head width; where query-key and value widths differ, their mean.
    pub attention_width: Option<Figure>,
    /// Tokens of a training sequence.
    pub context: Option<Figure>,
    /// FLOP of the run, where no parameters and tokens are known.
    pub flop: Option<Figure>,
    /// GPU-hours of pre-training alone.
    pub pretrain_gpu_hours: Option<Figure>,
    /// GPU-hours claimed in all.
    pub gpu_hours: Option<Figure>,
    /// Dollars per GPU-hour of the claim.
    pub rate: Option<Figure>,
    /// Dollars claimed.
    pub usd: Option<Figure>,
    /// GPUs of the cluster.
    pub gpus: Option<Figure>,
    /// What the claim covers.
    pub covers: Vec<String>,
    /// What it leaves out.
    pub leaves_out: Vec<String>,
    /// What is known of other models' outputs in it, or why it can't be checked.
    pub distilled_kind: String,
    /// Prices at which its post-training could have been bought.
    pub teachers: Vec<String>,
    /// Prices at which its whole diet is set against an API.
    pub pages: Vec<String>,
    /// Other figures that are quoted.
    #[serde(default)]
    pub other_reading: Vec<OtherReading>,
}

/// List price of an API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Its name on the command line.
    pub name: String,
    /// Its name in print.
    pub label: String,
    /// Dollars per million tokens read.
    pub usd_in: Figure,
    /// Dollars per million tokens written.
    pub usd_out: Figure,
    /// What the money doesn't buy.
    pub caveat: Option<String>,
}

/// What a harvest is taken to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarvestDefaults {
    /// Prompts.
    pub prompts: Figure,
    /// Tokens of a prompt.
    pub prompt_tokens: f64,
    /// Tokens of an answer at least.
    pub answer_tokens_low: f64,
    /// Tokens of an answer at most.
    pub answer_tokens_high: f64,
    /// Passes of fine-tuning over the answers.
    pub epochs: f64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Sources by key.
    pub source: BTreeMap<String, Source>,
    /// GPUs.
    pub gpu: Vec<Gpu>,
    /// Models.
    pub model: Vec<KnownModel>,
    /// Prices.
    pub price: Vec<Price>,
    /// The harvest.
    pub harvest: HarvestDefaults,
}

impl Registry {
    /// The registry that ships with the program.
    pub fn shipped() -> Result<&'static Self, CostError> {
        static SHIPPED: OnceLock<Result<Registry, String>> = OnceLock::new();
        SHIPPED
            .get_or_init(|| {
                toml::from_str(include_str!("registry.toml")).map_err(|e| e.to_string())
            })
            .as_ref()
            .map_err(|e| CostError::Registry(e.clone()))
    }

    /// A GPU by name.
    pub fn gpu(&self, name: &str) -> Result<&Gpu, CostError> {
        self.gpu.iter().find(|g| g.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            CostError::Unknown {
                what: "GPU",
                name: name.to_owned(),
                known: self.gpu.iter().map(|g| g.name.clone()).collect(),
            }
        })
    }

    /// A model by name.
    pub fn model(&self, name: &str) -> Result<&KnownModel, CostError> {
        self.model.iter().find(|m| m.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            CostError::Unknown {
                what: "model",
                name: name.to_owned(),
                known: self.model.iter().map(|m| m.name.clone()).collect(),
            }
        })
    }

    /// A price by name.
    pub fn price(&self, name: &str) -> Result<&Price, CostError> {
        self.price.iter().find(|p| p.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            CostError::Unknown {
                what: "price",
                name: name.to_owned(),
                known: self.price.iter().map(|p| p.name.clone()).collect(),
            }
        })
    }
}
