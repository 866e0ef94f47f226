//! The configuration: one TOML file, every key with a default, unknown keys refused.
//!
//! Each section's type lives in the module that it configures; this module reads the file,
//! says file, line and key of what is wrong, and checks what several sections must agree on.

use crate::{
    GuardError, exposure::ExposureConfig, limits::LimitsConfig, live::LiveConfig,
    observe::ObserveConfig, policy::PolicyConfig, server::ListenConfig, sharing::SharingConfig,
    store::StoreConfig, upstream::UpstreamConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that can be set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// Folder of the state: SQLite file, ledger, kept exposures.
    pub data: PathBuf,
    /// Where it listens, and with what patience.
    pub listen: ListenConfig,
    /// The models behind it.
    pub upstream: Vec<UpstreamConfig>,
    /// Plans and their limits.
    pub limits: LimitsConfig,
    /// Capture of randomised exposures.
    pub exposure: ExposureConfig,
    /// Countermeasures.
    pub policy: Vec<PolicyConfig>,
    /// Live detection.
    pub live: LiveConfig,
    /// Metrics, logs, spans.
    pub observe: ObserveConfig,
    /// Where accounts, limits and decisions are kept.
    pub store: StoreConfig,
    /// Keyed sharing of indicators.
    pub sharing: SharingConfig,
}

impl GuardConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// File, line and key of what is wrong.
    pub fn read(path: &Path) -> Result<Self, GuardError> {
        let text = fs_err::read_to_string(path).map_err(|source| GuardError::Io {
            what: format!("can't read {}", path.display()),
            source,
        })?;
        Self::parse(&text, Some(path))
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// Line and key of what is wrong.
    pub fn parse(text: &str, file: Option<&Path>) -> Result<Self, GuardError> {
        toml::from_str(text).map_err(|e| {
            let line = e.span().map(|span| {
                1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count() as u64
            });
            GuardError::Config {
                file: file.map(Path::to_path_buf),
                line,
                problem: e.message().to_owned(),
                hint: None,
            }
        })
    }
}
