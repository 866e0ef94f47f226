//! Pure statistics: exact tests, e-processes, multiplicity, conformal ranks.
//!
//! Functions of data and a seed; no files, no clocks, no other room. Every number called a
//! p-value or e-value says under which null it is one, and why.

pub mod accounts;
mod calibrate;
mod cgf;
mod closed_form;
mod conformal;
mod correction;
mod effect;
mod eprocess;
mod eprocess_accounts;
mod eprocess_bets;
mod eprocess_power;
mod eprocess_predict;
mod exact;
mod lattice;
mod multiplicity;
mod nnls;
mod permutation;
mod power;
mod primary;
mod resample;
mod rows;
mod soft_rank;
mod statistic;
mod subsets;
mod types;

pub use calibrate::{calibrate, p_from_e};
pub use closed_form::closed_form;
pub use conformal::{conformal_rank, conformal_rank_clustered};
pub use effect::{Effect, Estimate, effect};
pub use eprocess::{EProcess, EProcessParams};
pub use eprocess_accounts::AccountsEProcess;
pub use eprocess_power::{
    EStop, min_detectable_effect_e, min_detectable_effect_e_against,
    min_detectable_effect_e_of_sets,
};
pub use multiplicity::{
    bonferroni, e_bh, e_bh_compound, e_holm, e_holm_adjusted, holm, holm_adjusted, mean_e,
    product_e, simes, weighted_mean_e,
};

pub use correction::{Corrected, Unit, correct, merge_coin};
pub use exact::{Zeros, chernoff, exact_rank, quade, rank_sum, sign_test, signed_rank};
pub use permutation::permuted_mean;
pub use power::{
    min_detectable_effect, min_detectable_effect_against, pairs_needed, power_curve,
    power_curve_against,
};
pub use primary::{
    ENUMERATED_OUTCOMES_MAX, NullDistribution, Orientation, RESAMPLED_SHARE, Tail, TestParams,
    TwinsTest, UnorderedUnits, split, twins_test, twins_test_two_sided,
};
pub use soft_rank::{SOFT_RANK_TILT, soft_rank_e};
pub use subsets::{Stratum, stratified_e};
pub use types::{Alpha, EValue, PValue, ScoreSet, StatsError};
