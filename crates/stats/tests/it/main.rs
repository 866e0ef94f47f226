//! Integration tests of the room, in one binary.

mod accounts;
mod attacks;
mod correction;
mod eprocess;
mod exact;
mod helpers;
mod multiplicity;
mod null_size;
mod power;
mod primary;
mod rigged_coin;
mod simulate;
