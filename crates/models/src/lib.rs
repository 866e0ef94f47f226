//! Everything that generates or scores text, behind one trait.
//!
//! One string names any model ([`ModelSpec`]); [`open`](crate) gives a [`Model`]. This room
//! knows how to talk to models and nothing of why they are asked.

mod model;
mod spec;

pub use model::{
    AccessLevel, Model, ModelError, ModelIdentity, SampleParams, SampleRequest, Sampled,
    ScoreRequest, Scored,
};
pub use spec::{ModelSpec, SpecError};
