//! What harvesting looks like: features of exchanges, statistics of accounts, groups of accounts.
//!
//! Used live by the guard ([`Live`], bounded memory) and in bulk by log scans
//! ([`analyse_exchanges`]), with the same features. It is pure: exchanges come in as
//! [`Observation`]s, findings with reasons go out; where exchanges come from, and what is done
//! about a finding, is the business of others. What it says of an account is a score with
//! reasons, never an accusation.

mod analyse;
mod baseline;
mod batch;
mod candidates;
mod codec;
mod edges;
mod features;
mod graph;
mod hash;
mod judge;
mod live;
mod measure;
mod members;
mod observation;
mod population;
mod reasons;
mod risk;
mod sample;
mod shared;
mod sketch;
mod statistics;
mod text;

pub use analyse::analyse;
pub use batch::analyse_exchanges;
pub use codec::SketchError;
pub use features::{Extractor, Features, ITEMS, TOPICS};
pub use hash::HashKey;
pub use live::{Evicted, Live, LiveParams};
pub use observation::Observation;
pub use population::Population;
pub use risk::{AccountRisk, Analysis, Campaign, Reason};
pub use sketch::{AccountSketch, SKETCH_BYTES_MAX};
pub use statistics::{STATISTICS, Statistics};
