//! Find who harvested, in the logs that are there.
//!
//! Logs of other products come in, accounts and campaigns with reasons go out. What harvesting
//! looks like is the business of `traffic`; this room reads, aggregates and judges in bulk:
//!
//! | module | thought |
//! | --- | --- |
//! | [`input`] | which files are meant: files, globs, folders, object stores |
//! | [`readers`] | what a line means: one reader per product, format found by looking |
//! | [`row`] | what all of them come down to: one exchange of a log |
//! | [`engine`] | rows to one sketch per account, by DataFusion, here or on many machines |
//! | [`judge`] | sketches to accounts and campaigns |
//! | [`exhibits`] | what to look at: examples and days of flagged campaigns |
//! | [`result`] | what is said, as JSON |
//! | [`words`] | the same for a terminal |
//! | [`report`] | the same as a page |
//! | [`case`] | the folder of a case: what went in, what came out |
//!
//! It knows neither the gateway nor the command line, and reads neither clock nor environment.

pub mod case;
pub mod engine;
mod error;
pub mod exhibits;
pub mod fuzzing;
pub mod input;
pub mod judge;
pub mod readers;
pub mod report;
pub mod result;
pub mod row;
mod scan;
pub mod words;

pub use error::ScanError;
pub use judge::{Innocents, JudgeParams};
pub use result::{
    ScanAccount, ScanCampaign, ScanEdge, ScanFile, ScanReason, ScanResult, Unreadable,
    result_schema,
};
pub use scan::{ScanParams, Scanned, scan};
pub use stillwatch_stats::Alpha;
