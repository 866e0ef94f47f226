//! Verbs and flags. The help texts here are the source of the generated CLI reference.

pub mod cost;
pub mod ledger;
pub mod prove;
#[cfg(feature = "scan")]
pub mod scan;
pub mod serve;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use stillwatch_audit::{DEFAULT_TARGET_EFFECT, Stopping};
use stillwatch_evidence::Decide;

/// Was that model trained on yours? Find out, establish it with an error rate that you choose,
/// and make it hard to do.
#[derive(Debug, Parser)]
#[command(name = "stillwatch", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 as expected, 1 a finding (audit, scan) or not as expected \
                        (demo, prove, verify), 2 usage or input, 3 partial (resume possible), 4 a defect.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train an author's, a teacher's and a student's models, guilty and innocent, and audit them
    Demo(DemoArgs),
    /// Audit a model: was it trained on what was released?
    Audit(Box<AuditVerb>),
    /// Check a case folder: re-hash its inputs, replay its findings from stored scores
    Verify(VerifyArgs),
    /// Stand before a model as a gateway: keep proof of what goes out, see and slow harvesting
    Serve(Box<serve::ServeVerb>),
    /// Look for harvesting in logs that are there: accounts and campaigns, with reasons
    #[cfg(feature = "scan")]
    Scan(Box<scan::ScanArgs>),
    /// Keep a ledger of what was released and withheld, sign its heads, prove and check it
    Ledger(Box<ledger::LedgerVerb>),
    /// Breed models of known ancestry and measure how often each test is right, and how often it lies
    Prove(prove::ProveArgs),
    /// Is a claimed price of training plausible, and what would buying the answers have cost?
    Cost(Box<cost::CostArgs>),
    /// Print a shell completion script
    Completions(CompletionsArgs),
    /// Write the CLI reference and the JSON schemas (for the project's own docs)
    #[command(hide = true)]
    Reference(ReferenceArgs),
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print one JSON value on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
    /// Read flags from a TOML file: keys are the long flags with '_'; a flag beats the file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for the models, case folders and reports; default: demo, or the next free of
    /// demo-2, demo-3, …
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seed of everything stochastic except coins and salts
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Draw coins and salts from the seed too, so that the run repeats bit for bit; for
    /// measurements only: a coin that can be repeated convinces nobody
    #[arg(long)]
    pub seeded_coins: bool,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

/// `audit run` (the default) and `audit plan`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct AuditVerb {
    /// Which of them; none means `run`.
    #[command(subcommand)]
    pub step: Option<AuditStep>,
    /// Flags of a bare `audit`.
    #[command(flatten)]
    pub run: AuditArgs,
}

/// Steps of an audit.
#[derive(Debug, Subcommand)]
pub enum AuditStep {
    /// Score and test (the default)
    Run(Box<AuditArgs>),
    /// Seal what will be done, before the first query
    Plan(Box<AuditArgs>),
}

/// Which number decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecideArg {
    /// The fixed-n p-value (prompts fixed before the first coin)
    P,
    /// The anytime-valid e-process in ledger order (coins thrown in service)
    E,
}

/// How a model is asked about texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScoreByArg {
    /// Its answers to the prompts are compared with the texts, which aren't shown to it
    Similarity,
    /// It is shown the texts and asked which of them it wrote
    ForcedChoice,
}

/// Grade of the coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CoinArg {
    /// A public beacon, after both texts were committed
    Public,
    /// The owner's own generator at serving time
    Server,
    /// A sibling sampled later
    Iid,
    /// No coin
    None,
}

/// Flags of `audit run` and `audit plan`.
#[derive(Debug, Args)]
#[command(next_line_help = false)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct AuditArgs {
    /// The model asked about: gguf:PATH, hf:FOLDER or openai:BASE_URL#MODEL
    #[arg(long, value_name = "MODEL", requires = "exposures", conflicts_with = "scores")]
    pub suspect: Option<String>,
    /// Exposures (JSON lines, plain, gz or zst): released texts with their withheld twins
    #[arg(long, value_name = "FILE", requires = "suspect", conflicts_with = "scores")]
    pub exposures: Option<PathBuf>,
    /// Scores made elsewhere (CSV or JSON lines) instead of a suspect and exposures
    #[arg(long, value_name = "FILE", required_unless_present = "suspect")]
    pub scores: Option<PathBuf>,
    /// A model that never saw either text; with --scores the name of its columns; repeat for
    /// several
    #[arg(long, value_name = "MODEL")]
    pub reference: Vec<String>,
    /// A model older than the first coin, which must pass the identical test; with --scores the
    /// name of its columns; repeat for several
    #[arg(long, value_name = "MODEL")]
    pub placebo: Vec<String>,
    /// Ask all models for answers instead of likelihoods: same null, less power. Default:
    /// likelihoods, or similarity if the suspect only answers
    #[arg(long, value_enum, conflicts_with = "scores")]
    pub score_by: Option<ScoreByArg>,
    /// Answers per prompt, or rounds of a forced choice; default 4
    #[arg(long, value_name = "N", conflicts_with = "scores")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub samples: Option<u16>,
    /// Declare that the references' weights are older than the first coin
    #[arg(long)]
    pub references_predate: bool,
    /// Error rate, between 0 and 1, chosen before the run
    #[arg(long, default_value_t = 1e-3)]
    pub alpha: f64,
    /// Which number decides; default p for --scores, e for exposures thrown in service. With
    /// --scores e is read after the last pair, else as soon as it suffices
    #[arg(long, value_enum)]
    pub decide: Option<DecideArg>,
    /// Grade of the coins; default: what the file says, else none
    #[arg(long, value_enum)]
    pub coin: Option<CoinArg>,
    /// "No evidence" needs the power to see an effect of this size (standard deviations of x)
    #[arg(long, default_value_t = DEFAULT_TARGET_EFFECT)]
    pub target_effect: f64,
    /// All prompts were fixed before the first coin (batches, canaries, benchmarks): then a
    /// fixed-n p-value may decide about exposures, and does by default
    #[arg(long)]
    pub prompts_fixed: bool,
    /// Pairs to score at most, in ledger order
    #[arg(long, value_name = "N")]
    pub budget: Option<usize>,
    /// Folder of the case: scores, result, report
    #[arg(long, value_name = "CASE")]
    pub out: Option<PathBuf>,
    /// A sealed plan: `audit plan` writes it, `audit run` must follow it
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// A ledger folder that holds the exposures' entries
    #[arg(long, value_name = "DIR")]
    pub ledger: Option<PathBuf>,
    /// A beacon's round that threw coins, as its HTTP interface answers; repeat for several
    #[arg(long, value_name = "FILE", requires = "ledger")]
    pub round_file: Vec<PathBuf>,
    /// Public key of a witness whose time is believed: without one before the round, a beacon's
    /// coin is worth the owner's word; repeat for several
    #[arg(long, value_name = "KEY", requires = "ledger")]
    pub witness: Vec<String>,
    /// Seed of everything stochastic except coins
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Monte Carlo resamples
    #[arg(long, default_value_t = 100_000)]
    pub resamples: u32,
    /// Threads; default: all cores
    #[arg(long)]
    pub threads: Option<usize>,
    /// Requests in flight at an endpoint
    #[arg(long, default_value_t = 4)]
    pub concurrency: usize,
    /// Attempts per request to an endpoint, the first included
    #[arg(long, default_value_t = 6)]
    pub attempts: u32,
    /// Time limit of one request to an endpoint, milliseconds
    #[arg(long, default_value_t = 60_000)]
    pub timeout_ms: u64,
    /// Requests to endpoints at most
    #[arg(long)]
    pub max_requests: Option<u64>,
    /// Tokens sent to and returned by endpoints at most
    #[arg(long)]
    pub max_tokens: Option<u64>,
    /// Money at most; needs --usd-per-million-tokens
    #[arg(long, requires = "usd_per_million_tokens")]
    pub max_usd: Option<f64>,
    /// Price of a million tokens at the endpoints
    #[arg(long)]
    pub usd_per_million_tokens: Option<f64>,
    /// Environment variable that holds the suspect's key (default OPENAI_API_KEY)
    #[arg(long, value_name = "NAME")]
    pub suspect_key_env: Option<String>,
    /// Environment variable that holds the references' and placebos' key
    #[arg(long, value_name = "NAME")]
    pub reference_key_env: Option<String>,
    /// Allow prompts and texts to be sent to endpoints outside this machine. Likelihoods and
    /// forced choice send both texts of every pair, which are spent by it and noted so beside
    /// the exposures; --score-by similarity sends the prompts only, which may be confidential
    /// too
    #[arg(long)]
    pub disclose: bool,
    /// Print texts in the report
    #[arg(long)]
    pub show_texts: bool,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

impl AuditArgs {
    /// When the number that decides is read: scores made elsewhere are all there, so at the end,
    /// with every account's pairs settled.
    pub fn stopping(&self) -> Stopping {
        if self.scores.is_some() { Stopping::AtEnd } else { Stopping::AtEvidence }
    }

    /// Which number decides: as declared, else p for scores made elsewhere and for prompts that
    /// were fixed before the first coin, e for coins thrown in service.
    pub fn decides(&self) -> Decide {
        match self.decide {
            Some(DecideArg::P) => Decide::P,
            None if self.scores.is_some() || self.prompts_fixed => Decide::P,
            Some(DecideArg::E) | None => Decide::E,
        }
    }
}

/// Flags of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The case folder
    pub case: PathBuf,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Flags of `reference`.
#[derive(Debug, Args)]
pub struct ReferenceArgs {
    /// Folder to write to
    pub dir: PathBuf,
}
