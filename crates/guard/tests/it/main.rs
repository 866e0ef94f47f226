//! Tests of the room through its public interface.

mod attacks;
mod faults;
mod gateway;
mod keys;
mod postgres;
mod proxy;
mod proxy_streams;
mod request;
mod response;
mod store;
