//! Integration tests of the room, in one binary.

mod decoder;
