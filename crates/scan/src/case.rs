//! The folder of a scan's case: what went in by its hash, what came out, the page for people.
//!
//! ```text
//! case.json     the manifest: parameters, logs with their hashes, files of the case
//! result.json   what was found; same seed and logs, same bytes
//! rejects.jsonl lines that can't be read, each with its reason
//! report.html   the same for people
//! ```

use crate::input::Location;
use crate::readers::Plan;
use crate::result::ScanResult;
use std::path::Path;
use stillwatch_evidence::{
    CaseInput, CaseManifest, ReadError, Reject, WriteError, atomic, digest_bytes, digest_file,
    write_rejects,
};

/// What goes into a case.
#[derive(Debug, Clone, Copy)]
pub struct CaseFiles<'a> {
    /// What was found.
    pub result: &'a ScanResult,
    /// The page.
    pub report: &'a str,
    /// Bad lines.
    pub rejects: &'a [Reject],
    /// Hashes of the logs, from [`digests`].
    pub inputs: &'a [CaseInput],
    /// When, RFC 3339.
    pub created: &'a str,
    /// Flags that matter.
    pub parameters: &'a serde_json::Value,
}

/// Hashes the logs that lie in the file system.
///
/// # Errors
/// A log that can't be read any more.
pub fn digests(plan: &Plan) -> Result<Vec<CaseInput>, ReadError> {
    let mut inputs = Vec::new();
    for detected in &plan.detected {
        let Location::File(path) = &detected.file else { continue };
        let digest = digest_file(path)?;
        inputs.push(CaseInput {
            name: detected.file.display().to_string(),
            path: path.display().to_string(),
            sha256: digest.sha256,
            bytes: digest.bytes,
        });
    }
    Ok(inputs)
}

/// Writes the folder; files of an earlier scan in it are replaced, each whole or not at all.
///
/// # Errors
/// The disk.
pub fn write(dir: &Path, files: &CaseFiles<'_>) -> Result<(), WriteError> {
    let failed = |source| WriteError::from_io(dir, source);
    fs_err::create_dir_all(dir).map_err(failed)?;
    let mut result =
        serde_json::to_vec_pretty(files.result).map_err(|error| failed(error.into()))?;
    result.push(b'\n');
    let question = "Who harvested, by these logs?";
    let seed = files.result.seed.unwrap_or(0);
    let mut manifest = CaseManifest::new(question, files.created, seed, files.parameters.clone());
    manifest.inputs = files.inputs.to_vec();
    let mut put = |name: &str, bytes: &[u8]| -> Result<(), WriteError> {
        atomic::write(&dir.join(name), bytes)?;
        let digest = digest_bytes(bytes);
        manifest.files.push(CaseInput {
            name: name.to_owned(),
            path: name.to_owned(),
            sha256: digest.sha256,
            bytes: digest.bytes,
        });
        Ok(())
    };
    put("result.json", &result)?;
    put("report.html", files.report.as_bytes())?;
    if !files.rejects.is_empty() {
        write_rejects(&dir.join("rejects.jsonl"), files.rejects)?;
    }
    let mut json = serde_json::to_vec_pretty(&manifest).map_err(|error| failed(error.into()))?;
    json.push(b'\n');
    atomic::write(&dir.join("case.json"), &json)
}
