//! A case: the folder that holds a question, the hash of everything that went in, and what was
//! found, so that anyone can run it again.
//!
//! ```text
//! case.json     the manifest: question, parameters, models, inputs with their hashes
//! plan.json     the sealed plan, where there is one
//! scores.csv    what the models gave to each text
//! result.json   the verdict and its findings
//! report.html   the same for people
//! rejects.jsonl lines of the inputs that can't be read, each with its reason
//! cache/        scores by content, so that an interrupted run goes on
//! ```
//!
//! Every file is written whole or not at all, and entered in the manifest with its hash.
//! Whether the verdict follows from the scores is for the audit to replay.

mod error;
mod manifest;
mod paths;

pub use error::CaseError;
pub use manifest::{CASE_SCHEMA, CaseInput, CaseManifest, CaseModel};

use crate::atomic;
use crate::error::{ReadError, WriteError};
use crate::jsonl::{Reject, write_rejects};
use crate::scores::{ScoreTable, read_scores, write_scores};
use crate::source::{FileDigest, digest_bytes, digest_file};
use crate::{AuditResult, result_json};
use serde::Serialize;
use std::path::{Path, PathBuf};

const MANIFEST: &str = "case.json";
const PLAN: &str = "plan.json";
const SCORES: &str = "scores.csv";
const RESULT: &str = "result.json";
const REPORT: &str = "report.html";
const REJECTS: &str = "rejects.jsonl";
const CACHE: &str = "cache";

/// A manifest longer than this is none, bytes.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An open case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    dir: PathBuf,
    manifest: CaseManifest,
}

/// An entry of the manifest that the disk no longer bears out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Name of the entry.
    pub name: String,
    /// Where the file was looked for.
    pub path: PathBuf,
    /// The hash in the manifest.
    pub expected_sha256: String,
    /// The hash on disk; absent where the file is missing or can't be read.
    pub found_sha256: Option<String>,
    /// Why it can't be read, where it can't.
    pub problem: Option<String>,
}

impl Case {
    /// Makes the folder (and its parents) and writes the manifest.
    ///
    /// Errors: a case is there already (open it to go on with it), a file that isn't a case's
    /// would be overwritten, or the disk.
    pub fn create(dir: &Path, manifest: CaseManifest) -> Result<Self, CaseError> {
        if dir.join(MANIFEST).exists() {
            return Err(CaseError::Exists { dir: dir.to_owned() });
        }
        // A sealed plan may be there before its case; anything else belongs to someone else.
        let ours = [SCORES, RESULT, REPORT, REJECTS].map(|name| dir.join(name));
        if let Some(file) = ours.into_iter().find(|file| file.exists()) {
            return Err(CaseError::Occupied { file });
        }
        let cache = dir.join(CACHE);
        std::fs::DirBuilder::new()
            .recursive(true)
            .create(&cache)
            .map_err(|source| WriteError::from_io(&cache, source))?;
        let case = Self { dir: dir.to_owned(), manifest };
        case.save()?;
        Ok(case)
    }

    /// Opens a case. Whether its files are unchanged is asked by [`Case::changes`].
    pub fn open(dir: &Path) -> Result<Self, CaseError> {
        let path = dir.join(MANIFEST);
        if !path.exists() {
            return Err(CaseError::NoCase { dir: dir.to_owned() });
        }
        let manifest: CaseManifest = read_json(&path)?;
        if manifest.schema != CASE_SCHEMA {
            return Err(CaseError::Schema { file: path, found: manifest.schema });
        }
        Ok(Self { dir: dir.to_owned(), manifest })
    }

    /// Opens the case where there is one, else creates it: how an interrupted run goes on.
    ///
    /// Errors: the folder holds a case of another question, seed or parameters.
    pub fn resume(dir: &Path, manifest: CaseManifest) -> Result<Self, CaseError> {
        if !dir.join(MANIFEST).exists() {
            return Self::create(dir, manifest);
        }
        let case = Self::open(dir)?;
        let old = &case.manifest;
        let differs = [
            ("question", old.question != manifest.question),
            ("seed", old.seed != manifest.seed),
            ("parameters", old.parameters != manifest.parameters),
        ];
        match differs.iter().find(|(_, differs)| *differs) {
            Some((what, _)) => Err(CaseError::Differs { dir: dir.to_owned(), what }),
            None => Ok(case),
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The manifest.
    pub fn manifest(&self) -> &CaseManifest {
        &self.manifest
    }

    /// Hashes a file and enters it among the inputs under `name`, in place of an older entry.
    pub fn add_input(&mut self, name: &str, path: &Path) -> Result<FileDigest, CaseError> {
        let digest = digest_file(path)?;
        self.enter_input(name, path, digest.clone())?;
        Ok(digest)
    }

    /// Enters an input whose hash is known from reading it.
    pub fn enter_input(
        &mut self,
        name: &str,
        path: &Path,
        digest: FileDigest,
    ) -> Result<(), CaseError> {
        let path = paths::from_folder(&self.dir, path);
        manifest::enter(&mut self.manifest.inputs, name, path, digest);
        self.save()
    }

    /// Enters the models that are asked, in place of those entered before.
    pub fn set_models(&mut self, models: Vec<CaseModel>) -> Result<(), CaseError> {
        self.manifest.models = models;
        self.save()
    }

    /// Where scores are cached by content.
    pub fn cache_dir(&self) -> PathBuf {
        self.dir.join(CACHE)
    }

    /// Where the sealed plan lies, if there is one.
    pub fn plan_path(&self) -> PathBuf {
        self.dir.join(PLAN)
    }

    /// Where the scores lie.
    pub fn scores_path(&self) -> PathBuf {
        self.dir.join(SCORES)
    }

    /// Where the result lies.
    pub fn result_path(&self) -> PathBuf {
        self.dir.join(RESULT)
    }

    /// Where the report lies.
    pub fn report_path(&self) -> PathBuf {
        self.dir.join(REPORT)
    }

    /// Writes the sealed plan byte for byte as it is given.
    pub fn write_plan(&mut self, plan: &[u8]) -> Result<(), CaseError> {
        self.write_file(PLAN, plan)
    }

    /// Writes the scores.
    pub fn write_scores(&mut self, table: &ScoreTable) -> Result<(), CaseError> {
        let digest = write_scores(&self.scores_path(), table)?;
        self.enter_file(SCORES, digest)
    }

    /// Reads the scores back.
    pub fn read_scores(&self) -> Result<ScoreTable, CaseError> {
        Ok(read_scores(&self.scores_path())?)
    }

    /// Writes the result in its canonical form, see [`result_json`].
    pub fn write_result(&mut self, result: &AuditResult) -> Result<(), CaseError> {
        let json = result_json(result)
            .map_err(|problem| WriteError::Value { file: self.result_path(), problem })?;
        self.write_file(RESULT, json.as_bytes())
    }

    /// Reads the result back.
    pub fn read_result(&self) -> Result<AuditResult, CaseError> {
        read_json(&self.result_path())
    }

    /// Writes the lines of the inputs that can't be read.
    pub fn write_rejects(&mut self, rejects: &[Reject]) -> Result<PathBuf, CaseError> {
        let path = self.dir.join(REJECTS);
        write_rejects(&path, rejects)?;
        self.enter_file(REJECTS, digest_file(&path)?)?;
        Ok(path)
    }

    /// Writes the report.
    pub fn write_report(&mut self, html: &str) -> Result<(), CaseError> {
        self.write_file(REPORT, html.as_bytes())
    }

    /// Hashes every input and every file of the case again, and lists what is changed or
    /// missing, inputs first. An input is looked for at its path from the case folder, at that
    /// path from the working folder, and by its name in the case folder.
    pub fn changes(&self) -> Vec<Change> {
        let inputs = self.manifest.inputs.iter().map(|entry| {
            let name = Path::new(&entry.path).file_name().unwrap_or_default();
            let places =
                [self.dir.join(&entry.path), PathBuf::from(&entry.path), self.dir.join(name)];
            (entry, places.to_vec())
        });
        let files =
            self.manifest.files.iter().map(|entry| (entry, vec![self.dir.join(&entry.path)]));
        inputs.chain(files).filter_map(|(entry, places)| change(entry, &places)).collect()
    }

    fn write_file(&mut self, name: &str, contents: &[u8]) -> Result<(), CaseError> {
        atomic::write(&self.dir.join(name), contents)?;
        self.enter_file(name, digest_bytes(contents))
    }

    fn enter_file(&mut self, name: &str, digest: FileDigest) -> Result<(), CaseError> {
        manifest::enter(&mut self.manifest.files, name, name.to_owned(), digest);
        self.save()
    }

    fn save(&self) -> Result<(), CaseError> {
        let path = self.dir.join(MANIFEST);
        let mut json = serde_json::to_vec_pretty(&self.manifest)
            .map_err(|error| WriteError::from_io(&path, error.into()))?;
        json.push(b'\n');
        Ok(atomic::write(&path, &json)?)
    }
}

/// The first place with the right bytes clears the entry; else the first file found is told.
fn change(entry: &CaseInput, places: &[PathBuf]) -> Option<Change> {
    let mut seen: Option<(PathBuf, Result<FileDigest, ReadError>)> = None;
    for place in places {
        let digest = digest_file(place);
        if digest.as_ref().is_ok_and(|digest| digest.sha256 == entry.sha256) {
            return None;
        }
        if seen.as_ref().is_none_or(|(_, old)| old.is_err() && digest.is_ok()) {
            seen = Some((place.clone(), digest));
        }
    }
    let (path, digest) = seen?;
    let problem = digest.as_ref().err().map(|error| crate::Report::report(error).message);
    Some(Change {
        name: entry.name.clone(),
        path,
        expected_sha256: entry.sha256.clone(),
        found_sha256: digest.ok().map(|digest| digest.sha256),
        problem,
    })
}

/// Reads a bounded JSON file; the error names line and field.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, CaseError> {
    let bytes = crate::source::read_bounded(path, MANIFEST_BYTES_MAX)?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        let line = inner.line() as u64;
        let problem = crate::jsonl::without_position(&inner);
        let problem = if field == "." { problem } else { format!("field `{field}`: {problem}") };
        CaseError::Malformed { file: path.to_owned(), line, problem }
    })
}
