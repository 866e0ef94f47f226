//! Tests of the room through its public interface.

mod admin;
mod config;
mod dashboard;
mod observe;
mod request;
