//! Changes of decisions, all or none, with who made them: what `policy` needs beyond single rows.

use super::decisions::{COLUMNS, decision};
use super::{DecisionRow, Store};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

/// Decisions that are read at once.
const PAGE: i64 = 2000;
/// States in which a decision may still change.
const OPEN: &str = "('proposed', 'active', 'contested')";

/// Something that was done, by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// Its name.
    pub id: String,
    /// When, milliseconds since the epoch.
    pub time_ms: i64,
    /// By whom: `policy`, `account`, or `admin ` and the beginning of a key.
    pub who: String,
    /// What: `made`, `approved`, `revoked`, `stopped`, …: the words of `policy`.
    pub what: String,
    /// The decision, or the policy, that it was done to.
    pub subject: String,
    /// What was said about it.
    pub note: String,
}

/// What is written at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionWrite {
    /// New ones; one is left out where the account has an open one of this policy and measure.
    pub insert: Vec<DecisionRow>,
    /// What was done; left out where no decision was changed or made although some were to be.
    pub events: Vec<EventRow>,
}

fn event(row: &AnyRow) -> Result<EventRow, sqlx::Error> {
    Ok(EventRow {
        id: row.try_get("id")?,
        time_ms: row.try_get("time_ms")?,
        who: row.try_get("who")?,
        what: row.try_get("what")?,
        subject: row.try_get("subject")?,
        note: row.try_get("note")?,
    })
}

impl Store {
    /// Changes decisions and makes new ones, all or none. Writers wait for each other, so that
    /// `change` sees each decision as it is; it says whether it changed it. The number of
    /// decisions that were made, and the decisions that were changed.
    ///
    /// # Errors
    /// The database fails; then nothing was changed.
    pub async fn write_decisions(
        &self,
        ids: &[String],
        mut change: impl FnMut(&mut DecisionRow) -> bool + Send,
        write: &DecisionWrite,
    ) -> Result<(Vec<DecisionRow>, Vec<DecisionRow>), sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let changed = Self::bump(&mut tx, "decisions").await?;
            let mut updated = Vec::new();
            for id in ids {
                let row = sqlx::query(AssertSqlSafe(format!(
                    "SELECT {COLUMNS} FROM decisions WHERE id = $1"
                )))
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
                let Some(mut row) = row.as_ref().map(decision).transpose()? else { continue };
                if change(&mut row) {
                    row.changed = changed;
                    update(&mut tx, &row).await?;
                    updated.push(row);
                }
            }
            let mut made = Vec::new();
            for row in &write.insert {
                if insert(&mut tx, row, changed).await? {
                    made.push(row.clone());
                }
            }
            let is_wanted = !ids.is_empty() || !write.insert.is_empty();
            if is_wanted && updated.is_empty() && made.is_empty() {
                // Nothing was done, so there is nothing to tell; the transaction is dropped.
                return Ok((made, updated));
            }
            for row in &write.events {
                sqlx::query(
                    "INSERT INTO policy_events (id, time_ms, who, what, subject, note, changed) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(&row.id)
                .bind(row.time_ms)
                .bind(&row.who)
                .bind(&row.what)
                .bind(&row.subject)
                .bind(&row.note)
                .bind(changed)
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
            Ok((made, updated))
        })
        .await
    }

    /// The number of the last change of decisions.
    ///
    /// # Errors
    /// The database fails.
    pub async fn decisions_version(&self) -> Result<i64, sqlx::Error> {
        self.version("decisions").await
    }

    /// Decisions that changed after change number `after`: those that are open, and those that
    /// ended after `ended_after_ms`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn decisions_since(
        &self,
        after: i64,
        ended_after_ms: i64,
    ) -> Result<Vec<DecisionRow>, sqlx::Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM decisions WHERE (changed > $1 OR (changed = $1 AND id > $2)) \
             AND (ended_ms IS NULL OR ended_ms > $3) ORDER BY changed, id LIMIT $4"
        );
        let (mut after, mut id) = (after, "~".to_owned());
        let mut rows: Vec<DecisionRow> = Vec::new();
        loop {
            let page = self
                .run(async {
                    sqlx::query(AssertSqlSafe(sql.clone()))
                        .bind(after)
                        .bind(&id)
                        .bind(ended_after_ms)
                        .bind(PAGE)
                        .fetch_all(self.pool())
                        .await?
                        .iter()
                        .map(decision)
                        .collect::<Result<Vec<_>, _>>()
                })
                .await?;
            let Some(last) = page.last() else { return Ok(rows) };
            (after, id) = (last.changed, last.id.clone());
            rows.extend(page);
        }
    }

    /// What was done to a decision or a policy, the newest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn policy_events(
        &self,
        subject: Option<&str>,
        limit: i64,
    ) -> Result<Vec<EventRow>, sqlx::Error> {
        self.rows(
            sqlx::query(
                "SELECT id, time_ms, who, what, subject, note FROM policy_events \
                 WHERE $1 = '' OR subject = $1 ORDER BY changed DESC, id LIMIT $2",
            )
            .bind(subject.unwrap_or(""))
            .bind(limit),
            event,
        )
        .await
    }

    /// What was done to policies as such (stopped, let go on, an appeal granted) after change
    /// number `after`, in order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn policy_marks(&self, after: i64) -> Result<Vec<EventRow>, sqlx::Error> {
        self.rows(
            sqlx::query(
                "SELECT id, time_ms, who, what, subject, note FROM policy_events \
                 WHERE changed > $1 AND what IN ('stopped', 'resumed', 'appeal_granted') \
                 ORDER BY changed, id",
            )
            .bind(after),
            event,
        )
        .await
    }
}

async fn update(tx: &mut Transaction<'static, Any>, row: &DecisionRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE decisions SET detail = $2, dry_run = $3, state = $4, expires_ms = $5, \
         ended_ms = $6, ended_by = $7, changed = $8 WHERE id = $1",
    )
    .bind(&row.id)
    .bind(&row.detail)
    .bind(i64::from(row.dry_run))
    .bind(&row.state)
    .bind(row.expires_ms)
    .bind(row.ended_ms)
    .bind(&row.ended_by)
    .bind(row.changed)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Whether the decision was made: not where an open one of its kind is there.
async fn insert(
    tx: &mut Transaction<'static, Any>,
    row: &DecisionRow,
    changed: i64,
) -> Result<bool, sqlx::Error> {
    let known: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT COUNT(*) FROM decisions WHERE account = $1 AND policy = $2 AND measure = $3 \
         AND state IN {OPEN}"
    )))
    .bind(&row.account)
    .bind(&row.policy)
    .bind(&row.measure)
    .fetch_one(&mut **tx)
    .await?;
    if known > 0 {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO decisions (id, policy, measure, account, cluster, code, detail, dry_run, \
         state, created_ms, expires_ms, ended_ms, ended_by, changed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(&row.id)
    .bind(&row.policy)
    .bind(&row.measure)
    .bind(&row.account)
    .bind(&row.cluster)
    .bind(&row.code)
    .bind(&row.detail)
    .bind(i64::from(row.dry_run))
    .bind(&row.state)
    .bind(row.created_ms)
    .bind(row.expires_ms)
    .bind(row.ended_ms)
    .bind(&row.ended_by)
    .bind(changed)
    .execute(&mut **tx)
    .await?;
    Ok(true)
}
