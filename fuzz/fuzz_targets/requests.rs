//! Foreign bytes as requests of every shape: `cargo +nightly fuzz run requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillwatch_guard::fuzzing::request(bytes));
