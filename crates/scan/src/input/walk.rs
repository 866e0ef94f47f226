//! Paths, globs and folders to files, each file once.
//!
//! Folders are walked to their ends, links followed. A folder is entered once, whatever its
//! name, so a loop of links ends. Within folders hidden names are passed over, and so are names
//! that no log has; a file that was named is taken whatever it is called.

use super::{Location, Log};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What logs are called; more may follow for the compression.
const LOG_ENDINGS: [&str; 8] = ["csv", "json", "jsonl", "log", "ndjson", "parquet", "tsv", "txt"];
const COMPRESSED_ENDINGS: [&str; 4] = ["gz", "gzip", "zst", "zstd"];

/// A file or folder, whatever it is called.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
fn identity(_path: &Path, metadata: &std::fs::Metadata) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path, _metadata: &std::fs::Metadata) -> io::Result<Identity> {
    path.canonicalize()
}

/// What a walk has found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    found: Vec<(PathBuf, Identity, u64)>,
    entered: BTreeSet<Identity>,
    pub(super) unreadable: Vec<(PathBuf, String)>,
    pub(super) n_passed_over: u64,
}

impl Walk {
    /// Takes what was given: a file, a folder, or a glob where neither has that name.
    pub(super) fn given(&mut self, given: &str) {
        let path = Path::new(given);
        let missing = path.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        if missing && given.contains(['*', '?', '[']) {
            self.glob(given);
        } else {
            self.take(path, false);
        }
    }

    /// Files, sorted, each once, under the first of its names.
    pub(super) fn logs(&mut self) -> Vec<Log> {
        let mut found = std::mem::take(&mut self.found);
        found.sort();
        let mut seen = BTreeSet::new();
        let log = |(path, identity, bytes)| {
            seen.insert(identity).then_some(Log { location: Location::File(path), bytes })
        };
        found.into_iter().filter_map(log).collect()
    }

    fn glob(&mut self, pattern: &str) {
        let options = glob::MatchOptions {
            require_literal_leading_dot: true,
            ..glob::MatchOptions::default()
        };
        let paths = match glob::glob_with(pattern, options) {
            Ok(paths) => paths,
            Err(error) => {
                let reason = format!("not a glob: {} at byte {}", error.msg, error.pos);
                return self.unreadable.push((pattern.into(), reason));
            }
        };
        let mut any = false;
        for path in paths {
            any = true;
            match path {
                Ok(path) => self.take(&path, false),
                Err(error) => {
                    let reason = error.error().to_string();
                    self.unreadable.push((error.path().to_owned(), reason));
                }
            }
        }
        if !any {
            self.unreadable.push((pattern.into(), "no file has such a name".to_owned()));
        }
    }

    /// `inside`: found in a folder rather than named.
    fn take(&mut self, path: &Path, inside: bool) {
        let looked = path.metadata().and_then(|m| identity(path, &m).map(|identity| (m, identity)));
        let (metadata, identity) = match looked {
            Ok(both) => both,
            Err(error) => {
                let dangling = error.kind() == io::ErrorKind::NotFound && path.is_symlink();
                let reason =
                    if dangling { "a link to nothing".to_owned() } else { error.to_string() };
                return self.unreadable.push((path.to_owned(), reason));
            }
        };
        if metadata.is_dir() {
            if self.entered.insert(identity) {
                self.enter(path);
            }
        } else if inside && (!metadata.is_file() || !is_called_like_a_log(path)) {
            self.n_passed_over += 1;
        } else if metadata.is_file() {
            self.found.push((path.to_owned(), identity, metadata.len()));
        } else {
            let reason = "neither a file nor a folder: save what it gives to a file".to_owned();
            self.unreadable.push((path.to_owned(), reason));
        }
    }

    fn enter(&mut self, folder: &Path) {
        let entries = folder.read_dir().and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths: Vec<PathBuf> = match entries {
            Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
            Err(error) => return self.unreadable.push((folder.to_owned(), error.to_string())),
        };
        paths.sort();
        for path in paths {
            let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            if !hidden {
                self.take(&path, true);
            }
        }
    }
}

fn is_called_like_a_log(path: &Path) -> bool {
    let ending = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let is_one_of = |ending: &Option<String>, known: &[&str]| {
        ending.as_deref().is_some_and(|ending| known.contains(&ending))
    };
    let last = ending(path);
    if is_one_of(&last, &COMPRESSED_ENDINGS) {
        let inner = path.with_extension("");
        let inner = ending(&inner);
        return inner.is_none() || is_one_of(&inner, &LOG_ENDINGS);
    }
    last.is_none() || is_one_of(&last, &LOG_ENDINGS)
}
