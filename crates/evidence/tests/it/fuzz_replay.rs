//! Replays the fuzz corpus, so that a bug found once stays found.

use std::path::{Path, PathBuf};
use stillwatch_evidence::fuzzing;

fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs_err::read_dir(dir).expect("the corpus lies beside the workspace");
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn replay(target: &str, body: fn(&[u8])) {
    for file in corpus(target) {
        let bytes = fs_err::read(&file).expect("a readable file");
        // Every cut and some flipped bits besides: cheap, and they reach the odd paths.
        for cut in 0..=bytes.len() {
            body(bytes.get(..cut).unwrap_or_default());
        }
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            body(&other);
        }
    }
}

#[test]
fn exposures() {
    replay("exposures", fuzzing::exposures);
}

#[test]
fn scores() {
    replay("scores", fuzzing::scores);
}

#[test]
fn ledger() {
    replay("ledger", fuzzing::ledger);
}
