//! Integration tests of the room, in one binary: the real program, its exit codes and output.

mod config;
mod harness;
mod ledger;
mod plan;
mod usage;
