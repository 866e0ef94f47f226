//! The nouns of the house, the ledger and case files.
//!
//! Responsible for: what was released and what was withheld ([`Exposure`]), who fixed it and
//! when ([`ledger`](crate)), what was found ([`AuditResult`]), and the folder that anyone can
//! re-run. It reads and writes files, and knows neither models nor the network.

mod exposure;
mod progress;
mod result;

pub use exposure::{Coin, Commitment, Exposure, Message};
pub use progress::{Progress, Silent};
pub use result::{
    AccountFinding, AlphaSplit, AuditResult, CoinEvidence, Decide, Effect, Finding, Grade,
    PlaceboFinding, PlanState, Predates, ReferenceFinding, VerdictKind,
};
