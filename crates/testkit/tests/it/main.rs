//! Tests of the room through its public interface.

mod client;
mod detection;
mod fixed;
mod replay;
mod upstream;
