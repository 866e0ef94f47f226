//! The command line of Stillwatch.
fn main() {}
