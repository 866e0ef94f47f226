//! Everything that generates or scores text, behind one trait.
//!
//! One string names any model ([`ModelSpec`]); [`open()`] gives a [`Model`]. This room
//! knows how to talk to models and nothing of why they are asked.

mod answers;
mod budget;
mod cache;
pub mod decoder;
mod gguf;
mod hf;
mod logprob;
mod model;
mod open;
pub mod openai;
mod sampler;
mod scores;
mod spec;
mod template;

pub use answers::{AnswerCache, sample_cached};
pub use budget::{Budget, BudgetError, Meter, Prices, Spent};
pub use cache::{Cache, Kept};
#[cfg(feature = "llama")]
pub use gguf::GgufModel;
pub use gguf::{GgufError, GgufHeader, read_gguf_header};
pub use hf::HfModel;
pub use model::{
    AccessLevel, Model, ModelError, ModelIdentity, SampleParams, SampleRequest, Sampled,
    ScoreRequest, Scored,
};
pub use open::{OpenOptions, open};
pub use openai::{EndpointOptions, OpenAiModel, install_tls_provider};
pub use scores::{ScoreCache, score_cached};
pub use spec::{ModelSpec, SpecError};
pub use stillwatch_evidence::Secret;
pub use template::{ChatTemplate, PLAIN_TEMPLATE, TEMPLATE_DATE, TemplateError};
