//! Indicators of other providers: keyed hashes of templates, by source.

use super::{ROWS_PER_STATEMENT, Store, placeholders};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

/// One indicator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndicatorRow {
    /// Who shared it.
    pub source: String,
    /// The keyed hash.
    pub hash: Vec<u8>,
    /// What the source says of it.
    pub label: String,
    /// When it came, milliseconds since the epoch.
    pub added_ms: i64,
}

fn indicator(row: &AnyRow) -> Result<IndicatorRow, sqlx::Error> {
    Ok(IndicatorRow {
        source: row.try_get("source")?,
        hash: row.try_get("hash")?,
        label: row.try_get("label")?,
        added_ms: row.try_get("added_ms")?,
    })
}

impl Store {
    /// Writes indicators, all or none; one that is there is replaced.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_indicators(&self, rows: &[IndicatorRow]) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "indicators").await?;
            for chunk in rows.chunks(ROWS_PER_STATEMENT) {
                let values = placeholders(chunk.len(), 5);
                let sql = format!(
                    "INSERT INTO indicators (source, hash, label, added_ms, changed) \
                     VALUES {values} ON CONFLICT (source, hash) DO UPDATE SET \
                     label = excluded.label, changed = excluded.changed"
                );
                let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
                for row in chunk {
                    query = query
                        .bind(&row.source)
                        .bind(&row.hash)
                        .bind(&row.label)
                        .bind(row.added_ms)
                        .bind(changed);
                }
                query.execute(&mut *tx).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// Indicators in the order of source and hash.
    ///
    /// # Errors
    /// The database fails.
    pub async fn indicators(
        &self,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<IndicatorRow>, sqlx::Error> {
        self.rows(
            sqlx::query(
                "SELECT source, hash, label, added_ms FROM indicators \
                 ORDER BY source, hash LIMIT $1 OFFSET $2",
            )
            .bind(limit)
            .bind(offset),
            indicator,
        )
        .await
    }

    /// The number of the last change of indicators: nodes poll it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn indicators_version(&self) -> Result<i64, sqlx::Error> {
        self.version("indicators").await
    }

    /// Removes what a source shared.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_indicators(&self, source: &str) -> Result<u64, sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            Self::bump(&mut tx, "indicators").await?;
            let n = sqlx::query("DELETE FROM indicators WHERE source = $1")
                .bind(source)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            tx.commit().await?;
            Ok(n)
        })
        .await
    }
}
