//! Foreign bytes as a ledger's file of entries: `cargo +nightly fuzz run ledger`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillwatch_evidence::fuzzing::ledger(bytes));
