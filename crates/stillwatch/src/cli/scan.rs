//! Flags of `scan`.

use super::Common;
use clap::Args;
use std::path::PathBuf;

/// Flags of `scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Logs: files (plain, gz or zst), globs, folders
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<String>,
    /// Format of all logs; default: found out for each by looking. One of exchange, openai,
    /// anthropic, litellm-spend, litellm-payload, helicone, langfuse, tensorzero, otel-genai,
    /// portkey, cloudflare, mapped
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,
    /// Where a field is found, as in account=$.user.id; repeat for several
    #[arg(long, value_name = "FIELD=PATH")]
    pub map: Vec<String>,
    /// Write lines that can't be read to this file, each with its number and the reason
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Level of the false discovery rate of the list of signatures (see docs/scan-method.md)
    #[arg(long, default_value_t = 0.01, value_name = "RATE")]
    pub fdr: f64,
    /// List all accounts and campaigns that something can be said of, not only flagged ones
    #[arg(long)]
    pub all: bool,
    /// Accounts that are known to be innocent, one per line, or account,cluster where several
    /// belong together (an office, an application): gives accounts p-values
    #[arg(long, value_name = "FILE")]
    pub innocents: Option<PathBuf>,
    /// Derive the key of all hashes from this number instead of the system's randomness, so that
    /// a run repeats bit for bit; whoever knows it can make prompts collide
    #[arg(long)]
    pub seed: Option<u64>,
    /// Folder of the case: hashes of the logs, result, rejects, report
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Guard configuration whose policies are replayed over the same logs for the report: who
    /// would have been hit
    #[arg(long, value_name = "FILE", requires = "out")]
    pub policy: Option<PathBuf>,
    /// Print prompts in the terminal and in the report; otherwise letters are replaced by x
    #[arg(long)]
    pub show_texts: bool,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}
