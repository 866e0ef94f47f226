//! Tests of the room through its public interface.

mod admin;
mod attacks;
mod attacks_framing;
mod config;
mod dashboard;
mod exposure;
mod faults;
mod gateway;
mod keys;
mod keys_api;
mod limits;
mod nodes;
mod observe;
mod postgres;
mod proxy;
mod proxy_limits;
mod proxy_streams;
mod proxy_tls;
mod request;
mod response;
mod site;
mod store;
