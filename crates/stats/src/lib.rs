//! Pure statistics: exact tests, e-processes, multiplicity, conformal ranks.
//!
//! Functions of data and a seed; no files, no clocks, no other room. Every number called a
//! p-value or e-value says under which null it is one, and why.

pub mod accounts;
mod calibrate;
mod conformal;
mod eprocess;
mod eprocess_bets;
mod eprocess_predict;
mod multiplicity;
mod types;

pub use calibrate::{calibrate, p_from_e};
pub use conformal::conformal_rank;
pub use eprocess::{EProcess, EProcessParams};
pub use multiplicity::{
    bonferroni, e_bh, e_holm, e_holm_adjusted, holm, holm_adjusted, mean_e, product_e, simes,
    weighted_mean_e,
};

pub use types::{Alpha, EValue, PValue, ScoreSet, StatsError};
