//! Nodes, and the signed heads of their ledgers: each node's heads lie where the others see
//! them, so that no node can later show a different log.

use super::Store;
use serde::Serialize;
use sqlx::{Row, any::AnyRow};

/// A signed head of one node's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeadRow {
    /// The node.
    pub node: String,
    /// The log.
    pub log_id: String,
    /// Entries in it.
    pub tree_size: i64,
    /// When it was signed, milliseconds since the epoch.
    pub time_ms: i64,
    /// The signed head, JSON.
    pub head: String,
}

/// A node that uses this store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeRow {
    /// Its name.
    pub id: String,
    /// When it started, milliseconds since the epoch.
    pub started_ms: i64,
    /// When it last said that it is there.
    pub seen_ms: i64,
}

fn head(row: &AnyRow) -> Result<HeadRow, sqlx::Error> {
    Ok(HeadRow {
        node: row.try_get("node")?,
        log_id: row.try_get("log_id")?,
        tree_size: row.try_get("tree_size")?,
        time_ms: row.try_get("time_ms")?,
        head: row.try_get("head")?,
    })
}

fn node(row: &AnyRow) -> Result<NodeRow, sqlx::Error> {
    Ok(NodeRow {
        id: row.try_get("id")?,
        started_ms: row.try_get("started_ms")?,
        seen_ms: row.try_get("seen_ms")?,
    })
}

impl Store {
    /// Puts a head where the other nodes see it. One of the same node, log and size is left as
    /// it is: `false`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_head(&self, head: &HeadRow) -> Result<bool, sqlx::Error> {
        self.run(async {
            sqlx::query(
                "INSERT INTO ledger_heads (node, log_id, tree_size, time_ms, head) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (node, log_id, tree_size) DO NOTHING",
            )
            .bind(&head.node)
            .bind(&head.log_id)
            .bind(head.tree_size)
            .bind(head.time_ms)
            .bind(&head.head)
            .execute(self.pool())
            .await
        })
        .await
        .map(|done| done.rows_affected() == 1)
    }

    /// Heads of all nodes, the newest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn heads(&self, limit: i64, offset: i64) -> Result<Vec<HeadRow>, sqlx::Error> {
        self.rows(
            sqlx::query(
                "SELECT node, log_id, tree_size, time_ms, head FROM ledger_heads \
                 ORDER BY time_ms DESC, node, tree_size DESC LIMIT $1 OFFSET $2",
            )
            .bind(limit)
            .bind(offset),
            head,
        )
        .await
    }

    /// The latest head of each log.
    ///
    /// # Errors
    /// The database fails.
    pub async fn latest_heads(&self) -> Result<Vec<HeadRow>, sqlx::Error> {
        self.rows(
            sqlx::query(
                "SELECT h.node, h.log_id, h.tree_size, h.time_ms, h.head FROM ledger_heads h \
                 JOIN (SELECT node, log_id, MAX(tree_size) AS size FROM ledger_heads \
                       GROUP BY node, log_id) m \
                 ON h.node = m.node AND h.log_id = m.log_id AND h.tree_size = m.size \
                 ORDER BY h.node, h.log_id",
            ),
            head,
        )
        .await
    }

    /// Says that a node is there.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_node(&self, node: &NodeRow) -> Result<(), sqlx::Error> {
        self.run(async {
            sqlx::query(
                "INSERT INTO nodes (id, started_ms, seen_ms) VALUES ($1, $2, $3) ON CONFLICT (id) \
                 DO UPDATE SET started_ms = excluded.started_ms, seen_ms = excluded.seen_ms",
            )
            .bind(&node.id)
            .bind(node.started_ms)
            .bind(node.seen_ms)
            .execute(self.pool())
            .await
        })
        .await
        .map(drop)
    }

    /// Nodes that were there after a time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn nodes(&self, seen_after_ms: i64) -> Result<Vec<NodeRow>, sqlx::Error> {
        self.rows(
            sqlx::query("SELECT id, started_ms, seen_ms FROM nodes WHERE seen_ms > $1 ORDER BY id")
                .bind(seen_after_ms),
            node,
        )
        .await
    }
}
