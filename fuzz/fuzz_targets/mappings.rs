//! Foreign bytes as a mapping and a log under it: `cargo +nightly fuzz run mappings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillwatch_scan::fuzzing::mapping(bytes));
