//! Integration tests of the room, in one binary.

mod correction;
mod exact;
mod helpers;
mod null_size;
mod primary;
