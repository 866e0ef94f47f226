//! Flags of `cost`.

use super::Common;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What `--mfu` is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// The dense BF16 peak
    Bf16,
    /// The dense FP8 peak
    Fp8,
}

/// Flags of `cost`. Counts take k, M, B or T behind them; ranges are LOW-HIGH.
#[derive(Debug, Args)]
pub struct CostArgs {
    /// A model of the registry (deepseek-v3, deepseek-r1, llama-3.1-405b, llama-3.1-70b,
    /// llama-3.1-8b, gpt-4, grok-4); flags beat its figures
    #[arg(value_name = "MODEL", required_unless_present = "params_active")]
    pub model: Option<String>,
    /// Parameters active for a token, such as 37B
    #[arg(long, value_name = "N")]
    pub params_active: Option<String>,
    /// All parameters; default: as many as are active
    #[arg(long, value_name = "N")]
    pub params_total: Option<String>,
    /// Tokens of training, such as 14.8T
    #[arg(long, value_name = "D")]
    pub tokens: Option<String>,
    /// Layers, for the attention term
    #[arg(long, requires = "context")]
    pub layers: Option<String>,
    /// Heads times head width, for the attention term
    #[arg(long, requires = "layers")]
    pub attention_width: Option<String>,
    /// Tokens of a training sequence, for the attention term
    #[arg(long, requires = "attention_width")]
    pub context: Option<String>,
    /// The GPU: h800, h100, h200, a100
    #[arg(long)]
    pub gpu: Option<String>,
    /// What --mfu is a share of; default: bf16
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionArg>,
    /// Utilisation, such as 35% or 25-45%
    #[arg(long, value_name = "SHARE")]
    pub mfu: Option<String>,
    /// Dollars per GPU-hour, such as 2 or 1.5-4
    #[arg(long, value_name = "USD")]
    pub rate: Option<String>,
    /// GPUs of the cluster, for days
    #[arg(long, value_name = "N")]
    pub gpus: Option<String>,
    /// GPU-hours of a claim to check
    #[arg(long, value_name = "HOURS")]
    pub gpu_hours: Option<String>,
    /// Dollars of a claim to check
    #[arg(long, value_name = "USD")]
    pub usd: Option<String>,
    /// Whose API to harvest from: o1, gpt-4o, deepseek-reasoner, deepseek-chat
    #[arg(long, value_name = "PRICE")]
    pub teacher: Option<String>,
    /// Prompts of the harvest; default 800k, as R1's students had samples
    #[arg(long, value_name = "N")]
    pub harvest_prompts: Option<String>,
    /// Tokens of a harvested answer; default 1000-8000
    #[arg(long, value_name = "TOKENS")]
    pub harvest_tokens: Option<String>,
    /// Parameters of the student; default: the active ones
    #[arg(long, value_name = "N")]
    pub student_params: Option<String>,
    /// Write the answer as one HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}
