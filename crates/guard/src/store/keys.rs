//! Virtual and admin keys: hashes, never the keys.

use super::{ROWS_PER_STATEMENT, Store, placeholders};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// The gateway, for one account.
    Virtual,
    /// The admin API and the dashboard.
    Admin,
}

impl KeyKind {
    fn name(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Admin => "admin",
        }
    }
}

/// A key, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRow {
    /// Its name, no secret.
    pub id: String,
    /// What it opens.
    pub kind: KeyKind,
    /// The account; empty for admin keys.
    pub account: String,
    /// Keyed hash of the key.
    #[serde(skip)]
    pub hash: Vec<u8>,
    /// The first characters of the key.
    pub prefix: String,
    /// What the operator calls it.
    pub label: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// When it ends by itself.
    pub expires_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
    /// Number of its last change.
    #[serde(skip)]
    pub changed: i64,
}

const COLUMNS: &str = "id, kind, account, hash, prefix, label, created_ms, expires_ms, \
                       revoked_ms, changed";

fn key(row: &AnyRow) -> Result<KeyRow, sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    Ok(KeyRow {
        id: row.try_get("id")?,
        kind: if kind == "admin" { KeyKind::Admin } else { KeyKind::Virtual },
        account: row.try_get("account")?,
        hash: row.try_get("hash")?,
        prefix: row.try_get("prefix")?,
        label: row.try_get("label")?,
        created_ms: row.try_get("created_ms")?,
        expires_ms: row.try_get("expires_ms")?,
        revoked_ms: row.try_get("revoked_ms")?,
        changed: row.try_get("changed")?,
    })
}

/// Setting that says that a virtual key was once made: it outlives the key.
pub(crate) const VIRTUAL_ONLY: &str = "keys.virtual_only";

async fn insert(
    tx: &mut Transaction<'static, Any>,
    rows: &[KeyRow],
    changed: i64,
) -> Result<(), sqlx::Error> {
    if rows.iter().any(|row| row.kind == KeyKind::Virtual) {
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, '1') ON CONFLICT (name) DO NOTHING",
        )
        .bind(VIRTUAL_ONLY)
        .execute(&mut **tx)
        .await?;
    }
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let sql =
            format!("INSERT INTO api_keys ({COLUMNS}) VALUES {}", placeholders(chunk.len(), 10));
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for row in chunk {
            query = query
                .bind(&row.id)
                .bind(row.kind.name())
                .bind(&row.account)
                .bind(&row.hash)
                .bind(&row.prefix)
                .bind(&row.label)
                .bind(row.created_ms)
                .bind(row.expires_ms)
                .bind(row.revoked_ms)
                .bind(changed);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

impl Store {
    /// Writes a key. With `only_first`, only where no admin key was ever made by any node: else
    /// `false`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn insert_key(&self, row: &KeyRow, only_first: bool) -> Result<bool, sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            // The counter's row is locked from here on: the second node sees the first's key.
            let changed = Self::bump(&mut tx, "keys").await?;
            if only_first {
                let n: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM api_keys WHERE kind = $1")
                    .bind(row.kind.name())
                    .fetch_one(&mut *tx)
                    .await?;
                if n > 0 {
                    return Ok(false);
                }
            }
            insert(&mut tx, std::slice::from_ref(row), changed).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Writes accounts with a key each, all or none: for imports.
    ///
    /// # Errors
    /// The database fails, or a name is taken.
    pub async fn insert_accounts(
        &self,
        accounts: &[super::AccountRow],
        keys: &[KeyRow],
    ) -> Result<(), sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "keys").await?;
            for chunk in accounts.chunks(ROWS_PER_STATEMENT) {
                let sql = format!(
                    "INSERT INTO accounts (name, plan, note, created_ms, disabled, deleted, \
                     changed) VALUES {}",
                    placeholders(chunk.len(), 7)
                );
                let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
                for row in chunk {
                    query = query
                        .bind(&row.name)
                        .bind(&row.plan)
                        .bind(&row.note)
                        .bind(row.created_ms)
                        .bind(i64::from(row.disabled))
                        .bind(0_i64)
                        .bind(changed);
                }
                query.execute(&mut *tx).await?;
            }
            insert(&mut tx, keys, changed).await?;
            tx.commit().await
        })
        .await
    }

    /// Revokes a key of a kind; `false` where there is none of that name or it was revoked
    /// before.
    ///
    /// # Errors
    /// The database fails.
    pub async fn revoke_key(
        &self,
        kind: KeyKind,
        id: &str,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "keys").await?;
            let n = sqlx::query(
                "UPDATE api_keys SET revoked_ms = $3, changed = $4 \
                 WHERE id = $2 AND kind = $1 AND revoked_ms IS NULL",
            )
            .bind(kind.name())
            .bind(id)
            .bind(now_ms)
            .bind(changed)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            tx.commit().await?;
            Ok(n == 1)
        })
        .await
    }

    /// Keys of a kind after a name, in the order of their names; of one account or of all.
    ///
    /// # Errors
    /// The database fails.
    pub async fn list_keys(
        &self,
        kind: KeyKind,
        account: Option<&str>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<KeyRow>, sqlx::Error> {
        self.rows(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM api_keys WHERE kind = $1 AND ($2 = '' OR account = $2) \
                 AND id > $3 ORDER BY id LIMIT $4"
            )))
            .bind(kind.name())
            .bind(account.unwrap_or(""))
            .bind(after)
            .bind(limit),
            key,
        )
        .await
    }

    /// Keys whose last change and name come after these two, in that order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keys_changed(
        &self,
        after: (i64, &str),
        limit: i64,
    ) -> Result<Vec<KeyRow>, sqlx::Error> {
        self.rows(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM api_keys WHERE (changed, id) > ($1, $2) \
                 ORDER BY changed, id LIMIT $3"
            )))
            .bind(after.0)
            .bind(after.1)
            .bind(limit),
            key,
        )
        .await
    }
}
