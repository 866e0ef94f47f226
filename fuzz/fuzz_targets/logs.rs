//! Foreign bytes as logs whose format is to be found out: `cargo +nightly fuzz run logs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillwatch_scan::fuzzing::log(bytes));
