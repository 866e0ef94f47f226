//! Foreign bytes as a file of scores: `cargo +nightly fuzz run scores`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillwatch_evidence::fuzzing::scores(bytes));
