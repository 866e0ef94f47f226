//! What harvesting looks like: features of exchanges, statistics of accounts, groups of accounts.
//!
//! Used live by the guard ([`Live`], bounded memory) and in bulk by log scans
//! ([`analyse_exchanges`]), with the same features. It is pure: exchanges come in as
//! [`Observation`]s, findings with reasons go out; where exchanges come from, and what is done
//! about a finding, is the business of others. What it says of an account is a score with
//! reasons, never an accusation: logs are unlabelled and hold harvesters, groups are chosen from
//! the same data that they are judged by, so no error rate follows from any number here.
//!
//! # The way of an exchange
//!
//! [`Extractor`] turns it into [`Features`] (keyed hashes, no text), [`AccountSketch`] takes them
//! in (at most 4 KiB, the same whatever the order and however it was merged), [`analyse`] compares
//! the sketches of all accounts, [`analyse_streamed`] those of more accounts than memory holds.
//!
//! # What separates a harvest from innocents who look like one
//!
//! Innocents share templates (an application, an office's system prompt, a class's homework),
//! networks (an office), clients (a plug-in) and hours (a deadline, a nightly batch). A campaign
//! over many accounts does one thing that they don't: it *deals out* one bank of questions. Then
//! every prompt is asked once over the whole group, volumes are even, and nothing tells whose
//! prompt it is: neither its length nor its subject nor its parameters. Five families of evidence
//! connect accounts:
//!
//! | family | shows as | who shows it without harvesting |
//! | --- | --- | --- |
//! | `text` | pieces of text that hardly anyone else has, in much of each member's traffic | applications, offices, classes, viral prompts |
//! | `infrastructure` | networks, clients, parameters that few others have | offices, applications, plug-ins |
//! | `synchrony` | the same hours beyond the population's rhythm, or one regular pace | office hours, deadlines, timers |
//! | `sharding` | no prompt twice, even volumes, interchangeable members | teams that draw tasks from one queue |
//! | `replay` | prompts that failed or were cut off, retried from another account | clients with several keys that fail over |
//!
//! A group is flagged where something connects it, *and* it deals out work, *and* nobody in it
//! converses, *and* its conduct shows that answers are taken in bulk or that somebody hides
//! (reasoning asked for, unusually long answers, changing networks, retries elsewhere, no night,
//! even volumes). A group is never flagged on text, infrastructure and hours alone, and an
//! account is never flagged for what it does alone. [`Campaign::families`] lists what was found:
//! whoever blocks should ask for three, and a human.
//!
//! # What is missed
//!
//! Campaigns of fewer than four accounts or fewer than 15 exchanges per account; cover above some
//! two thirds of the traffic; questions without a template from accounts that share neither
//! networks nor parameters nor pace; volumes that are deliberately uneven.

mod analyse;
mod baseline;
mod batch;
mod candidates;
mod codec;
mod edges;
mod feature_bytes;
mod features;
mod graph;
mod group_text;
mod hash;
mod interchange;
mod judge;
mod kept;
mod lexicon;
mod live;
mod measure;
mod members;
mod observation;
mod population;
mod reasons;
mod reuse;
mod rhythm;
mod risk;
mod sample;
mod shared;
mod sketch;
mod sketches;
mod statistics;
mod survey;
mod text;
mod ties;

pub use analyse::{analyse, analyse_streamed};
pub use batch::analyse_exchanges;
pub use codec::SketchError;
pub use features::{Extractor, Features, ITEMS, TOPICS};
pub use hash::HashKey;
pub use kept::KeptPrompt;
pub use live::{Evicted, Live, LiveParams};
pub use observation::Observation;
pub use population::Population;
pub use risk::{AccountRisk, Analysis, Campaign, Reason};
pub use sketch::{AccountSketch, SKETCH_BYTES_MAX};
pub use sketches::{Sketches, StreamBounds};
pub use statistics::{STATISTICS, Statistics};
