//! Tests of the room through its public interface.

mod replay;
mod world;
