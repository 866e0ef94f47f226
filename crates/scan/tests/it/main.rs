//! The room's tests.

mod engine;
mod log;
mod thread;
