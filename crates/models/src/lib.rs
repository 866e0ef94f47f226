//! Everything that generates or scores text, behind one trait.
//!
//! One string names any model ([`ModelSpec`]); [`open`](crate) gives a [`Model`]. This room
//! knows how to talk to models and nothing of why they are asked.

mod budget;
pub mod decoder;
mod model;
pub mod openai;
mod secret;
mod spec;

pub use budget::{Budget, BudgetError, Meter, Prices, Spent};
pub use model::{
    AccessLevel, Model, ModelError, ModelIdentity, SampleParams, SampleRequest, Sampled,
    ScoreRequest, Scored,
};
pub use openai::{EndpointOptions, OpenAiModel, install_tls_provider};
pub use secret::Secret;
pub use spec::{ModelSpec, SpecError};
