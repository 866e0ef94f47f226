//! The manifest of a case: the question, and the hash of everything that went in.

use crate::source::FileDigest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name and version of the manifest's format.
pub const CASE_SCHEMA: &str = "stillwatch.case/1";

/// A file that went into the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseInput {
    /// What it is in the case: `exposures`, `scores`, `plan`, …; unique.
    pub name: String,
    /// Where it lies, from the case folder.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
}

/// A model that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseModel {
    /// `suspect`, `reference` or `placebo`.
    pub role: String,
    /// Model string.
    pub spec: String,
    /// Hash of its weights; absent for an endpoint.
    pub model_hash: Option<String>,
    /// Hash of its chat template.
    pub template_hash: Option<String>,
    /// Settings that change scores.
    pub settings: serde_json::Value,
}

/// `case.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseManifest {
    /// Name and version of this format.
    pub schema: String,
    /// Version of Stillwatch that made the case.
    pub stillwatch: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// The question in one sentence.
    pub question: String,
    /// Seed of everything stochastic but the coins.
    pub seed: u64,
    /// Parameters of the audit.
    pub parameters: serde_json::Value,
    /// Models that were asked.
    pub models: Vec<CaseModel>,
    /// Files that went in.
    pub inputs: Vec<CaseInput>,
    /// Files that the case itself holds, as they were written.
    pub files: Vec<CaseInput>,
}

impl CaseManifest {
    /// A manifest without models and files. `created` is RFC 3339; clocks are passed in.
    pub fn new(question: &str, created: &str, seed: u64, parameters: serde_json::Value) -> Self {
        Self {
            schema: CASE_SCHEMA.to_owned(),
            stillwatch: env!("CARGO_PKG_VERSION").to_owned(),
            created: created.to_owned(),
            question: question.to_owned(),
            seed,
            parameters,
            models: Vec::new(),
            inputs: Vec::new(),
            files: Vec::new(),
        }
    }
}

/// Enters a file under its name, in place of an older entry of that name.
pub(super) fn enter(entries: &mut Vec<CaseInput>, name: &str, path: String, digest: FileDigest) {
    let (sha256, bytes) = (digest.sha256, digest.bytes);
    let entry = CaseInput { name: name.to_owned(), path, sha256, bytes };
    match entries.iter_mut().find(|entry| entry.name == name) {
        Some(old) => *old = entry,
        None => entries.push(entry),
    }
}
