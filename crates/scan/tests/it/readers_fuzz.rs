//! Replays the fuzz corpus, so that a bug found once stays found.

use std::path::{Path, PathBuf};
use stillwatch_scan::fuzzing;

fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs_err::read_dir(dir).expect("the corpus lies beside the workspace");
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Whole files, some cuts and some flipped bits besides.
fn replay(target: &str, times: usize, body: fn(&[u8])) {
    for file in corpus(target) {
        let bytes = fs_err::read(&file).expect("a readable file");
        body(&bytes);
        let step = bytes.len() / times + 1;
        for at in (0..bytes.len()).step_by(step) {
            body(&bytes[..at]);
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            body(&other);
        }
    }
}

#[test]
fn logs() {
    replay("logs", 8, fuzzing::log);
}

#[test]
fn products() {
    replay("logs", 4, fuzzing::products);
}

#[test]
fn mappings() {
    replay("mappings", 100, fuzzing::mapping);
}
