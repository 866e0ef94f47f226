//! State of live detection: a sketch per account, the latest analysis per node.

use super::{ROWS_PER_STATEMENT, Store, placeholders};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

/// The sketch of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SketchRow {
    /// The account.
    pub account: String,
    /// The sketch, in the form of `traffic`.
    pub bytes: Vec<u8>,
    /// When it was last changed, milliseconds since the epoch.
    pub updated_ms: i64,
}

fn sketch(row: &AnyRow) -> Result<SketchRow, sqlx::Error> {
    Ok(SketchRow {
        account: row.try_get("account")?,
        bytes: row.try_get("bytes")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

impl Store {
    /// Writes sketches, all or none; one that is there is replaced.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_sketches(&self, sketches: &[SketchRow]) -> Result<(), sqlx::Error> {
        if sketches.is_empty() {
            return Ok(());
        }
        self.run(async {
            let mut tx = self.begin().await?;
            for chunk in sketches.chunks(ROWS_PER_STATEMENT) {
                let values = placeholders(chunk.len(), 3);
                let sql = format!(
                    "INSERT INTO sketches (account, bytes, updated_ms) VALUES {values} \
                     ON CONFLICT (account) DO UPDATE SET bytes = excluded.bytes, \
                     updated_ms = excluded.updated_ms"
                );
                let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
                for s in chunk {
                    query = query.bind(&s.account).bind(&s.bytes).bind(s.updated_ms);
                }
                query.execute(&mut *tx).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// The sketch of an account.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sketch(&self, account: &str) -> Result<Option<SketchRow>, sqlx::Error> {
        self.row(
            sqlx::query("SELECT account, bytes, updated_ms FROM sketches WHERE account = $1")
                .bind(account),
            sketch,
        )
        .await
    }

    /// Sketches, the latest changed first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sketches(&self, limit: i64, offset: i64) -> Result<Vec<SketchRow>, sqlx::Error> {
        self.rows(
            sqlx::query(
                "SELECT account, bytes, updated_ms FROM sketches \
                 ORDER BY updated_ms DESC, account LIMIT $1 OFFSET $2",
            )
            .bind(limit)
            .bind(offset),
            sketch,
        )
        .await
    }

    /// Removes sketches that weren't changed since a time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_sketches(&self, before_ms: i64) -> Result<u64, sqlx::Error> {
        self.run(async {
            sqlx::query("DELETE FROM sketches WHERE updated_ms < $1")
                .bind(before_ms)
                .execute(self.pool())
                .await
        })
        .await
        .map(|done| done.rows_affected())
    }

    /// Keeps the latest analysis of a node, JSON.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_analysis(
        &self,
        node: &str,
        time_ms: i64,
        json: &str,
    ) -> Result<(), sqlx::Error> {
        self.run(async {
            sqlx::query(
                "INSERT INTO analyses (node, time_ms, json) VALUES ($1, $2, $3) \
                 ON CONFLICT (node) DO UPDATE SET time_ms = excluded.time_ms, json = excluded.json",
            )
            .bind(node)
            .bind(time_ms)
            .bind(json)
            .execute(self.pool())
            .await
        })
        .await
        .map(drop)
    }

    /// The latest analyses: node, time, JSON.
    ///
    /// # Errors
    /// The database fails.
    pub async fn analyses(&self) -> Result<Vec<(String, i64, String)>, sqlx::Error> {
        self.run(async {
            sqlx::query_as("SELECT node, time_ms, json FROM analyses ORDER BY node")
                .fetch_all(self.pool())
                .await
        })
        .await
    }
}
