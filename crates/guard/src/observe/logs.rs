//! Log lines: for people or for machines, without prompts, keys and bodies.
//!
//! Only this room decides what is in the line of a request ([`super::Observer::ended`]). Lines of
//! libraries are let through from `warn` on, because their debug lines hold headers.

use super::{LogFormat, ObserveConfig};
use crate::GuardError;
use std::io;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// Levels that can be asked for.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Whether this is the name of a level.
pub(crate) fn is_level(level: &str) -> bool {
    LEVELS.contains(&level)
}

/// A subscriber that writes lines to `writer`.
///
/// # Errors
/// The level isn't one.
pub fn subscriber<W>(
    config: &ObserveConfig,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, GuardError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    if !is_level(&config.log_level) {
        let levels = LEVELS.join(", ");
        return Err(GuardError::setting(format!(
            "observe.log_level: {:?} is no level, expected one of {levels}",
            config.log_level
        )));
    }
    let own = format!("warn,stillwatch={0},stillwatch_guard={0}", config.log_level);
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse(own)
        .map_err(|e| GuardError::setting(format!("observe.log_level: {e}")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match config.log_format {
        LogFormat::Human => Box::new(lines.with_ansi(false).finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}

/// Writes log lines of this process to standard error from now on. The binary calls it once.
///
/// # Errors
/// The level isn't one, or lines are written elsewhere already.
pub fn init(config: &ObserveConfig) -> Result<(), GuardError> {
    let subscriber = subscriber(config, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|e| GuardError::setting(format!("logs can't be set up: {e}")))
}
