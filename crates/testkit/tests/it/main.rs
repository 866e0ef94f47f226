//! Tests of the room through its public interface.

mod fixed;
mod replay;
mod upstream;
