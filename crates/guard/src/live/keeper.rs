//! Carries sketches to the store and back, so that the detector's thread never waits for it.

use super::worker::Command;
use crate::{observe::Metrics, store::SketchRow, store::Store};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;
use stillwatch_traffic::AccountSketch;
use tokio::sync::mpsc;

/// Sketches that are read at once at the start.
const PAGE: i64 = 500;
/// How long the keeper waits for the detector's thread when its queue is full.
const PATIENCE: Duration = Duration::from_millis(5);

/// What the keeper is asked for.
#[derive(Debug)]
pub(super) enum Keep {
    /// Write sketches: account, bytes, and whether what the store has is to be merged in.
    Put {
        /// The sketches.
        sketches: Vec<(String, Vec<u8>, bool)>,
        /// When, milliseconds since the epoch.
        at_ms: i64,
    },
    /// Read the sketch of an account that appeared; the number of the question.
    Load(String, u64),
}

/// Reads the latest sketches, then serves the thread until it ends.
pub(super) async fn keep(
    store: Store,
    mut wishes: mpsc::Receiver<Keep>,
    commands: SyncSender<Command>,
    metrics: Arc<Metrics>,
    at_start_max: i64,
) {
    load_latest(&store, &commands, at_start_max).await;
    while let Some(wish) = wishes.recv().await {
        let result = match wish {
            Keep::Put { sketches, at_ms } => put(&store, sketches, at_ms).await,
            Keep::Load(account, asked) => load(&store, account, asked, &commands).await,
        };
        match result {
            Ok(()) => metrics.health.restore("sketches"),
            Err(error) => {
                tracing::warn!(%error, "sketches can't be kept");
                metrics.health.degrade(
                    "sketches",
                    "the store can't be used: detection goes on in memory, and what it learns now \
                     is lost at a restart",
                );
            }
        }
    }
}

async fn put(
    store: &Store,
    sketches: Vec<(String, Vec<u8>, bool)>,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    let mut rows = Vec::with_capacity(sketches.len());
    for (account, bytes, merge) in sketches {
        let bytes = if merge { merged(store, &account, bytes).await? } else { bytes };
        rows.push(SketchRow { account, bytes, updated_ms: at_ms });
    }
    store.put_sketches(&rows).await
}

/// The sketch with what the store has of the account merged in.
async fn merged(store: &Store, account: &str, bytes: Vec<u8>) -> Result<Vec<u8>, sqlx::Error> {
    let Some(stored) = store.sketch(account).await? else { return Ok(bytes) };
    let both = AccountSketch::from_bytes(&bytes)
        .and_then(|sketch| Ok((sketch, AccountSketch::from_bytes(&stored.bytes)?)));
    Ok(both.map_or(bytes, |(mut sketch, stored)| {
        sketch.merge(&stored);
        sketch.to_bytes()
    }))
}

async fn load(
    store: &Store,
    account: String,
    asked: u64,
    commands: &SyncSender<Command>,
) -> Result<(), sqlx::Error> {
    let bytes = store.sketch(&account).await?.map(|row| row.bytes);
    send(commands, Command::Stored { account, bytes, asked: Some(asked) }).await;
    Ok(())
}

async fn load_latest(store: &Store, commands: &SyncSender<Command>, max: i64) {
    let mut n = 0;
    while n < max {
        let page = match store.sketches(PAGE.min(max - n), n).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "stored sketches can't be read; detection starts afresh");
                return;
            }
        };
        if page.is_empty() {
            return;
        }
        for SketchRow { account, bytes, .. } in page {
            n += 1;
            let stored = Command::Stored { account, bytes: Some(bytes), asked: None };
            if !send(commands, stored).await {
                return;
            }
        }
    }
}

/// Puts a command into the thread's queue without holding a thread of the runtime.
async fn send(commands: &SyncSender<Command>, command: Command) -> bool {
    let mut command = command;
    loop {
        match commands.try_send(command) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(back)) => {
                command = back;
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}
