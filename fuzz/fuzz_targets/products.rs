//! Foreign bytes as a log of each product in turn:
//! `cargo +nightly fuzz run products fuzz/corpus/logs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillwatch_scan::fuzzing::products(bytes));
