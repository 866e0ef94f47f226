//! The gateway: an OpenAI-compatible proxy that keeps proof and makes harvesting costly.
//!
//! A request's way: [`server`] takes it from the socket, [`proxy`] routes it; [`keys`] says whose
//! it is, [`limits`] whether the account may, [`request`] what it asks, [`policy`] what is done
//! about the account; [`exposure`] perhaps answers it from one of two sampled slots, [`upstream`]
//! carries it to a model otherwise; [`response`] reads along while the bytes pass, and [`live`]
//! learns from it. [`store`] keeps what must survive, [`admin`] shows it, [`observe`] counts.
//!
//! It knows nothing of training, and decides nothing about evidence: exposures go into the
//! ledger of `evidence`, what harvesting looks like is the business of `traffic`. Environment,
//! command line and the clock of the process come from the binary.

pub mod admin;
pub mod clock;
pub mod config;
pub mod error;
pub mod exposure;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
pub mod identity;
pub mod keys;
pub mod limits;
pub mod live;
pub mod observe;
pub mod policy;
pub mod proxy;
pub mod request;
pub mod response;
pub mod server;
pub mod sharing;
pub mod store;
pub mod upstream;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::GuardConfig;
pub use error::GuardError;
pub use guard::{Guard, Secrets};
pub use identity::Identity;
