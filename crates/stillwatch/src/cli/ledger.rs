//! Flags of `ledger`.

use super::Common;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use stillwatch_evidence::beacon::Chain;

/// `ledger init|append|head|cosign|prove|verify`.
#[derive(Debug, Args)]
pub struct LedgerVerb {
    /// Which of them.
    #[command(subcommand)]
    pub step: LedgerStep,
}

/// What can be done with a ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerStep {
    /// Create a ledger with a new signing key
    Init(InitArgs),
    /// Record texts of which a coin releases one, weights that exist, or an account's deletion
    Append(AppendArgs),
    /// Close the epoch: sign a head over everything recorded so far, for publishing
    Head(HeadArgs),
    /// As a witness, sign someone's head; as the owner, take a witness's signature in
    Cosign(CosignArgs),
    /// Prove that an entry is in the log or that the log only grew; or open a batch as exposures
    Prove(ProveArgs),
    /// Check a whole log, or a head with proofs; account for every exposure of a range
    Verify(LedgerVerifyArgs),
}

/// A public beacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BeaconArg {
    /// drand quicknet, a round every 3 s
    Quicknet,
    /// drand's first mainnet, a round every 30 s
    Default,
}

impl From<BeaconArg> for Chain {
    fn from(beacon: BeaconArg) -> Self {
        match beacon {
            BeaconArg::Quicknet => Self::Quicknet,
            BeaconArg::Default => Self::Default,
        }
    }
}

/// Flags of `ledger init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder of the ledger, new or empty
    pub dir: PathBuf,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `ledger append`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct AppendArgs {
    /// Folder of the ledger
    pub dir: PathBuf,
    /// JSON lines of {"id","messages","texts":[…],"account","model","params","time"}
    #[arg(long, value_name = "FILE", group = "what", requires = "openings")]
    pub texts: Option<PathBuf>,
    /// Where salts and slots are kept (secret); repeating the command continues from it
    #[arg(long, value_name = "FILE", requires = "texts")]
    pub openings: Option<PathBuf>,
    /// Let a public beacon throw the coins instead of this machine's random generator
    #[arg(long, value_enum, requires = "texts")]
    pub beacon: Option<BeaconArg>,
    /// The beacon's round; default: the first one that is due --delay-s from now
    #[arg(long, requires = "beacon")]
    pub round: Option<u64>,
    /// Seconds until the round, to have the head anchored before it
    #[arg(long, default_value_t = 3600, requires = "beacon")]
    pub delay_s: u32,
    /// A model that exists now, with the SHA-256 of its weights
    #[arg(long, value_name = "MODEL=SHA256", group = "what")]
    pub weights: Option<String>,
    /// An account to delete with all its exposures; its name isn't written
    #[arg(long, value_name = "ACCOUNT", group = "what", requires = "reason")]
    pub delete_account: Option<String>,
    /// Why, without personal data (it is written)
    #[arg(long, requires = "delete_account")]
    pub reason: Option<String>,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `ledger head`.
#[derive(Debug, Args)]
pub struct HeadArgs {
    /// Folder of the ledger
    pub dir: PathBuf,
    /// Show the last head instead of closing the epoch
    #[arg(long)]
    pub last: bool,
    /// File to write the signed head to
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `ledger cosign`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("side").required(true))]
pub struct CosignArgs {
    /// The signed head
    pub head: PathBuf,
    /// The witness's secret key
    #[arg(long, value_name = "FILE", group = "side")]
    pub key: Option<PathBuf>,
    /// Make the witness's key first
    #[arg(long, requires = "key")]
    pub new_key: bool,
    /// The last head of this log that the witness signed
    #[arg(long, value_name = "FILE", requires = "consistency")]
    pub previous: Option<PathBuf>,
    /// Proof that the log only grew since then
    #[arg(long, value_name = "FILE", requires = "previous")]
    pub consistency: Option<PathBuf>,
    /// File to write the cosigned head to
    #[arg(long, value_name = "FILE", requires = "key")]
    pub out: Option<PathBuf>,
    /// The owner's ledger, to take the head's signatures into
    #[arg(long, value_name = "DIR", group = "side")]
    pub into: Option<PathBuf>,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `ledger prove`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct ProveArgs {
    /// Folder of the ledger
    pub dir: PathBuf,
    /// Prove the entry with this index
    #[arg(long, value_name = "N", group = "what")]
    pub leaf: Option<u64>,
    /// Prove the last entry of this exposure
    #[arg(long, value_name = "ID", group = "what")]
    pub id: Option<String>,
    /// Prove that the log only grew since it had this size
    #[arg(long, value_name = "SIZE", group = "what")]
    pub consistency: Option<u64>,
    /// Open a batch: what `append --openings` kept
    #[arg(long, value_name = "FILE", group = "what", requires = "exposures")]
    pub openings: Option<PathBuf>,
    /// File of exposures to write
    #[arg(long, value_name = "FILE", requires = "openings")]
    pub exposures: Option<PathBuf>,
    /// A beacon's round, as its HTTP interface answers; repeat for several
    #[arg(long, value_name = "FILE", requires = "openings")]
    pub round_file: Vec<PathBuf>,
    /// Size of the tree; default: that of the last head
    #[arg(long, value_name = "SIZE", conflicts_with = "openings")]
    pub tree_size: Option<u64>,
    /// File to write the proof to
    #[arg(long, value_name = "FILE", conflicts_with = "openings")]
    pub out: Option<PathBuf>,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `ledger verify`.
#[derive(Debug, Args)]
pub struct LedgerVerifyArgs {
    /// Folder of the ledger (no key needed)
    #[arg(required_unless_present = "head")]
    pub dir: Option<PathBuf>,
    /// A signed head, to check with proofs instead of, or against, the log
    #[arg(long, value_name = "FILE")]
    pub head: Option<PathBuf>,
    /// A proof that an entry is under the head
    #[arg(long, value_name = "FILE", requires = "head")]
    pub inclusion: Option<PathBuf>,
    /// A proof that the log only grew between --previous and --head
    #[arg(long, value_name = "FILE", requires = "previous", requires = "head")]
    pub consistency: Option<PathBuf>,
    /// The earlier head of the consistency proof
    #[arg(long, value_name = "FILE", requires = "consistency")]
    pub previous: Option<PathBuf>,
    /// Exposures, to account for every one in the range
    #[arg(long, value_name = "FILE", requires = "dir")]
    pub exposures: Option<PathBuf>,
    /// First sequence number of the range; default 0
    #[arg(long, value_name = "N", requires = "exposures")]
    pub first: Option<u64>,
    /// Last sequence number of the range; default: the last one under the last head
    #[arg(long, value_name = "N", requires = "exposures")]
    pub last: Option<u64>,
    /// A sealed plan: its range and filter are taken, deletions before it honoured
    #[arg(long, value_name = "FILE", requires = "exposures", conflicts_with_all = ["first", "last"])]
    pub plan: Option<PathBuf>,
    /// A beacon's round, as its HTTP interface answers; repeat for several
    #[arg(long, value_name = "FILE", requires = "exposures")]
    pub round_file: Vec<PathBuf>,
    /// Public key of a witness whose time is believed; repeat for several
    #[arg(long, value_name = "KEY", requires = "exposures")]
    pub witness: Vec<String>,
    /// Set unfinished exposures aside on the owner's word instead of counting them as adverse
    #[arg(long, requires = "exposures")]
    pub set_unfinished_aside: bool,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}
