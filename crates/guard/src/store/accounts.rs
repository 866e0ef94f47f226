//! Accounts and plans. Every change has a number, so that nodes read only what is new to them;
//! what was removed stays for a while as a row marked deleted.

use super::Store;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountRow {
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: String,
    /// What the operator notes of it.
    pub note: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// Whether its keys are refused.
    pub disabled: bool,
    /// Whether it was removed.
    #[serde(skip)]
    pub deleted: bool,
    /// Number of its last change.
    #[serde(skip)]
    pub changed: i64,
}

/// A plan that was made or changed through the admin API; it goes before the configuration's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// Its name.
    pub name: String,
    /// Its limits, JSON.
    pub limits: String,
    /// Whether it was removed.
    pub deleted: bool,
    /// Number of its last change.
    pub changed: i64,
}

const COLUMNS: &str = "name, plan, note, created_ms, disabled, deleted, changed";

fn account(row: &AnyRow) -> Result<AccountRow, sqlx::Error> {
    Ok(AccountRow {
        name: row.try_get("name")?,
        plan: row.try_get("plan")?,
        note: row.try_get("note")?,
        created_ms: row.try_get("created_ms")?,
        disabled: row.try_get::<i64, _>("disabled")? != 0,
        deleted: row.try_get::<i64, _>("deleted")? != 0,
        changed: row.try_get("changed")?,
    })
}

fn plan(row: &AnyRow) -> Result<PlanRow, sqlx::Error> {
    Ok(PlanRow {
        name: row.try_get("name")?,
        limits: row.try_get("limits")?,
        deleted: row.try_get::<i64, _>("deleted")? != 0,
        changed: row.try_get("changed")?,
    })
}

impl Store {
    /// Makes an account; `false` where the name is taken.
    ///
    /// # Errors
    /// The database fails.
    pub async fn insert_account(&self, row: &AccountRow) -> Result<bool, sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "keys").await?;
            let made = sqlx::query(
                "INSERT INTO accounts (name, plan, note, created_ms, disabled, deleted, changed) \
                 VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT (name) DO UPDATE SET \
                 plan = excluded.plan, note = excluded.note, created_ms = excluded.created_ms, \
                 disabled = excluded.disabled, deleted = 0, changed = excluded.changed \
                 WHERE accounts.deleted = 1",
            )
            .bind(&row.name)
            .bind(&row.plan)
            .bind(&row.note)
            .bind(row.created_ms)
            .bind(i64::from(row.disabled))
            .bind(changed)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            tx.commit().await?;
            Ok(made == 1)
        })
        .await
    }

    /// Changes plan, note and whether it is disabled; `false` where there is no such account.
    ///
    /// # Errors
    /// The database fails.
    pub async fn update_account(
        &self,
        name: &str,
        plan: Option<&str>,
        note: Option<&str>,
        disabled: Option<bool>,
    ) -> Result<bool, sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "keys").await?;
            let n = sqlx::query(
                "UPDATE accounts SET plan = COALESCE($2, plan), note = COALESCE($3, note), \
                 disabled = COALESCE($4, disabled), changed = $5 WHERE name = $1 AND deleted = 0",
            )
            .bind(name)
            .bind(plan)
            .bind(note)
            .bind(disabled.map(i64::from))
            .bind(changed)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            tx.commit().await?;
            Ok(n == 1)
        })
        .await
    }

    /// Removes an account and revokes its keys; `false` where there is none.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_account(&self, name: &str, now_ms: i64) -> Result<bool, sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "keys").await?;
            let n = sqlx::query(
                "UPDATE accounts SET deleted = 1, note = '', changed = $2, created_ms = $3 \
                 WHERE name = $1 AND deleted = 0",
            )
            .bind(name)
            .bind(changed)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            sqlx::query(
                "UPDATE api_keys SET revoked_ms = COALESCE(revoked_ms, $3), changed = $2 \
                 WHERE account = $1 AND kind = 'virtual'",
            )
            .bind(name)
            .bind(changed)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            sqlx::query("DELETE FROM budgets WHERE scope = 'account' AND name = $1")
                .bind(name)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(n == 1)
        })
        .await
    }

    /// Removes what is left of accounts that were removed before a time, and their keys.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn purge_deleted(&self, before_ms: i64) -> Result<(), sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            for sql in [
                "DELETE FROM api_keys WHERE kind = 'virtual' AND revoked_ms < $1 AND account IN \
                 (SELECT name FROM accounts WHERE deleted = 1 AND created_ms < $1)",
                "DELETE FROM accounts WHERE deleted = 1 AND created_ms < $1",
            ] {
                sqlx::query(sql).bind(before_ms).execute(&mut *tx).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// An account.
    ///
    /// # Errors
    /// The database fails.
    pub async fn account(&self, name: &str) -> Result<Option<AccountRow>, sqlx::Error> {
        self.row(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM accounts WHERE name = $1 AND deleted = 0"
            )))
            .bind(name),
            account,
        )
        .await
    }

    /// Accounts after a name, in the order of names.
    ///
    /// # Errors
    /// The database fails.
    pub async fn accounts(&self, after: &str, limit: i64) -> Result<Vec<AccountRow>, sqlx::Error> {
        self.rows(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM accounts WHERE name > $1 AND deleted = 0 \
                 ORDER BY name LIMIT $2"
            )))
            .bind(after)
            .bind(limit),
            account,
        )
        .await
    }

    /// Accounts whose last change and name come after these two, in that order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn accounts_changed(
        &self,
        after: (i64, &str),
        limit: i64,
    ) -> Result<Vec<AccountRow>, sqlx::Error> {
        self.rows(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM accounts WHERE (changed, name) > ($1, $2) \
                 ORDER BY changed, name LIMIT $3"
            )))
            .bind(after.0)
            .bind(after.1)
            .bind(limit),
            account,
        )
        .await
    }

    /// The number of the last change of accounts, keys and plans.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keys_version(&self) -> Result<i64, sqlx::Error> {
        self.version("keys").await
    }

    /// Makes or changes a plan.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_plan(&self, name: &str, limits: &str) -> Result<(), sqlx::Error> {
        self.write_plan(name, limits, false).await
    }

    /// Removes a plan that the admin API made: the configuration's of that name holds again.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_plan(&self, name: &str) -> Result<(), sqlx::Error> {
        self.write_plan(name, "{}", true).await
    }

    async fn write_plan(&self, name: &str, limits: &str, deleted: bool) -> Result<(), sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "keys").await?;
            sqlx::query(
                "INSERT INTO plans (name, limits, deleted, changed) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (name) DO UPDATE SET limits = excluded.limits, \
                 deleted = excluded.deleted, changed = excluded.changed",
            )
            .bind(name)
            .bind(limits)
            .bind(i64::from(deleted))
            .bind(changed)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// All plans that the admin API made, removed ones among them.
    ///
    /// # Errors
    /// The database fails.
    pub async fn plans(&self) -> Result<Vec<PlanRow>, sqlx::Error> {
        self.rows(
            sqlx::query("SELECT name, limits, deleted, changed FROM plans ORDER BY name"),
            plan,
        )
        .await
    }
}
