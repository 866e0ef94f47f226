//! Generators and mocks for tests and benchmarks. Dev-only: no room depends on it outside tests.
//!
//! [`traffic`] replays campaigns and the innocents that look like them; [`upstream`] is a model
//! server that answers as told, faults included.

pub mod traffic;
pub mod upstream;
