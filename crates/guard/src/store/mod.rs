//! What survives a restart: accounts, limits, decisions, sketches, in SQLite or PostgreSQL.
//!
//! The same queries run on both (`$1` placeholders, no dialect). Each room's queries live in a
//! file of its own here; the ledger is no business of the store.

use crate::{GuardError, Secrets};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where state is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Name of the environment variable that holds a PostgreSQL URL; absent: SQLite in the data
    /// folder.
    pub url_env: Option<String>,
}

/// A pool of connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: sqlx::AnyPool,
}

impl Store {
    /// Opens it and brings its tables up to date.
    ///
    /// # Errors
    /// It can't be reached or written.
    pub async fn open(
        config: &StoreConfig,
        data: &Path,
        secrets: &Secrets,
    ) -> Result<Self, GuardError> {
        sqlx::any::install_default_drivers();
        let url = match config.url_env.as_deref() {
            Some(name) => secrets
                .get(name)
                .ok_or_else(|| GuardError::setting(format!("store.url_env: {name} isn't set")))?
                .expose()
                .to_owned(),
            None => format!("sqlite://{}?mode=rwc", data.join("guard.sqlite").display()),
        };
        let pool = sqlx::AnyPool::connect(&url).await?;
        Ok(Self { pool })
    }

    /// The connections, for queries.
    pub fn pool(&self) -> &sqlx::AnyPool {
        &self.pool
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
