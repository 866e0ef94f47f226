//! Foreign bytes as a file of exposures: `cargo +nightly fuzz run exposures`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillwatch_evidence::fuzzing::exposures(bytes));
