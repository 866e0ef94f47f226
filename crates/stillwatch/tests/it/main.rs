//! Integration tests of the room, in one binary: the real program, its exit codes and output.

mod bad_input;
mod config;
mod cost;
mod endpoint;
mod harness;
mod ledger;
mod mock;
mod plan;
mod scores;
mod serve;
mod synth;
mod usage;
