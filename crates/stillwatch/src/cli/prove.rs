//! Flags of `prove`.

use super::Common;
use clap::Args;
use std::path::PathBuf;

/// Flags of `prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// Twelve models (the default)
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// 128 models: 4 teachers, 2 seeds, 16 kinds
    #[arg(long)]
    pub full: bool,
    /// Folder for models, scores and the report; what an earlier run left there is used
    #[arg(long, value_name = "DIR", default_value = "prove")]
    pub out: PathBuf,
    /// Error rate of each audit, between 0 and 1
    #[arg(long, default_value_t = 1e-3)]
    pub alpha: f64,
    /// Seed of everything, coins included: a measurement of tests, no evidence
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Coins thrown again over stored scores, the whole audit each time
    #[arg(long, default_value_t = 100_000)]
    pub throws: u64,
    /// Threads that train
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}
