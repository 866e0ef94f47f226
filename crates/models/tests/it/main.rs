//! Integration tests of the room, in one binary.

mod cache;
mod config;
mod decoder;
mod endpoint;
mod folder;
mod gguf;
mod parity;
#[cfg(feature = "llama")]
mod real_gguf;
