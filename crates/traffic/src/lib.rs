//! What harvesting looks like: features of exchanges, statistics of accounts, groups of accounts.
//!
//! Used live by the guard ([`Live`], bounded memory) and in bulk by log scans, with the same
//! features. It is pure: exchanges come in as [`Observation`]s, findings with reasons go out;
//! where exchanges come from, and what is done about a finding, is the business of others. What
//! it says of an account is a score with reasons, never an accusation.

mod live;
mod observation;
mod risk;

pub use live::{Live, LiveParams};
pub use observation::Observation;
pub use risk::{AccountRisk, Analysis, Campaign, Reason};
