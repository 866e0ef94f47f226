//! Which logs are meant by what was given: files, globs, folders, objects in stores.
//!
//! It looks at names only. Whether a file can be opened and what is in it is found out when the
//! readers plan their work; stores themselves are reached by whoever implements [`Objects`].

mod location;
mod walk;

pub use location::{Location, NoObjects, Object, Objects};

use crate::ScanError;
use std::path::PathBuf;
use walk::Walk;

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Where it lies.
    pub location: Location,
    /// Its size.
    pub bytes: u64,
}

/// The logs that were found, and what couldn't be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Logs, sorted, each once.
    pub logs: Vec<Log>,
    /// What couldn't be read, with the reason. A scan of the rest is partial.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Files in folders that aren't called like logs.
    pub n_passed_over: u64,
}

/// Finds the logs in the file system.
///
/// # Errors
/// Nothing is left to read.
pub fn find(paths: &[String]) -> Result<Inputs, ScanError> {
    find_with(paths, &NoObjects)
}

/// Finds the logs in the file system and in object stores.
///
/// # Errors
/// Nothing is left to read.
pub fn find_with(paths: &[String], objects: &dyn Objects) -> Result<Inputs, ScanError> {
    let mut walk = Walk::default();
    let mut remote: Vec<Log> = Vec::new();
    for path in paths {
        if !path.contains("://") {
            walk.given(path);
            continue;
        }
        match objects.list(path) {
            Ok(found) if found.is_empty() => {
                walk.unreadable.push((path.into(), "no object has such a name".to_owned()));
            }
            Ok(found) => {
                remote.extend(found.into_iter().map(|object| Log {
                    location: Location::Object(object.url),
                    bytes: object.bytes,
                }));
            }
            Err(error) => walk.unreadable.push((path.into(), error.to_string())),
        }
    }
    remote.sort_by(|a, b| a.location.cmp(&b.location));
    remote.dedup_by(|a, b| a.location == b.location);
    let mut logs = walk.logs();
    logs.append(&mut remote);
    let inputs = Inputs { logs, unreadable: walk.unreadable, n_passed_over: walk.n_passed_over };
    if !inputs.logs.is_empty() {
        return Ok(inputs);
    }
    Err(match inputs.unreadable.into_iter().next() {
        Some((path, reason)) => ScanError::Unreadable { path, reason },
        None => ScanError::Empty { paths: paths.to_vec() },
    })
}
