//! Runs many requests, so many at a time, and hands the results back in order.
//!
//! When the endpoint is lost for several requests in a row, can't be used, or the budget is
//! spent, what was not yet sent gets the same error instead of being tried in vain.

use super::http::Failure;
use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};
use tokio::task::JoinSet;

/// Requests lost in a row after which the endpoint counts as lost for the rest of the batch.
const LOST_IN_A_ROW: u32 = 3;

#[derive(Debug, Default)]
struct Breaker {
    lost_in_a_row: AtomicU32,
    stop: Mutex<Option<Failure>>,
}

impl Breaker {
    fn stopped(&self) -> Option<Failure> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record<T>(&self, result: &Result<T, Failure>) {
        let stops = match result {
            Ok(_) | Err(Failure::Request(_)) => {
                self.lost_in_a_row.store(0, Ordering::Relaxed);
                false
            }
            Err(Failure::Lost { .. }) => {
                self.lost_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= LOST_IN_A_ROW
            }
            Err(Failure::Unusable { .. } | Failure::Unknown { .. } | Failure::Budget(_)) => true,
        };
        if stops && let Err(failure) = result {
            let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
            stop.get_or_insert_with(|| failure.clone());
        }
    }
}

/// Applies `work` to every item, at most `concurrency` at a time, started in order.
pub(super) async fn run_all<Q, T, F, Fut>(
    items: Vec<Q>,
    concurrency: usize,
    work: F,
) -> Vec<Result<T, Failure>>
where
    Q: Send + Sync + 'static,
    T: Send + 'static,
    F: Fn(Arc<Vec<Q>>, usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<T, Failure>> + Send,
{
    let n = items.len();
    let items = Arc::new(items);
    let next = Arc::new(AtomicUsize::new(0));
    let breaker = Arc::new(Breaker::default());
    let mut workers = JoinSet::new();
    for _ in 0..concurrency.clamp(1, n.max(1)) {
        let (items, next) = (Arc::clone(&items), Arc::clone(&next));
        let (breaker, work) = (Arc::clone(&breaker), work.clone());
        workers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= items.len() {
                    return done;
                }
                let result = match breaker.stopped() {
                    Some(failure) => Err(failure),
                    None => work(Arc::clone(&items), i).await,
                };
                breaker.record(&result);
                done.push((i, result));
            }
        });
    }
    let mut results: Vec<Option<Result<T, Failure>>> = (0..n).map(|_| None).collect();
    while let Some(worker) = workers.join_next().await {
        for (i, result) in worker.unwrap_or_default() {
            if let Some(slot) = results.get_mut(i) {
                *slot = Some(result);
            }
        }
    }
    let missing = || Failure::Lost { message: "a worker failed".to_owned(), status: None };
    results.into_iter().map(|slot| slot.unwrap_or_else(|| Err(missing()))).collect()
}
