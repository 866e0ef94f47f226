//! Marks of conversations and released texts, shared by the nodes that share a store.
//!
//! A text that one node released may be quoted at another one. Each node puts its new marks into
//! the store and takes those of the others, once a second: for that long, a request at another
//! node isn't recognised.

use super::Capture;
use super::marks::Marks;
use crate::Guard;
use crate::store::ExposedKind;

/// Marks in one row of the store.
const ROW_MARKS: usize = 64;
/// Rows that are put or taken at once.
const ROWS_MAX: usize = 500;
/// Clocks of nodes may differ by this much, and rows may come late.
const OVERLAP_MS: i64 = 10_000;

/// How far the marks of others were taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    conversations_ms: i64,
    released_ms: i64,
}

/// Exchanges marks with the other nodes.
pub(super) async fn exchange(guard: &Guard, capture: &Capture, taken: &mut Taken) {
    let now_ms = guard.clock.now_ms();
    for (kind, marks, since) in [
        (ExposedKind::Conversation, &capture.conversations, &mut taken.conversations_ms),
        (ExposedKind::Released, &capture.released, &mut taken.released_ms),
    ] {
        if let Err(error) = one(guard, kind, marks, since, now_ms).await {
            tracing::warn!(%error, "marks of exposures can't be shared with other nodes");
        }
    }
}

async fn one(
    guard: &Guard,
    kind: ExposedKind,
    marks: &Marks,
    since: &mut i64,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    for _ in 0..ROWS_MAX {
        let new = marks.take_unshared(ROW_MARKS);
        if new.is_empty() {
            break;
        }
        let row: Vec<u8> = new.iter().flat_map(|mark| mark.to_le_bytes()).collect();
        if let Err(error) = guard.store.put_exposed(kind, &row, "", now_ms).await {
            marks.put_back_unshared(&new);
            return Err(error);
        }
    }
    let limit = i64::try_from(ROWS_MAX).unwrap_or(i64::MAX);
    loop {
        let rows = guard.store.exposed(kind, *since, limit).await?;
        let last_ms = rows.last().map(|(_, time_ms)| *time_ms);
        for (row, _) in &rows {
            let others: Vec<u64> =
                row.as_chunks::<8>().0.iter().map(|mark| u64::from_le_bytes(*mark)).collect();
            marks.insert_shared(&others);
        }
        match last_ms {
            Some(last_ms) if rows.len() >= ROWS_MAX && last_ms > *since => *since = last_ms,
            Some(last_ms) => {
                *since = (*since).max(last_ms.min(now_ms) - OVERLAP_MS);
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}
