//! Closing epochs on schedule, and putting heads where other nodes see them.
//!
//! Each node has a ledger of its own. Where several nodes share a store, each publishes its heads
//! there, and records the latest heads of the others in its own log when it closes an epoch: a
//! log that is cut back later contradicts the others.

use super::Capture;
use super::share::{Taken, exchange};
use super::writer::Order;
use crate::store::HeadRow;
use crate::{Guard, GuardError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stillwatch_evidence::ledger::SignedHead;
use tokio::sync::oneshot;

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most heads of other logs that one epoch records.
const ANCHORS_MAX: usize = 64;

/// Sizes of other logs that were recorded last.
type Recorded = BTreeMap<String, u64>;

/// Starts closing epochs; ends with the guard.
pub(crate) fn start(guard: &Arc<Guard>) {
    if guard.exposure.is_none() {
        return;
    }
    let weak = Arc::downgrade(guard);
    let mut last_ms = guard.clock.now_ms();
    let is_shared = guard.store.is_shared();
    tokio::spawn(async move {
        let mut recorded = Recorded::new();
        let mut taken = Taken::default();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(guard) = weak.upgrade() else { return };
            let Some(capture) = guard.exposure.as_ref() else { return };
            // A full queue is looked at again in a second.
            if capture.orders.try_send(Order::Tick).is_err() && capture.orders.is_closed() {
                return;
            }
            if is_shared {
                exchange(&guard, capture, &mut taken).await;
            }
            let now_ms = guard.clock.now_ms();
            let epoch_ms = i64::try_from(capture.config.epoch_s.saturating_mul(1_000));
            let is_due = now_ms.saturating_sub(last_ms) >= epoch_ms.unwrap_or(i64::MAX);
            if now_ms < last_ms {
                // The clock jumped back: an epoch from here.
                last_ms = now_ms;
            } else if is_due {
                last_ms = now_ms;
                if let Err(error) = close_epoch(&guard, capture, &mut recorded).await {
                    tracing::warn!(%error, "an epoch of the ledger can't be closed");
                }
            }
        }
    });
}

impl Capture {
    /// Signs a head now, where there is something new, and publishes it.
    ///
    /// # Errors
    /// The ledger or the store can't be written.
    pub async fn close_epoch_now(&self, guard: &Guard) -> Result<Option<SignedHead>, GuardError> {
        close_epoch(guard, self, &mut Recorded::new()).await
    }
}

async fn close_epoch(
    guard: &Guard,
    capture: &Capture,
    recorded: &mut Recorded,
) -> Result<Option<SignedHead>, GuardError> {
    let own = capture.read(|ledger| ledger.identity().log_id.clone()).await.unwrap_or_default();
    let others = others(guard, &own, recorded).await;
    let sizes: Vec<(String, u64)> =
        others.iter().map(|(_, head)| (head.head.log_id.clone(), head.head.tree_size)).collect();
    let (reply, answer) = oneshot::channel();
    let stopped = || GuardError::setting("the ledger's thread has ended");
    capture.orders.send(Order::CloseEpoch(others, reply)).await.map_err(|_| stopped())?;
    let head = answer.await.map_err(|_| stopped())??;
    recorded.extend(sizes);
    if let Some(head) = &head {
        publish(guard, head).await?;
    }
    Ok(head)
}

/// Latest heads of other logs that have grown since they were recorded.
async fn others(guard: &Guard, own: &str, recorded: &Recorded) -> Vec<(String, SignedHead)> {
    let rows = match guard.store.latest_heads().await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::warn!(%error, "the heads of other nodes can't be read");
            return Vec::new();
        }
    };
    let heads = rows.into_iter().filter(|row| row.log_id != own).filter_map(|row| {
        let head: SignedHead = serde_json::from_str(&row.head).ok()?;
        let is_new = recorded.get(&head.head.log_id).is_none_or(|&size| size < head.head.tree_size);
        // One that doesn't verify is nobody's head.
        (is_new && head.head.log_id != own && head.verify().is_ok()).then_some((row.node, head))
    });
    heads.take(ANCHORS_MAX).collect()
}

async fn publish(guard: &Guard, head: &SignedHead) -> Result<(), GuardError> {
    let tree_size = i64::try_from(head.head.tree_size).unwrap_or(i64::MAX);
    let row = HeadRow {
        // A node is known by its log.
        node: head.head.log_id.chars().take(12).collect(),
        log_id: head.head.log_id.clone(),
        tree_size,
        time_ms: head.head.time.as_millisecond(),
        head: serde_json::to_string(head).unwrap_or_default(),
    };
    guard.store.put_head(&row).await?;
    Ok(())
}
