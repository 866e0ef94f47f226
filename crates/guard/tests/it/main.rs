//! Tests of the room through its public interface.

mod admin;
mod attacks;
mod config;
mod dashboard;
mod exposure;
mod faults;
mod gateway;
mod keys;
mod limits;
mod observe;
mod postgres;
mod proxy;
mod proxy_streams;
mod request;
mod response;
mod site;
mod store;
