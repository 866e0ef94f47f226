//! Pure statistics: exact tests, e-processes, multiplicity, conformal ranks.
//!
//! Functions of data and a seed; no files, no clocks, no other room. Every number called a
//! p-value or e-value says under which null it is one, and why.

mod types;

pub use types::{Alpha, EValue, PValue, ScoreSet, StatsError};
