//! What opens the ledger's entries later, kept outside of it: request, salts, slot, texts.
//!
//! One file of JSON lines for each day (UTC) on which exposures began, so that retention takes
//! whole days from the beginning of the ledger, whatever their coins. A line is on the disk
//! before the entry that it opens is written; a line that a crash tore was never relied on.

use crate::GuardError;
use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use stillwatch_evidence::Message;
use stillwatch_evidence::ledger::{CoinSource, ExposureRequest, Opening};

const DAY_MS: i64 = 86_400_000;
/// Longest line that is read back, bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// The request side of an exposure, as its first entry binds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptRequest {
    pub(super) id: String,
    pub(super) account: Option<String>,
    pub(super) messages: Vec<Message>,
    pub(super) model: Option<String>,
    pub(super) params: serde_json::Value,
    /// RFC 3339.
    pub(super) time: String,
}

impl KeptRequest {
    pub(super) fn as_request(&self) -> ExposureRequest<'_> {
        ExposureRequest {
            id: &self.id,
            messages: &self.messages,
            account: self.account.as_deref(),
            model: self.model.as_deref(),
            params: Some(&self.params),
            time: Some(&self.time),
            n_slots: 2,
            coin: CoinSource::Server,
        }
    }
}

/// A line of the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kept", rename_all = "snake_case")]
pub(super) enum Line {
    /// Before the first entry.
    Begun { request: KeptRequest, opening: Opening },
    /// Before the second entry.
    Ended {
        id: String,
        /// As they ended, in slot order.
        texts: [String; 2],
        /// Why the pair is set aside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set_aside: Option<String>,
        /// What the second entry commits to instead, for both slots.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stands_for_both: Option<String>,
    },
}

impl Line {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Begun { request, .. } => &request.id,
            Self::Ended { id, .. } => id,
        }
    }
}

/// The files, open for writing.
#[derive(Debug)]
pub(super) struct Keep {
    dir: PathBuf,
    current: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    day: i64,
    file: File,
    len: u64,
}

impl Keep {
    /// Opens the folder; cuts off what a crash left of a last line.
    pub(super) fn open(dir: PathBuf) -> Result<Self, GuardError> {
        let wrong =
            |source| GuardError::Io { what: format!("can't use {}", dir.display()), source };
        fs_err::create_dir_all(&dir).map_err(wrong)?;
        let latest = days(&dir).map_err(wrong)?.last_key_value().map(|(&day, _)| day);
        let current = latest.map(|day| Segment::open(&dir, day)).transpose().map_err(wrong)?;
        Ok(Self { dir, current })
    }

    /// Appends lines and returns when they are on the disk; all of them or none.
    pub(super) fn append(&mut self, lines: &[Line], now_ms: i64) -> io::Result<()> {
        // A clock that jumps back must not put later exposures into an earlier file.
        let today = now_ms.div_euclid(DAY_MS);
        let day = self.current.as_ref().map_or(today, |segment| segment.day.max(today));
        if self.current.as_ref().is_none_or(|segment| segment.day != day) {
            self.current = Some(Segment::open(&self.dir, day)?);
        }
        match &mut self.current {
            Some(segment) => segment.append(lines),
            None => Ok(()),
        }
    }

    /// Removes the files of days that lie further back than `keep_days`; returns how many.
    pub(super) fn expire(&mut self, keep_days: u32, now_ms: i64) -> io::Result<usize> {
        let first_kept = now_ms.div_euclid(DAY_MS) - i64::from(keep_days);
        let mut n_removed = 0;
        for (day, path) in days(&self.dir)? {
            let is_current = self.current.as_ref().is_some_and(|segment| segment.day == day);
            if day < first_kept && !is_current {
                fs_err::remove_file(path)?;
                n_removed += 1;
            }
        }
        Ok(n_removed)
    }

    /// Removes every line of an account; returns of how many exposures.
    pub(super) fn forget(&mut self, account: &str) -> io::Result<usize> {
        let latest = self.current.take().map(|segment| segment.day);
        let n_forgotten = self.forget_in_files(account);
        self.current = latest.map(|day| Segment::open(&self.dir, day)).transpose()?;
        n_forgotten
    }

    fn forget_in_files(&self, account: &str) -> io::Result<usize> {
        let mut ids = std::collections::BTreeSet::new();
        for path in days(&self.dir)?.into_values() {
            let temporary = path.with_extension("new");
            let mut out = io::BufWriter::new(private(&temporary)?);
            let mut has_changed = false;
            read_file(&path, &mut |line, _, bytes| {
                if let Line::Begun { request, .. } = &line
                    && request.account.as_deref() == Some(account)
                {
                    ids.insert(request.id.clone());
                }
                if ids.contains(line.id()) {
                    has_changed = true;
                    return Ok(());
                }
                out.write_all(bytes)
            })?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            if has_changed {
                fs_err::rename(&temporary, &path)?;
                File::open(&self.dir)?.sync_all()?;
            } else {
                fs_err::remove_file(&temporary)?;
            }
        }
        Ok(ids.len())
    }
}

impl Segment {
    fn open(dir: &Path, day: i64) -> io::Result<Self> {
        let path = dir.join(file_name(day));
        let is_new = !path.exists();
        let mut file = private(&path)?;
        let len = whole_lines(&path)?;
        file.set_len(len)?;
        file.seek(SeekFrom::Start(len))?;
        if is_new {
            File::open(dir)?.sync_all()?;
        }
        Ok(Self { day, file, len })
    }

    fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        let written = self
            .file
            .seek(SeekFrom::Start(self.len))
            .and_then(|_| self.file.write_all(&bytes))
            .and_then(|()| self.file.sync_data());
        if written.is_ok() {
            self.len += bytes.len() as u64;
        } else {
            // Half a batch must not stay; if this fails too, opening cuts it off.
            self.file.set_len(self.len).ok();
        }
        written
    }
}

/// Opens a file that only its owner can read.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn file_name(day: i64) -> String {
    let date = jiff::Timestamp::from_millisecond(day.saturating_mul(DAY_MS))
        .map(|time| time.strftime("%Y-%m-%d").to_string());
    format!("{}.jsonl", date.unwrap_or_else(|_| format!("day{day}")))
}

/// The files by day.
fn days(dir: &Path) -> io::Result<BTreeMap<i64, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let date = name.and_then(|name| name.strip_suffix(".jsonl"));
        let date =
            date.and_then(|date| format!("{date}T00:00:00Z").parse::<jiff::Timestamp>().ok());
        if let Some(date) = date {
            found.insert(date.as_millisecond().div_euclid(DAY_MS), path);
        }
    }
    Ok(found)
}

/// Bytes up to the end of the last whole line.
fn whole_lines(path: &Path) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let (mut read, mut whole) = (0, 0);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(whole);
        }
        if let Some(end) = buffer.iter().rposition(|&byte| byte == b'\n') {
            whole = read + end as u64 + 1;
        }
        let n = buffer.len();
        read += n as u64;
        reader.consume(n);
    }
}

/// Takes a line, its offset and its bytes.
type TakeLine<'a> = dyn FnMut(Line, u64, &[u8]) -> io::Result<()> + 'a;

fn read_file(path: &Path, take: &mut TakeLine<'_>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut bytes = Vec::new();
    let mut offset = 0;
    for number in 1_u64.. {
        bytes.clear();
        let n = io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        if n == 0 || bytes.last() != Some(&b'\n') {
            // The end, or a line that was never finished.
            break;
        }
        let line = serde_json::from_slice(&bytes).map_err(|e| {
            let problem = format!("{}:{number}: {e}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, problem)
        })?;
        take(line, offset, &bytes)?;
        offset += n as u64;
    }
    Ok(())
}

/// Where a line stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    file: usize,
    offset: u64,
    len: usize,
}

/// The files, for reading.
#[derive(Debug)]
pub(super) struct Kept {
    paths: Vec<PathBuf>,
}

impl Kept {
    /// Finds the files; none where the folder is missing.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let paths = if dir.exists() { days(dir)?.into_values().collect() } else { Vec::new() };
        Ok(Self { paths })
    }

    /// All lines in the order in which they were written.
    pub(super) fn each(&self, take: &mut dyn FnMut(Line, Place)) -> io::Result<()> {
        for (file, path) in self.paths.iter().enumerate() {
            read_file(path, &mut |line, offset, bytes| {
                take(line, Place { file, offset, len: bytes.len() });
                Ok(())
            })?;
        }
        Ok(())
    }

    /// One line again.
    pub(super) fn read(&self, place: &Place) -> io::Result<Line> {
        let path = self.paths.get(place.file).ok_or(io::ErrorKind::NotFound)?;
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(place.offset))?;
        let mut bytes = vec![0; place.len];
        io::Read::read_exact(&mut file, &mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(id: &str, account: &str) -> Line {
        Line::Begun {
            request: KeptRequest {
                id: id.to_owned(),
                account: Some(account.to_owned()),
                messages: Vec::new(),
                model: None,
                params: serde_json::json!({}),
                time: "2026-01-01T00:00:00Z".to_owned(),
            },
            opening: Opening { id: id.to_owned(), sequence: 0, salts: Vec::new(), slot: Some(0) },
        }
    }

    fn ended(id: &str) -> Line {
        let texts = ["a".to_owned(), "b\n".to_owned()];
        Line::Ended { id: id.to_owned(), texts, set_aside: None, stands_for_both: None }
    }

    fn ids(dir: &Path) -> Vec<String> {
        let mut ids = Vec::new();
        let kept = Kept::open(dir).expect("opens");
        kept.each(&mut |line, place| {
            assert_eq!(kept.read(&place).expect("reads"), line);
            ids.push(line.id().to_owned());
        })
        .expect("reads");
        ids
    }

    #[test]
    fn days_go_as_a_whole_and_accounts_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().to_path_buf();
        let mut keep = Keep::open(path.clone()).expect("opens");
        keep.append(&[begun("1", "kim"), begun("2", "lee")], 0).expect("writes");
        keep.append(&[ended("1"), begun("3", "kim")], 3 * DAY_MS).expect("writes");
        // The clock jumped back: still the latest file.
        keep.append(&[ended("2"), ended("3"), begun("4", "lee")], 5).expect("writes");
        assert_eq!(ids(&path), ["1", "2", "1", "3", "2", "3", "4"]);
        assert_eq!(keep.forget("kim").expect("rewrites"), 2);
        assert_eq!(ids(&path), ["2", "2", "4"]);
        let mut keep = Keep::open(path.clone()).expect("opens");
        keep.append(&[ended("4")], 0).expect("writes");
        assert_eq!(keep.expire(2, 4 * DAY_MS).expect("removes"), 1);
        assert_eq!(ids(&path), ["2", "4", "4"]);
        assert_eq!(keep.expire(2, 400 * DAY_MS).expect("keeps the current"), 0);
    }

    #[test]
    fn a_torn_line_is_cut_off() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().to_path_buf();
        Keep::open(path.clone()).expect("opens").append(&[begun("1", "kim")], 0).expect("writes");
        let file = path.join(file_name(0));
        let mut bytes = fs_err::read(&file).expect("reads");
        bytes.extend_from_slice(b"{\"kept\":\"begun\",\"requ");
        fs_err::write(&file, bytes).expect("writes");
        assert_eq!(ids(&path), ["1"]);
        let mut keep = Keep::open(path.clone()).expect("opens");
        keep.append(&[ended("1")], 0).expect("writes");
        assert_eq!(ids(&path), ["1", "1"]);
    }
}
