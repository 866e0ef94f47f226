//! Where a log lies: in the file system or in an object store.

use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Where a log lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// An object, by its URL: `s3://bucket/key`, `gs://…`.
    Object(String),
}

impl Location {
    /// As it is shown to people.
    pub fn display(&self) -> impl Display + '_ {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Object(url) => url.clone(),
        }
    }

    /// As errors name it.
    pub fn to_path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Object(url) => PathBuf::from(url),
        }
    }

    /// Opens it for reading from a byte on.
    ///
    /// # Errors
    /// It isn't there, may not be read, or its store can't be reached.
    pub fn open(&self, from: u64, objects: &dyn Objects) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::File(path) => open_file(path, from),
            Self::Object(url) => objects.open(url, from),
        }
    }
}

/// `OpenOptions` rather than fs-err: whoever reports the error names the file.
fn open_file(path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>> {
    let mut file = std::fs::OpenOptions::new().read(true).open(path)?;
    if from > 0 {
        file.seek(SeekFrom::Start(from))?;
    }
    Ok(Box::new(file))
}

/// An object in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its URL.
    pub url: String,
    /// Its size.
    pub bytes: u64,
}

/// Object stores, as far as readers need them. Called from threads that may block.
pub trait Objects: Send + Sync {
    /// The object of this URL, or all objects below it as a prefix, in any order.
    ///
    /// # Errors
    /// The store can't be reached or refuses.
    fn list(&self, url: &str) -> io::Result<Vec<Object>>;

    /// Opens an object for reading from a byte on.
    ///
    /// # Errors
    /// The store can't be reached or refuses.
    fn open(&self, url: &str, from: u64) -> io::Result<Box<dyn Read + Send>>;
}

/// No object store at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObjects;

impl Objects for NoObjects {
    fn list(&self, _url: &str) -> io::Result<Vec<Object>> {
        Err(unreachable_store())
    }

    fn open(&self, _url: &str, _from: u64) -> io::Result<Box<dyn Read + Send>> {
        Err(unreachable_store())
    }
}

fn unreachable_store() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "no object store is set up")
}
