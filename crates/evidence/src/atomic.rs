//! Files that are written whole or not at all.
//!
//! A new file is written beside the old one, flushed to the disk and renamed over it, so that
//! a crash or a full disk at any point leaves either the old contents or the new. Plain
//! `std::fs` calls: [`WriteError`] names the file already, and the temporary name would mislead.

use crate::error::WriteError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Distinguishes the temporary files of one process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Replaces the contents of `path`.
pub fn write(path: &Path, contents: &[u8]) -> Result<(), WriteError> {
    write_with(path, |file| file.write_all(contents))
}

/// Replaces the contents of `path` by whatever `fill` writes.
///
/// When `fill` fails, the old file stays and the temporary one is removed.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let temporary = temporary_beside(path);
    let written = fill_and_rename(&temporary, path, fill);
    if written.is_err() && temporary.exists() {
        // The first error is the one to tell; a left-over temporary file harms nobody.
        fs::remove_file(&temporary).ok();
    }
    written.map_err(|source| WriteError::from_io(path, source))
}

fn fill_and_rename(
    temporary: &Path,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = io::BufWriter::new(File::create_new(temporary)?);
    fill(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    sync_folder(path)
}

fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{n}.tmp", std::process::id()))
}

/// The rename itself must reach the disk too; only Unix lets a folder be synced.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::OpenOptions::new().read(true).open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}
