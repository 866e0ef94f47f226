//! The room's tests.

mod engine;
mod input;
mod log;
mod readers;
mod readers_fuzz;
mod readers_parquet;
mod readers_streams;
mod sample;
mod sql;
mod thread;
