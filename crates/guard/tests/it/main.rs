//! Tests of the room through its public interface.

mod postgres;
mod request;
mod store;
mod response;
