//! What survives a restart: accounts, keys, limits, decisions, sketches, in SQLite or PostgreSQL.
//!
//! The same queries run on both (`$1` placeholders; the few differences are in
//! [`schema`](self) and [`Store::now_ms`]). Each room's queries live in a file of its own here.
//! The ledger is no business of the store: it is a folder of one node.
//!
//! Every query has a time limit. While the database is away the guard serves from memory;
//! [`Store::is_degraded`] says so, and connections come back by themselves.

mod accounts;
mod budgets;
mod decisions;
mod heads;
mod indicators;
mod keys;
mod policy;
mod schema;
mod settings;
mod sketches;
mod texts;

pub use accounts::{AccountRow, PlanRow};
pub use budgets::{BudgetKey, BudgetRow, BudgetTx, Scope};
pub use decisions::{AppealRow, DecisionFilter, DecisionRow};
pub use heads::{HeadRow, NodeRow};
pub use indicators::IndicatorRow;
pub(crate) use keys::VIRTUAL_ONLY;
pub use keys::{KeyKind, KeyRow};
pub use policy::{DecisionWrite, EventRow};
pub use sketches::SketchRow;
pub use texts::{DeletedRows, ExposedKind};

use crate::observe::Metrics;
use crate::{Clock as _, GuardError, Secrets, SystemClock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, Transaction};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long one use of the database may take before it counts as away.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a free connection is waited for.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// What it means for requests that the database is away.
const AWAY: &str = "the database is away: keys and limits are those in memory, changes and \
                    decisions wait";
/// Connections to PostgreSQL of one node.
const POSTGRES_CONNECTIONS: u32 = 8;
/// Connections to the SQLite file: one writes at a time anyway, each costs a thread and a cache.
const SQLITE_CONNECTIONS: u32 = 3;
/// Rows that one multi-row statement takes: SQLite allows 32,766 parameters.
pub(crate) const ROWS_PER_STATEMENT: usize = 200;

/// Where state is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Name of the environment variable that holds a PostgreSQL URL; absent: SQLite in the data
    /// folder.
    pub url_env: Option<String>,
    /// Name of the environment variable that holds the secret under which keys and pseudonyms
    /// are hashed; absent: one is made and kept in the store itself.
    pub secret_env: Option<String>,
}

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// One file, one node.
    Sqlite,
    /// A server that several nodes may share.
    Postgres,
}

#[derive(Debug)]
struct Shared {
    metrics: OnceLock<Arc<Metrics>>,
    dialect: Dialect,
    degraded: AtomicBool,
    failures: AtomicU64,
    data: PathBuf,
    node: String,
    started_ms: i64,
    secret: Option<stillwatch_evidence::Secret>,
}

/// A pool of connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    shared: Arc<Shared>,
}

impl Store {
    /// Opens it and brings its tables up to date. The data folder is made where it is missing,
    /// readable by its owner only.
    ///
    /// # Errors
    /// It can't be reached or written, it was made by a newer version, or the variable of
    /// `store.url_env` isn't set.
    pub async fn open(
        config: &StoreConfig,
        data: &Path,
        secrets: &Secrets,
    ) -> Result<Self, GuardError> {
        sqlx::any::install_default_drivers();
        let named = |key: &str, name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => secrets
                .get(name)
                .cloned()
                .map(Some)
                .ok_or_else(|| GuardError::setting(format!("{key}: {name} isn't set"))),
        };
        let secret = named("store.secret_env", &config.secret_env)?;
        create_private_dir(data)?;
        let (url, dialect) = match named("store.url_env", &config.url_env)? {
            Some(url) if is_postgres(url.expose()) => (url.expose().to_owned(), Dialect::Postgres),
            Some(_) => {
                return Err(GuardError::setting(
                    "store.url_env: expected a URL that begins with postgres://",
                ));
            }
            None => (sqlite_url(&data.join("guard.sqlite"))?, Dialect::Sqlite),
        };
        let pool = AnyPoolOptions::new()
            .max_connections(match dialect {
                Dialect::Sqlite => SQLITE_CONNECTIONS,
                Dialect::Postgres => POSTGRES_CONNECTIONS,
            })
            .min_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .max_lifetime(None)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for statement in session(dialect) {
                        sqlx::query(*statement).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await?;
        let shared = Arc::new(Shared {
            metrics: OnceLock::new(),
            dialect,
            degraded: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            data: data.to_path_buf(),
            node: node(data)?,
            started_ms: SystemClock.now_ms(),
            secret,
        });
        let store = Self { pool, shared };
        schema::migrate(&store).await?;
        Ok(store)
    }

    /// The connections, for queries.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.shared.dialect
    }

    /// Whether other nodes may use it at the same time.
    pub fn is_shared(&self) -> bool {
        self.shared.dialect == Dialect::Postgres
    }

    /// The data folder of this node.
    pub fn data(&self) -> &Path {
        &self.shared.data
    }

    /// The secret of the configuration under which keys are hashed.
    pub(crate) fn secret(&self) -> Option<&stillwatch_evidence::Secret> {
        self.shared.secret.as_ref()
    }

    /// Whether the last use of the database failed because it is away: the guard then serves
    /// from memory.
    pub fn is_degraded(&self) -> bool {
        self.shared.degraded.load(Ordering::Relaxed)
    }

    /// How often a use of the database has failed since the start.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Tells the health of these metrics from now on when the database is away or back.
    pub fn report_to(&self, metrics: &Arc<Metrics>) {
        // Told before: the first one stays.
        let _told = self.shared.metrics.set(Arc::clone(metrics));
    }

    /// Asks the database whether it is there, and notes the answer.
    pub async fn ping(&self) -> bool {
        self.run(async { sqlx::query("SELECT 1").execute(&self.pool).await }).await.is_ok()
    }

    /// Runs queries under the time limit and notes whether the database is there.
    ///
    /// # Errors
    /// Those of the queries; [`sqlx::Error::PoolTimedOut`] after the time limit.
    pub async fn run<T>(
        &self,
        queries: impl Future<Output = Result<T, sqlx::Error>> + Send,
    ) -> Result<T, sqlx::Error> {
        let result = match tokio::time::timeout(QUERY_TIMEOUT, queries).await {
            Ok(result) => result,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        };
        match &result {
            Ok(_) => {
                if self.shared.degraded.swap(false, Ordering::Relaxed) {
                    tracing::info!("the database is back");
                    if let Some(metrics) = self.shared.metrics.get() {
                        metrics.health.restore("store");
                    }
                }
            }
            Err(error) => {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                if is_away(error) && !self.shared.degraded.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the database is away, serving from memory");
                    if let Some(metrics) = self.shared.metrics.get() {
                        metrics.health.degrade("store", AWAY);
                    }
                }
            }
        }
        result
    }

    /// All rows of a query, each read by `read`.
    pub(super) async fn rows<T: Send>(
        &self,
        query: Query<'_, Any, AnyArguments>,
        read: fn(&AnyRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, sqlx::Error> {
        self.run(async { query.fetch_all(&self.pool).await?.iter().map(read).collect() }).await
    }

    /// The row of a query, where there is one.
    pub(super) async fn row<T: Send>(
        &self,
        query: Query<'_, Any, AnyArguments>,
        read: fn(&AnyRow) -> Result<T, sqlx::Error>,
    ) -> Result<Option<T>, sqlx::Error> {
        self.run(async { query.fetch_optional(&self.pool).await?.as_ref().map(read).transpose() })
            .await
    }

    /// The number of the last change of a kind, as [`Self::bump`] counts it.
    pub(super) async fn version(&self, kind: &str) -> Result<i64, sqlx::Error> {
        self.run(async {
            sqlx::query_scalar("SELECT value FROM counters WHERE name = $1")
                .bind(kind)
                .fetch_one(&self.pool)
                .await
        })
        .await
    }

    /// Begins a transaction that will write: SQLite takes its write lock at once, so that it
    /// can't fail half-way.
    ///
    /// # Errors
    /// No connection.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.shared.dialect {
            Dialect::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.pool.begin().await,
        }
    }

    /// The database's clock, which several nodes share; the fallback where it has none of its own.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn now_ms(
        &self,
        tx: &mut Transaction<'static, Any>,
        fallback_ms: i64,
    ) -> Result<i64, sqlx::Error> {
        match self.shared.dialect {
            Dialect::Sqlite => Ok(fallback_ms),
            Dialect::Postgres => {
                sqlx::query_scalar(
                    "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
                )
                .fetch_one(&mut **tx)
                .await
            }
        }
    }

    /// The database's clock, outside a transaction.
    ///
    /// # Errors
    /// The database fails.
    pub async fn clock_ms(&self, fallback_ms: i64) -> Result<i64, sqlx::Error> {
        self.run(async {
            let mut tx = self.pool.begin().await?;
            self.now_ms(&mut tx, fallback_ms).await
        })
        .await
    }

    /// The name of this node: made once, kept in the data folder.
    pub fn node(&self) -> &str {
        &self.shared.node
    }

    /// When this node opened the store, milliseconds since the epoch.
    pub fn started_ms(&self) -> i64 {
        self.shared.started_ms
    }

    /// Counts one change of a kind up, within the transaction that makes it. Writers of one kind
    /// wait for each other, so changes become visible in the order of their numbers.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn bump(
        tx: &mut Transaction<'static, Any>,
        kind: &str,
    ) -> Result<i64, sqlx::Error> {
        sqlx::query("UPDATE counters SET value = value + 1 WHERE name = $1")
            .bind(kind)
            .execute(&mut **tx)
            .await?;
        sqlx::query_scalar("SELECT value FROM counters WHERE name = $1")
            .bind(kind)
            .fetch_one(&mut **tx)
            .await
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// `($1, $2), ($3, $4)`: placeholders of a multi-row statement.
pub(crate) fn placeholders(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            let _infallible = write!(text, "{comma}${}", row * columns + column + 1);
        }
        text.push(')');
    }
    text
}

/// Whether an error means that the database isn't there, rather than that a query was wrong.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // PostgreSQL, five characters: 57P shut down, crashed, starting up; 08 connection; 53300
        // too many. SQLite, shorter: the low byte is 10 for input and output, 13 for a full disk,
        // 14 for a file that can't be opened.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| match code.len() {
            5 => code.starts_with("57P") || code.starts_with("08") || code == "53300",
            _ => code.parse().is_ok_and(|code: u32| matches!(code & 0xff, 10 | 13 | 14)),
        }),
        _ => false,
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// What each connection is told first. SQLite syncs its log before a commit is acknowledged.
fn session(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Sqlite => &[
            "PRAGMA busy_timeout = 5000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            "PRAGMA cache_size = -1024",
        ],
        Dialect::Postgres => &[
            "SET statement_timeout = '8s'",
            "SET lock_timeout = '5s'",
            "SET idle_in_transaction_session_timeout = '30s'",
        ],
    }
}

/// The URL of a file, escaped; the file is made first, for its owner only.
fn sqlite_url(path: &Path) -> Result<String, GuardError> {
    use fs_err::os::unix::fs::OpenOptionsExt;
    let failed = |source: io::Error| GuardError::Io {
        what: format!("can't use {}", path.display()),
        source,
    };
    fs_err::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    let absolute = std::path::absolute(path).map_err(failed)?;
    let mut url = "sqlite://".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            url.push(char::from(*byte));
        } else {
            let _infallible = write!(url, "%{byte:02X}");
        }
    }
    Ok(url + "?mode=rwc")
}

/// The name in the folder's `node` file, which is made where it is missing.
fn node(data: &Path) -> Result<String, GuardError> {
    let path = data.join("node");
    let failed = |source| GuardError::Io { what: format!("can't use {}", path.display()), source };
    match fs_err::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| failed(error.into()))?;
    let name = format!("node-{}", stillwatch_evidence::ledger::to_hex(&bytes));
    fs_err::write(&path, &name).map_err(failed)?;
    Ok(name)
}

/// Makes a folder that only its owner can read; one that is there is left as it is.
fn create_private_dir(path: &Path) -> Result<(), GuardError> {
    use std::os::unix::fs::DirBuilderExt;
    if path.as_os_str().is_empty() {
        return Err(GuardError::setting("data: expected the folder that state is kept in"));
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| GuardError::Io { what: format!("can't make {}", path.display()), source })
}
