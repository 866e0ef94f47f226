//! What is kept of single requests: hashes of exposed conversations and released texts. And the
//! deletion of everything that is kept of one account's behaviour.

use super::Store;
use serde::Serialize;

/// What a hash in the exposure bookkeeping is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExposedKind {
    /// A conversation that had its one exposure.
    Conversation,
    /// A text that was released in an exposure.
    Released,
}

impl ExposedKind {
    fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Released => "released",
        }
    }
}

/// How many rows a deletion took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DeletedRows {
    /// Sketches of behaviour.
    pub sketches: u64,
    /// Decisions whose measurements were removed.
    pub decisions: u64,
    /// Appeals whose texts were removed.
    pub appeals: u64,
    /// Exposure bookkeeping.
    pub exposed: u64,
}

impl Store {
    /// Notes a hash; `false` where it was noted before (by any node).
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_exposed(
        &self,
        kind: ExposedKind,
        hash: &[u8],
        account: &str,
        time_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        self.run(async {
            sqlx::query(
                "INSERT INTO exposed (kind, hash, account, time_ms) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (kind, hash) DO NOTHING",
            )
            .bind(kind.name())
            .bind(hash)
            .bind(account)
            .bind(time_ms)
            .execute(self.pool())
            .await
        })
        .await
        .map(|done| done.rows_affected() == 1)
    }

    /// Hashes noted after a time, oldest first: to warm a node's memory.
    ///
    /// # Errors
    /// The database fails.
    pub async fn exposed(
        &self,
        kind: ExposedKind,
        after_ms: i64,
        limit: i64,
    ) -> Result<Vec<(Vec<u8>, i64)>, sqlx::Error> {
        self.run(async {
            sqlx::query_as(
                "SELECT hash, time_ms FROM exposed WHERE kind = $1 AND time_ms > $2 \
                 ORDER BY time_ms, hash LIMIT $3",
            )
            .bind(kind.name())
            .bind(after_ms)
            .bind(limit)
            .fetch_all(self.pool())
            .await
        })
        .await
    }

    /// Removes everything that the store keeps of an account's behaviour and texts. Its name,
    /// keys and limits stay, and so does that a decision was made, without what was measured.
    ///
    /// # Errors
    /// The database fails; then nothing was removed.
    pub async fn delete_account_data(&self, account: &str) -> Result<DeletedRows, sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "decisions").await?;
            let mut deleted = DeletedRows::default();
            for (sql, n) in [
                ("DELETE FROM sketches WHERE account = $1", &mut deleted.sketches),
                ("DELETE FROM exposed WHERE account = $1", &mut deleted.exposed),
                (
                    "UPDATE appeals SET text = '', contact = '' WHERE decision IN \
                     (SELECT id FROM decisions WHERE account = $1)",
                    &mut deleted.appeals,
                ),
            ] {
                *n = sqlx::query(sql).bind(account).execute(&mut *tx).await?.rows_affected();
            }
            deleted.decisions =
                sqlx::query("UPDATE decisions SET detail = '{}', changed = $2 WHERE account = $1")
                    .bind(account)
                    .bind(changed)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }
}
