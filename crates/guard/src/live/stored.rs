//! What the kept sketches say, without a detector that runs: for commands beside a guard.

use super::LiveConfig;
use crate::{GuardError, store::Store};
use stillwatch_traffic::{Analysis, Live, LiveParams};

/// Sketches that are read at once.
const PAGE: i64 = 500;

/// Analyses the kept sketches as a guard would that started now. A guard that runs keeps its
/// sketches every few minutes, so the last of them may be missing. Nothing is written.
///
/// # Errors
/// The store fails.
pub async fn stored_analysis(
    store: &Store,
    config: &LiveConfig,
    hash_key: [u8; 32],
    now_ms: i64,
) -> Result<Analysis, GuardError> {
    let max = i64::try_from(config.accounts_max).unwrap_or(i64::MAX);
    let mut live = Live::new(LiveParams { hash_key, accounts_max: config.accounts_max });
    let mut n = 0;
    while n < max {
        let page = store.sketches(PAGE.min(max - n), n).await?;
        if page.is_empty() {
            break;
        }
        for row in page {
            n += 1;
            if let Err(error) = live.admit(&row.account, &row.bytes) {
                tracing::warn!(%error, "a kept sketch can't be read");
            }
        }
    }
    Ok(live.analyse(now_ms))
}
