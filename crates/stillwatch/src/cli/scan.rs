//! Flags of `scan`.

use super::Common;
use clap::Args;

/// Flags of `scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Logs: files (plain, gz or zst), globs, folders
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<String>,
    /// Level of the false discovery rate of the list of campaigns
    #[arg(long, default_value_t = 0.01, value_name = "RATE")]
    pub fdr: f64,
    /// List all accounts that something can be said of, not only flagged ones
    #[arg(long)]
    pub all: bool,
    /// Derive the key of all hashes from this number instead of the system's randomness, so that
    /// a run repeats bit for bit; whoever knows it can make prompts collide
    #[arg(long)]
    pub seed: Option<u64>,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}
