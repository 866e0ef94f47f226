//! Generators and mocks for tests and benchmarks. Dev-only: no room depends on it outside tests.
//!
//! [`upstream`] is a model server that answers as told, faults included; [`client`] plays clients
//! that react to their answers. [`traffic`] replays
//! campaigns and the innocents that look like them; [`detection`] measures detectors on it.

pub mod client;
pub mod detection;
pub mod traffic;
pub mod upstream;
