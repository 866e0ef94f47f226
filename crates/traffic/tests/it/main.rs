//! Tests of the room through its public interface.

mod features;
mod live;
mod replay;
mod sketch;
mod streamed;
mod world;
