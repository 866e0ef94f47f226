//! How DataFusion is set up: threads, memory, where it spills to.

use super::error::{EngineError, from_datafusion};
use crate::ScanError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// What the engine may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineParams {
    /// Threads that read and aggregate.
    pub threads: usize,
    /// Memory for aggregation, bytes; what doesn't fit is written to `temp`.
    pub memory_bytes: usize,
    /// Folder for what doesn't fit in memory.
    pub temp: PathBuf,
}

/// Memory for aggregation unless told otherwise: with what readers hold, a process of less than
/// 1 GB.
pub const MEMORY_BYTES: usize = 384 << 20;

impl Default for EngineParams {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            memory_bytes: MEMORY_BYTES,
            temp: std::env::temp_dir(),
        }
    }
}

/// Distinct accounts per exchange from which on partial aggregation is left out: each exchange
/// then goes straight to the one table that its account is kept in.
const SKIP_PARTIAL_RATIO: f64 = 0.2;
/// Exchanges looked at for it.
const SKIP_PARTIAL_ROWS: usize = 50_000;

/// Rows that operators hand on at a time: sketches are up to 4 KB each, and merging sorted runs
/// holds a batch of each.
const BATCH_ROWS: usize = 1024;

/// The settings of our plans.
pub(crate) fn config(params: &EngineParams) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(params.threads.max(1))
        .with_batch_size(BATCH_ROWS);
    let execution = &mut config.options_mut().execution;
    execution.skip_partial_aggregation_probe_ratio_threshold = SKIP_PARTIAL_RATIO;
    execution.skip_partial_aggregation_probe_rows_threshold = SKIP_PARTIAL_ROWS;
    config
}

fn environment(params: &EngineParams) -> Result<Arc<RuntimeEnv>, ScanError> {
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(params.memory_bytes)))
        .with_temp_file_path(&params.temp)
        .build_arc()
        .map_err(from_datafusion)
}

/// A session in this process.
pub(crate) fn local(params: &EngineParams) -> Result<SessionContext, ScanError> {
    let state = SessionStateBuilder::new()
        .with_config(config(params))
        .with_runtime_env(environment(params)?)
        .with_default_features()
        .build();
    Ok(SessionContext::new_with_state(state))
}

/// The threads that plans run on.
pub(crate) fn runtime(params: &EngineParams) -> Result<Runtime, ScanError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(params.threads.max(1))
        .enable_all()
        .thread_name("scan")
        .build()
        .map_err(|source| EngineError::Io { what: "threads", source }.into())
}
