//! Integration tests of the room, in one binary.

mod correction;
mod eprocess;
mod exact;
mod helpers;
mod multiplicity;
mod null_size;
mod primary;
mod simulate;
