//! The room's tests.

mod engine;
mod log;
mod sql;
mod thread;
