//! The configuration: one TOML file, every key with a default, unknown keys refused.
//!
//! Each section's type lives in the module that it configures; this module reads the file,
//! says file, line and key of what is wrong, and checks what several sections must agree on.

mod check;
mod example;
mod explain;
mod places;

pub use places::Places;

use crate::{
    GuardError, exposure::ExposureConfig, limits::LimitsConfig, live::LiveConfig,
    observe::ObserveConfig, policy::PolicyConfig, server::ListenConfig, sharing::SharingConfig,
    store::StoreConfig, upstream::UpstreamConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The folder of the state where none is named.
pub const DATA_DEFAULT: &str = "stillwatch-data";

/// A configuration file is shorter than this, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Where each key stands; no setting.
    #[serde(skip)]
    pub places: Places,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            data: PathBuf::from(DATA_DEFAULT),
            listen: ListenConfig::default(),
            upstream: Vec::new(),
            limits: LimitsConfig::default(),
            exposure: ExposureConfig::default(),
            policy: Vec::new(),
            live: LiveConfig::default(),
            observe: ObserveConfig::default(),
            store: StoreConfig::default(),
            sharing: SharingConfig::default(),
            places: Places::default(),
        }
    }
}

impl GuardConfig {
    /// Reads a file and checks it.
    ///
    /// # Errors
    /// File, line and key of what is wrong.
    pub fn read(path: &Path) -> Result<Self, GuardError> {
        let io = |source| GuardError::Io { what: format!("can't read {}", path.display()), source };
        let bytes = fs_err::metadata(path).map_err(io)?.len();
        if bytes > FILE_BYTES_MAX {
            let problem = format!("{bytes} bytes long, expected at most {FILE_BYTES_MAX}");
            let hint = "is this the configuration file?".to_owned();
            let file = Some(path.to_path_buf());
            return Err(GuardError::Config { file, line: None, problem, hint: Some(hint) });
        }
        let bytes = fs_err::read(path).map_err(io)?;
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(e) => {
                let valid = bytes.get(..e.valid_up_to()).unwrap_or_default();
                let line = valid.split(|b| *b == b'\n').count() as u64;
                return Err(GuardError::Config {
                    file: Some(path.to_path_buf()),
                    line: Some(line),
                    problem: "this line isn't UTF-8".to_owned(),
                    hint: Some("save the file as UTF-8".to_owned()),
                });
            }
        };
        let config = Self::parse(text, Some(path))?;
        config.check()?;
        Ok(config)
    }

    /// Parses the text of a file; [`Self::check`] is left to the caller.
    ///
    /// # Errors
    /// Line and key of what is wrong.
    pub fn parse(text: &str, file: Option<&Path>) -> Result<Self, GuardError> {
        let places = Places::new(text, file);
        match toml::from_str::<Self>(text) {
            Ok(config) => Ok(Self { places, ..config }),
            Err(e) => Err(explain::explain(&e, text, file, &places)),
        }
    }

    /// For use without a file: one upstream, everything else by default.
    ///
    /// # Errors
    /// Which flag is wrong, and what was expected.
    pub fn from_flags(
        upstream: &str,
        listen: Option<&str>,
        admin: Option<&str>,
        data: Option<&Path>,
        exposure_rate: Option<f64>,
    ) -> Result<Self, GuardError> {
        let keys = toml::Table::from_iter([("url".to_owned(), upstream.into())]);
        let upstream = keys.try_into().map_err(|e: toml::de::Error| {
            GuardError::setting(format!("--upstream: {}", e.message()))
        })?;
        let mut config = Self { upstream: vec![upstream], ..Self::default() };
        if let Some(listen) = listen {
            listen.clone_into(&mut config.listen.public);
        }
        if let Some(admin) = admin {
            admin.clone_into(&mut config.listen.admin);
        }
        if let Some(data) = data {
            config.data = data.to_path_buf();
        }
        if let Some(rate) = exposure_rate {
            config.exposure.rate = rate;
        }
        config.check().map_err(name_flags)?;
        Ok(config)
    }

    /// Names of the environment variables that hold secrets, sorted.
    pub fn secret_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.secret_keys().into_iter().map(|(_, name)| name).collect();
        names.sort();
        names.dedup();
        names
    }

    /// A wrong setting: key (`upstream[1].url`), what is wrong and expected, what to do.
    pub fn wrong(&self, key: &str, problem: &str, hint: Option<&str>) -> GuardError {
        GuardError::Config {
            file: self.places.file.clone(),
            line: self.places.line(key),
            problem: format!("{key}: {problem}"),
            hint: hint.map(str::to_owned),
        }
    }

    /// An example of a file with every key, what it means and its default; it parses as it is.
    pub fn example_toml() -> String {
        example::example()
    }

    /// JSON schema of the file.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

/// Keys as the flags that set them.
fn name_flags(error: GuardError) -> GuardError {
    const FLAGS: [(&str, &str); 5] = [
        ("upstream[0].url", "--upstream"),
        ("listen.public", "--listen"),
        ("listen.admin", "--admin"),
        ("exposure.rate", "--exposure-rate"),
        ("data", "--data"),
    ];
    match error {
        GuardError::Config { file, line, problem, hint } => {
            let flag = FLAGS.iter().find_map(|(key, flag)| {
                let rest = problem.strip_prefix(key)?.strip_prefix(':')?;
                Some(format!("{flag}:{rest}"))
            });
            GuardError::Config { file, line, problem: flag.unwrap_or(problem), hint }
        }
        other => other,
    }
}
