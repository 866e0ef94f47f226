//! Tests of the room through its public interface.

mod client;
mod fixed;
mod replay;
mod upstream;
