//! Decisions about accounts and clusters, and appeals against them.

use super::Store;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

/// A decision: what is done about an account, since when, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionRow {
    /// Its name, unguessable.
    pub id: String,
    /// The policy that made it.
    pub policy: String,
    /// The measure, snake case.
    pub measure: String,
    /// The account that it is about; empty where it is about a cluster.
    pub account: String,
    /// The cluster that it is about or was made for; else empty.
    pub cluster: String,
    /// Stable reason code, snake case.
    pub code: String,
    /// What was measured, JSON.
    pub detail: String,
    /// Whether it is only noted.
    pub dry_run: bool,
    /// `active`, `pending`, `lifted`, `expired`, …: the words of `policy`.
    pub state: String,
    /// When, milliseconds since the epoch.
    pub created_ms: i64,
    /// When it ends by itself.
    pub expires_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Who or what ended it; empty while it lasts.
    pub ended_by: String,
    /// Number of its last change, set by the store.
    pub changed: i64,
}

/// An appeal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppealRow {
    /// Its name.
    pub id: String,
    /// The decision that it contests.
    pub decision: String,
    /// What the appellant says.
    pub text: String,
    /// Where to answer; may be empty.
    pub contact: String,
    /// `open`, `upheld` or `rejected`.
    pub state: String,
    /// When, milliseconds since the epoch.
    pub created_ms: i64,
    /// When it was resolved.
    pub resolved_ms: Option<i64>,
    /// The answer; empty while open.
    pub answer: String,
}

/// Which decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Only this account's.
    pub account: Option<String>,
    /// Only in this state.
    pub state: Option<String>,
}

pub(super) const COLUMNS: &str = "id, policy, measure, account, cluster, code, detail, dry_run, state, \
                       created_ms, expires_ms, ended_ms, ended_by, changed";
const APPEAL_COLUMNS: &str = "id, decision, text, contact, state, created_ms, resolved_ms, answer";

pub(super) fn decision(row: &AnyRow) -> Result<DecisionRow, sqlx::Error> {
    Ok(DecisionRow {
        id: row.try_get("id")?,
        policy: row.try_get("policy")?,
        measure: row.try_get("measure")?,
        account: row.try_get("account")?,
        cluster: row.try_get("cluster")?,
        code: row.try_get("code")?,
        detail: row.try_get("detail")?,
        dry_run: row.try_get::<i64, _>("dry_run")? != 0,
        state: row.try_get("state")?,
        created_ms: row.try_get("created_ms")?,
        expires_ms: row.try_get("expires_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        ended_by: row.try_get("ended_by")?,
        changed: row.try_get("changed")?,
    })
}

fn appeal(row: &AnyRow) -> Result<AppealRow, sqlx::Error> {
    Ok(AppealRow {
        id: row.try_get("id")?,
        decision: row.try_get("decision")?,
        text: row.try_get("text")?,
        contact: row.try_get("contact")?,
        state: row.try_get("state")?,
        created_ms: row.try_get("created_ms")?,
        resolved_ms: row.try_get("resolved_ms")?,
        answer: row.try_get("answer")?,
    })
}

impl Store {
    /// Writes decisions, all or none. One that exists already is replaced.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_decisions(&self, decisions: &[DecisionRow]) -> Result<(), sqlx::Error> {
        if decisions.is_empty() {
            return Ok(());
        }
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "decisions").await?;
            for d in decisions {
                sqlx::query(
                    "INSERT INTO decisions (id, policy, measure, account, cluster, code, detail, \
                     dry_run, state, created_ms, expires_ms, ended_ms, ended_by, changed) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
                     ON CONFLICT (id) DO UPDATE SET detail = excluded.detail, \
                     dry_run = excluded.dry_run, state = excluded.state, \
                     expires_ms = excluded.expires_ms, ended_ms = excluded.ended_ms, \
                     ended_by = excluded.ended_by, changed = excluded.changed",
                )
                .bind(&d.id)
                .bind(&d.policy)
                .bind(&d.measure)
                .bind(&d.account)
                .bind(&d.cluster)
                .bind(&d.code)
                .bind(&d.detail)
                .bind(i64::from(d.dry_run))
                .bind(&d.state)
                .bind(d.created_ms)
                .bind(d.expires_ms)
                .bind(d.ended_ms)
                .bind(&d.ended_by)
                .bind(changed)
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await
        })
        .await
    }

    /// A decision.
    ///
    /// # Errors
    /// The database fails.
    pub async fn decision(&self, id: &str) -> Result<Option<DecisionRow>, sqlx::Error> {
        self.row(
            sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM decisions WHERE id = $1")))
                .bind(id),
            decision,
        )
        .await
    }

    /// Decisions, the newest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<DecisionRow>, sqlx::Error> {
        self.rows(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM decisions WHERE ($1 = '' OR account = $1) \
                 AND ($2 = '' OR state = $2) ORDER BY created_ms DESC, id LIMIT $3 OFFSET $4"
            )))
            .bind(filter.account.as_deref().unwrap_or(""))
            .bind(filter.state.as_deref().unwrap_or(""))
            .bind(limit)
            .bind(offset),
            decision,
        )
        .await
    }

    /// Decisions that changed after change number `after`, oldest change first, and the number
    /// to go on from. Nodes poll this.
    ///
    /// # Errors
    /// The database fails.
    pub async fn decisions_changed(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<DecisionRow>, sqlx::Error> {
        self.rows(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM decisions WHERE changed > $1 ORDER BY changed, id LIMIT $2"
            )))
            .bind(after)
            .bind(limit),
            decision,
        )
        .await
    }

    /// Writes an appeal, unless the decision has `open_max` open ones already (then `false`).
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_appeal(&self, a: &AppealRow, open_max: i64) -> Result<bool, sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let open: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM appeals WHERE decision = $1 AND state = 'open'",
            )
            .bind(&a.decision)
            .fetch_one(&mut *tx)
            .await?;
            if open >= open_max {
                return Ok(false);
            }
            sqlx::query(
                "INSERT INTO appeals (id, decision, text, contact, state, created_ms, \
                 resolved_ms, answer) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(&a.id)
            .bind(&a.decision)
            .bind(&a.text)
            .bind(&a.contact)
            .bind(&a.state)
            .bind(a.created_ms)
            .bind(a.resolved_ms)
            .bind(&a.answer)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Resolves an open appeal; `false` where there is none of that name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn resolve_appeal(
        &self,
        id: &str,
        state: &str,
        answer: &str,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        self.run(async {
            let n = sqlx::query(
                "UPDATE appeals SET state = $1, answer = $2, resolved_ms = $3 \
                 WHERE id = $4 AND state = 'open'",
            )
            .bind(state)
            .bind(answer)
            .bind(now_ms)
            .bind(id)
            .execute(self.pool())
            .await?;
            Ok(n.rows_affected() == 1)
        })
        .await
    }

    /// An appeal.
    ///
    /// # Errors
    /// The database fails.
    pub async fn appeal(&self, id: &str) -> Result<Option<AppealRow>, sqlx::Error> {
        self.row(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {APPEAL_COLUMNS} FROM appeals WHERE id = $1"
            )))
            .bind(id),
            appeal,
        )
        .await
    }

    /// Appeals, the newest first; of one decision or of all, in one state or in any.
    ///
    /// # Errors
    /// The database fails.
    pub async fn appeals(
        &self,
        decision: Option<&str>,
        state: Option<&str>,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<AppealRow>, sqlx::Error> {
        self.rows(
            sqlx::query(AssertSqlSafe(format!(
                "SELECT {APPEAL_COLUMNS} FROM appeals WHERE ($1 = '' OR decision = $1) \
                 AND ($2 = '' OR state = $2) ORDER BY created_ms DESC, id LIMIT $3 OFFSET $4"
            )))
            .bind(decision.unwrap_or(""))
            .bind(state.unwrap_or(""))
            .bind(limit)
            .bind(offset),
            appeal,
        )
        .await
    }
}
