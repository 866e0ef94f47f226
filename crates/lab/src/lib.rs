//! Distillation: train small models from nothing, and the demo of the whole chain.
//!
//! Responsible for: a tokeniser ([`tokenizer`]), a small decoder and its gradient ([`network`]),
//! the training loop ([`train`]) and its files ([`checkpoint`]), and drafts that
//! no label tells apart ([`drafts`]), the demo of the whole chain ([`demo`]), the price of a
//! training ([`cost`]), and how often the tests are right and how often they lie ([`prove`]). It knows nothing of gateways;
//! scoring and verdicts are left to `stillwatch_models` and `stillwatch_audit`.

pub mod checkpoint;
pub mod cost;
pub mod demo;
pub mod drafts;
mod error;
pub mod network;
pub mod optimizer;
mod page;
pub mod prove;
pub mod tokenizer;
pub mod train;

pub use error::LabError;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
