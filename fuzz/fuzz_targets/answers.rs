//! Foreign bytes as answers of every shape: `cargo +nightly fuzz run answers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillwatch_guard::fuzzing::answer(bytes));
