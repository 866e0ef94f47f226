//! Integration tests of the room, in one binary.

mod attacks;
mod browser;
mod null;
mod sampling;
mod snapshots;
mod synth;
mod verdicts;
