//! Flags of `serve`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `serve run` (the default) and what belongs to a guard that ran or will run.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ServeVerb {
    /// Which of them; none means `run`.
    #[command(subcommand)]
    pub step: Option<ServeStep>,
    /// Flags of a bare `serve`.
    #[command(flatten)]
    pub run: ServeArgs,
}

/// What can be done with a guard.
#[derive(Debug, Subcommand)]
pub enum ServeStep {
    /// Stand before one or more models and pass requests on (the default)
    Run(Box<ServeArgs>),
    /// Write what was captured as a file of exposures for `audit`
    Exposures(ExposuresArgs),
    /// Make, list and revoke virtual keys (in the store; a running guard sees it within seconds)
    Keys(KeysVerb),
    /// Say who would have been hit by policies in a log, without doing anything
    DryRun(DryRunArgs),
    /// Exchange indicators of campaigns with other providers without exchanging prompts
    Indicators(IndicatorsVerb),
    /// Read a configuration and say what it means, without serving
    Check(CheckArgs),
    /// Print a configuration to start from
    ExampleConfig(ExampleArgs),
}

/// Where a guard's settings and state are.
#[derive(Debug, Clone, Args)]
pub struct PlaceArgs {
    /// The guard's own configuration (TOML; see `serve example-config`)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the state: accounts, limits, ledger, captured answers; default stillwatch-data,
    /// or what the configuration says
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print one JSON value on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
}

/// Flags of `serve run`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Base URL of a model's server (vLLM, llama-server, OpenAI, Anthropic), with or without
    /// /v1; repeat for several, which then share the requests evenly
    #[arg(long, value_name = "URL")]
    pub upstream: Vec<String>,
    /// Address for clients; default 127.0.0.1:8080; port 0: one that is free
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address for the administrator: API, dashboard, metrics; default 127.0.0.1:8081
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// Share of eligible requests of which two answers are sampled and a coin sends one, 0 to 1;
    /// default 0.01
    #[arg(long, value_name = "R")]
    pub exposure_rate: Option<f64>,
    /// Settings and state.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `serve exposures`.
#[derive(Debug, Args)]
pub struct ExposuresArgs {
    /// File to write; default: standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Settings and state.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `serve keys create|list|revoke|import`.
#[derive(Debug, Args)]
pub struct KeysVerb {
    /// Which of them.
    #[command(subcommand)]
    pub step: KeysStep,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeysStep {
    /// Make a key for an account (made if missing) and print it, once
    Create(KeyCreateArgs),
    /// List keys: id, first characters, account, state
    List(KeyListArgs),
    /// Revoke a key
    Revoke(KeyRevokeArgs),
    /// Make accounts with a key each, all or none, and print the keys, once
    Import(KeyImportArgs),
}

/// Flags of `serve keys create`.
#[derive(Debug, Args)]
pub struct KeyCreateArgs {
    /// The account that the key is for; with --admin, what the key is called
    pub account: String,
    /// The account's plan from now on
    #[arg(long)]
    pub plan: Option<String>,
    /// Make it an admin key, which opens the admin address and nothing else
    #[arg(long, conflicts_with = "plan")]
    pub admin: bool,
    /// Settings and state.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `serve keys list`.
#[derive(Debug, Args)]
pub struct KeyListArgs {
    /// Of this account only
    #[arg(long)]
    pub account: Option<String>,
    /// Settings and state.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `serve keys revoke`.
#[derive(Debug, Args)]
pub struct KeyRevokeArgs {
    /// The key's id, as `list` shows it
    pub id: String,
    /// Settings and state.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `serve keys import`.
#[derive(Debug, Args)]
pub struct KeyImportArgs {
    /// Names of accounts, one a line
    pub file: PathBuf,
    /// Their plan
    #[arg(long)]
    pub plan: Option<String>,
    /// Settings and state.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `serve dry-run`.
#[derive(Debug, Args)]
pub struct DryRunArgs {
    /// A guard's configuration; its policies and its settings of detection are tried
    pub policy: PathBuf,
    /// Logs (JSON lines of exchanges, plain, gz or zst), oldest first
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Print one JSON value on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
}

/// `serve indicators export|match`.
#[derive(Debug, Args)]
pub struct IndicatorsVerb {
    /// Which of them.
    #[command(subcommand)]
    pub step: IndicatorsStep,
}

/// What can be done with indicators.
#[derive(Debug, Subcommand)]
pub enum IndicatorsStep {
    /// Write what flagged campaigns share as keyed hashes
    Export(IndicatorExportArgs),
    /// Read another provider's file and say which of it is met here, and how often by chance
    #[command(visible_alias = "import")]
    Match(IndicatorMatchArgs),
}

/// Flags of `serve indicators export`.
#[derive(Debug, Args)]
pub struct IndicatorExportArgs {
    /// File to write
    pub file: PathBuf,
    /// Who it comes from, in your own words
    #[arg(long, default_value = "unnamed")]
    pub source: String,
    /// Settings and state.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `serve indicators match`.
#[derive(Debug, Args)]
pub struct IndicatorMatchArgs {
    /// The other provider's file
    pub file: PathBuf,
    /// Settings and state.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `serve check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The guard's configuration
    pub file: PathBuf,
    /// Print one JSON value on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
}

/// What the configuration is an example for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExampleKind {
    /// vLLM
    Vllm,
    /// llama.cpp's server
    LlamaServer,
    /// OpenAI
    Openai,
    /// Anthropic
    Anthropic,
    /// Every key there is, with its meaning and default
    Everything,
}

/// Flags of `serve example-config`.
#[derive(Debug, Args)]
pub struct ExampleArgs {
    /// What stands behind the guard
    #[arg(value_enum, default_value = "llama-server")]
    pub kind: ExampleKind,
}
