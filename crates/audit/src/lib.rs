//! The battery: runs tests on a case, combines findings into a verdict, writes the report.
//!
//! [`evaluate`] is pure: scores, context and parameters in, verdict out. Models and files come
//! in at the rim only ([`run_audit`]), and [`verify_case`] replays a case without any. What is
//! exact, under which conditions and in which grade, is said in each finding's assumptions.
//! Suspects that only answer are scored by [`by_similarity`] or [`by_forced_choice`]. HTTP
//! servers, command lines and the ledger's insides are other rooms' business.

mod accounts;
mod case_files;
mod context;
mod describe;
mod error;
mod evaluate;
mod format;
mod params;
mod placebos;
mod prepare;
mod report;
mod run;
mod sampling;
mod score;
mod sentence;
mod sequential;
mod series;
mod similarity;
mod twins;
mod verdict;
mod verify;
mod words;

pub use context::{AuditContext, Planned, Role, ScoreKind, SetAside};
pub use error::AuditError;
pub use evaluate::{RESULT_SCHEMA, evaluate, evaluate_with_series};
pub use params::{AuditParams, DEFAULT_TARGET_EFFECT, POWER, PowerAnalysis, Stopping};
pub use report::{HashedInput, ReportInput, ShownTexts, render_report};
pub use run::{AuditOutcome, AuditRequest, AuditSource, OtherModel, run_audit, score_kind};
pub use sampling::{SamplingParams, by_forced_choice, by_similarity};
pub use score::{
    Caches, NamedModel, ScoreEnd, ScoreJob, ScoredExposures, in_ledger_order, score_exposures,
};
pub use series::{AccountPoint, Evaluation, Series};
pub use similarity::{Words, similarity};
pub use verify::{SCORES_CAVEAT, VerifyReport, verify_case};
