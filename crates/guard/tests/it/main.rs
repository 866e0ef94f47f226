//! Tests of the room through its public interface.

mod gateway;
mod keys;
mod postgres;
mod proxy;
mod request;
mod response;
mod store;
