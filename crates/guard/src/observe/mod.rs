//! What operators see: counters, spans, logs. Texts of prompts are in none of them.
//!
//! [`Metrics`] counts, [`Observer`] takes what is known of an ended request and makes a log line
//! and a span of it. Nothing here decides anything or delays a request.

mod config;
mod ended;
mod exchanges;
mod health;
mod histogram;
mod history;
mod labelled;
pub mod logs;
mod metrics;
mod otlp;
mod spans;

pub use config::{LogFormat, LogRequests, ObserveConfig};
pub use ended::{Ended, Observer};
pub use health::Health;
pub use histogram::Durations;
pub use history::{History, MINUTES_MAX, Totals};
pub use labelled::{ByName, Rows};
pub use metrics::{Metrics, api_name, resident_bytes};
