//! The binary: install the TLS provider, hand over to the library, leave with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider for the process; a second call (never here) would be an error to ignore.
    let installed = rustls::crypto::ring::default_provider().install_default();
    debug_assert!(installed.is_ok());
    stillwatch::run(std::env::args_os().collect())
}
