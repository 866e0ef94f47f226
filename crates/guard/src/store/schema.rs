//! The tables, as a numbered list of statements that only grows.
//!
//! A version that was released is never edited: a change is a new entry at the end. Two nodes
//! that start at once wait for each other.

use super::{Dialect, Store};
use crate::GuardError;
use sqlx::AssertSqlSafe;

/// Held in PostgreSQL while tables are changed: any number that is ours.
const MIGRATION_LOCK: i64 = 0x5711_A7C4;

/// `{blob}` is the type of bytes.
const MIGRATIONS: [&str; 2] = [
    r"
CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO counters (name, value) VALUES ('keys', 0), ('decisions', 0), ('indicators', 0);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE nodes (
    id TEXT PRIMARY KEY, started_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL);

CREATE TABLE plans (
    name TEXT PRIMARY KEY, limits TEXT NOT NULL, deleted BIGINT NOT NULL, changed BIGINT NOT NULL);
CREATE INDEX plans_changed ON plans (changed);
CREATE TABLE accounts (
    name TEXT PRIMARY KEY, plan TEXT NOT NULL, note TEXT NOT NULL, created_ms BIGINT NOT NULL,
    disabled BIGINT NOT NULL, deleted BIGINT NOT NULL, changed BIGINT NOT NULL);
CREATE INDEX accounts_changed ON accounts (changed, name);
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, account TEXT NOT NULL, hash {blob} NOT NULL UNIQUE,
    prefix TEXT NOT NULL, label TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT,
    revoked_ms BIGINT, changed BIGINT NOT NULL);
CREATE INDEX api_keys_account ON api_keys (account);
CREATE INDEX api_keys_changed ON api_keys (changed, id);

CREATE TABLE budgets (
    scope TEXT NOT NULL, name TEXT NOT NULL, requests DOUBLE PRECISION, tokens DOUBLE PRECISION,
    money DOUBLE PRECISION, updated_ms BIGINT NOT NULL, PRIMARY KEY (scope, name));
CREATE INDEX budgets_updated ON budgets (updated_ms);

CREATE TABLE decisions (
    id TEXT PRIMARY KEY, policy TEXT NOT NULL, measure TEXT NOT NULL, account TEXT NOT NULL,
    cluster TEXT NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL, dry_run BIGINT NOT NULL,
    state TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT, ended_ms BIGINT,
    ended_by TEXT NOT NULL, changed BIGINT NOT NULL);
CREATE INDEX decisions_account ON decisions (account);
CREATE INDEX decisions_created ON decisions (created_ms);
CREATE INDEX decisions_changed ON decisions (changed);
CREATE TABLE appeals (
    id TEXT PRIMARY KEY, decision TEXT NOT NULL, text TEXT NOT NULL, contact TEXT NOT NULL,
    state TEXT NOT NULL, created_ms BIGINT NOT NULL, resolved_ms BIGINT, answer TEXT NOT NULL);
CREATE INDEX appeals_decision ON appeals (decision);
CREATE INDEX appeals_created ON appeals (created_ms);

CREATE TABLE sketches (account TEXT PRIMARY KEY, bytes {blob} NOT NULL, updated_ms BIGINT NOT NULL);
CREATE INDEX sketches_updated ON sketches (updated_ms);
CREATE TABLE analyses (node TEXT PRIMARY KEY, time_ms BIGINT NOT NULL, json TEXT NOT NULL);

CREATE TABLE exposed (
    kind TEXT NOT NULL, hash {blob} NOT NULL, account TEXT NOT NULL, time_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, hash));
CREATE INDEX exposed_time ON exposed (time_ms);
CREATE INDEX exposed_account ON exposed (account);
CREATE TABLE ledger_heads (
    node TEXT NOT NULL, log_id TEXT NOT NULL, tree_size BIGINT NOT NULL, time_ms BIGINT NOT NULL,
    head TEXT NOT NULL, PRIMARY KEY (node, log_id, tree_size));
CREATE INDEX ledger_heads_time ON ledger_heads (time_ms);
CREATE TABLE indicators (
    source TEXT NOT NULL, hash {blob} NOT NULL, label TEXT NOT NULL, added_ms BIGINT NOT NULL,
    changed BIGINT NOT NULL, PRIMARY KEY (source, hash));
CREATE INDEX indicators_changed ON indicators (changed);
",
    r"
CREATE TABLE policy_events (
    id TEXT PRIMARY KEY, time_ms BIGINT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
    subject TEXT NOT NULL, note TEXT NOT NULL, changed BIGINT NOT NULL);
CREATE INDEX policy_events_subject ON policy_events (subject);
CREATE INDEX policy_events_changed ON policy_events (changed);
CREATE INDEX appeals_state ON appeals (state);
",
];

/// Brings the tables up to date, in one transaction.
///
/// # Errors
/// The database fails, or was written by a newer version.
pub(super) async fn migrate(store: &Store) -> Result<(), GuardError> {
    let mut tx = store.begin().await?;
    let blob = match store.dialect() {
        Dialect::Sqlite => "BLOB",
        Dialect::Postgres => {
            // Held to the end of the transaction: the second node finds the work done.
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(MIGRATION_LOCK)
                .execute(&mut *tx)
                .await?;
            "BYTEA"
        }
    };
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .execute(&mut *tx)
        .await?;
    let version: Option<i64> =
        sqlx::query_scalar("SELECT version FROM schema_version").fetch_optional(&mut *tx).await?;
    let done = usize::try_from(version.unwrap_or(0)).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(GuardError::setting(format!(
            "store: its tables have version {done}, this program knows {}: use a newer program",
            MIGRATIONS.len()
        )));
    }
    for migration in MIGRATIONS.iter().skip(done) {
        for statement in migration.split(';').map(str::trim).filter(|s| !s.is_empty()) {
            sqlx::query(AssertSqlSafe(statement.replace("{blob}", blob)))
                .persistent(false)
                .execute(&mut *tx)
                .await?;
        }
    }
    let now = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let statement = match version {
        None => "INSERT INTO schema_version (version) VALUES ($1)",
        Some(_) => "UPDATE schema_version SET version = $1",
    };
    sqlx::query(statement).bind(now).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
