//! Integration tests of the room, in one binary.

mod attacks;
mod browser;
mod cases;
mod null;
mod sampling;
mod snapshots;
mod synth;
mod verdicts;
