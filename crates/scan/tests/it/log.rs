//! Logs for tests.

use std::io::Write as _;
use std::path::Path;
use stillwatch_testkit::traffic::{Replay, ReplayParams};

/// A replay in native JSON lines, dealt out to files.
pub(crate) fn write(folder: &Path, ordinary: usize, n_files: usize) -> Vec<String> {
    let replay = Replay::new(&ReplayParams { ordinary, per_class: 2, ..ReplayParams::default() });
    let paths: Vec<_> = (0..n_files).map(|i| folder.join(format!("log-{i}.jsonl"))).collect();
    let create = |path| fs_err::File::create(path).expect("the log is made");
    let mut files: Vec<_> = paths.iter().map(create).map(std::io::BufWriter::new).collect();
    for (exchange, i) in replay.zip((0..n_files).cycle()) {
        if let Some(file) = files.get_mut(i) {
            serde_json::to_writer(&mut *file, &exchange).expect("it is JSON");
            file.write_all(b"\n").expect("it is written");
        }
    }
    for mut file in files {
        file.flush().expect("it is written");
    }
    paths.iter().map(|p| p.display().to_string()).collect()
}
