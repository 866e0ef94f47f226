//! The nouns of the house, the ledger and case files.
//!
//! Responsible for: what was released and what was withheld ([`Exposure`]), who fixed it and
//! when ([`ledger`]), what was found ([`AuditResult`]), and the folder that anyone can
//! re-run. It reads and writes files, and knows neither models nor the network.

pub mod atomic;
pub mod beacon;
mod canonical;
pub mod case;
mod demo;
mod error;
mod exchange;
mod exposure;
mod exposures;
pub mod fuzzing;
mod groups;
mod jsonl;
pub mod ledger;
pub mod plan;
mod progress;
mod result;
mod schemas;
mod scores;
mod secret;
mod source;

pub use canonical::result_json;
pub use case::{Case, CaseError, CaseInput, CaseManifest, CaseModel};
pub use demo::{DemoAudit, DemoReport};
pub use error::{EXIT_INPUT, EXIT_PARTIAL, ErrorReport, ReadError, Report, WriteError};
pub use exchange::{Client, Exchange, Response, Usage};
pub use exposure::{Coin, Commitment, Exposure, Message};
pub use exposures::{ExposureFile, read_exposures, read_exposures_from};
pub use groups::{Units, coin_groups, is_identical, unit_names, units};
pub use jsonl::{JsonLines, Record, Reject, Validate, parse_line, write_rejects};
pub use progress::{Progress, Silent};
pub use result::{
    AccountFinding, AlphaSplit, AuditResult, CoinEvidence, Decide, Effect, Finding, Grade,
    PlaceboFinding, PlanState, Predates, ReferenceFinding, VerdictKind,
};
pub use schemas::schemas;
pub use scores::{ScoreRow, ScoreTable, read_scores, read_scores_from, score_groups, write_scores};
pub use secret::Secret;
pub use source::{FileDigest, KEPT_BYTES, Limits, Lines, Source, Step, digest_bytes, digest_file};
