//! What is left in the token buckets: a level per bucket and when it was true.
//!
//! A node reads and writes levels inside a [`BudgetTx`], which locks the rows, so that several
//! nodes can take from the same bucket. The arithmetic is the business of `limits`.

use super::{ROWS_PER_STATEMENT, Store, placeholders};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One account's.
    Account,
    /// One that accounts of a cluster share.
    Cluster,
}

impl Scope {
    /// `account` or `cluster`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Cluster => "cluster",
        }
    }
}

/// Which budget.
pub type BudgetKey = (Scope, std::sync::Arc<str>);

/// What is left. `None`: the bucket is full.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetRow {
    /// Which.
    pub key: BudgetKey,
    /// Requests, tokens, money in micro-units that could still be taken at `updated_ms`;
    /// below 0 where more was spent than there was.
    pub levels: [Option<f64>; 3],
    /// When, in milliseconds of the database's clock.
    pub updated_ms: i64,
}

/// A transaction over budgets.
#[derive(Debug)]
pub struct BudgetTx {
    tx: Transaction<'static, Any>,
    lock: &'static str,
    /// The time by which levels are counted, milliseconds.
    pub now_ms: i64,
}

fn key(row: &AnyRow) -> Result<BudgetKey, sqlx::Error> {
    let scope: String = row.try_get("scope")?;
    let name: String = row.try_get("name")?;
    let scope = if scope == "cluster" { Scope::Cluster } else { Scope::Account };
    Ok((scope, name.into()))
}

impl Store {
    /// Begins a transaction over budgets.
    ///
    /// # Errors
    /// The database fails.
    pub async fn begin_budgets(&self, clock_ms: i64) -> Result<BudgetTx, sqlx::Error> {
        let mut tx = self.begin().await?;
        let now_ms = self.now_ms(&mut tx, clock_ms).await?;
        let lock = if self.is_shared() { " FOR UPDATE" } else { "" };
        Ok(BudgetTx { tx, lock, now_ms })
    }

    /// Names of the budgets after one, a page at a time, in their order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn budget_keys(
        &self,
        after: Option<&BudgetKey>,
    ) -> Result<Vec<BudgetKey>, sqlx::Error> {
        let (scope, name) = after.map_or(("", ""), |(scope, name)| (scope.name(), &**name));
        self.rows(
            sqlx::query(
                "SELECT scope, name FROM budgets WHERE (scope, name) > ($1, $2) \
                 ORDER BY scope, name LIMIT 10000",
            )
            .bind(scope)
            .bind(name),
            key,
        )
        .await
    }

    /// Removes a budget: its buckets are full again.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_budget(&self, scope: Scope, name: &str) -> Result<(), sqlx::Error> {
        self.run(async {
            sqlx::query("DELETE FROM budgets WHERE scope = $1 AND name = $2")
                .bind(scope.name())
                .bind(name)
                .execute(self.pool())
                .await
        })
        .await
        .map(drop)
    }

    /// Removes budgets that weren't touched since a time: their buckets are full again.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_budgets(&self, before_ms: i64) -> Result<u64, sqlx::Error> {
        self.run(async {
            sqlx::query("DELETE FROM budgets WHERE updated_ms < $1")
                .bind(before_ms)
                .execute(self.pool())
                .await
        })
        .await
        .map(|done| done.rows_affected())
    }
}

impl BudgetTx {
    /// Reads and locks budgets; ones that aren't there are made, full. At most a few hundred at
    /// a time, sorted by the caller, so that nodes don't wait for each other in a circle.
    ///
    /// # Errors
    /// The database fails.
    pub async fn lock(&mut self, keys: &[BudgetKey]) -> Result<Vec<BudgetRow>, sqlx::Error> {
        let mut rows = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(ROWS_PER_STATEMENT) {
            let sql = format!(
                "INSERT INTO budgets (scope, name, updated_ms) VALUES {} \
                 ON CONFLICT (scope, name) DO NOTHING",
                placeholders(chunk.len(), 3)
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
            for (scope, name) in chunk {
                query = query.bind(scope.name()).bind(&**name).bind(self.now_ms);
            }
            query.execute(&mut *self.tx).await?;
            let sql = format!(
                "SELECT scope, name, requests, tokens, money, updated_ms FROM budgets \
                 WHERE (scope, name) IN (VALUES {}) ORDER BY scope, name{}",
                placeholders(chunk.len(), 2),
                self.lock
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
            for (scope, name) in chunk {
                query = query.bind(scope.name()).bind(&**name);
            }
            for row in query.fetch_all(&mut *self.tx).await? {
                rows.push(BudgetRow {
                    key: key(&row)?,
                    levels: [
                        row.try_get("requests")?,
                        row.try_get("tokens")?,
                        row.try_get("money")?,
                    ],
                    updated_ms: row.try_get("updated_ms")?,
                });
            }
        }
        Ok(rows)
    }

    /// Writes budgets that were locked.
    ///
    /// # Errors
    /// The database fails.
    pub async fn write(&mut self, rows: &[BudgetRow]) -> Result<(), sqlx::Error> {
        for chunk in rows.chunks(ROWS_PER_STATEMENT) {
            let sql = format!(
                "INSERT INTO budgets (scope, name, requests, tokens, money, updated_ms) \
                 VALUES {} ON CONFLICT (scope, name) DO UPDATE SET requests = excluded.requests, \
                 tokens = excluded.tokens, money = excluded.money, \
                 updated_ms = excluded.updated_ms",
                placeholders(chunk.len(), 6)
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
            for row in chunk {
                let (scope, name) = &row.key;
                let [requests, tokens, money] = row.levels;
                query = query
                    .bind(scope.name())
                    .bind(&**name)
                    .bind(requests)
                    .bind(tokens)
                    .bind(money)
                    .bind(row.updated_ms);
            }
            query.execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    /// Makes it hold.
    ///
    /// # Errors
    /// The database fails; then nothing was written.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.tx.commit().await
    }
}
