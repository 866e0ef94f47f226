//! From logs to one sketch per account, by DataFusion.
//!
//! The plan is `select account, sketch(features), tally(tally) from exchanges group by account
//! order by account`: one pass over the logs, whatever their size. Features are worked out where
//! a line is read ([`ExchangesTable`]), so that texts aren't carried about; sketches and tallies
//! are functions of the multiset of exchanges, so the result is the same bit for bit for any number
//! of threads or machines. What doesn't fit in memory is spilled.
//!
//! | module | thought |
//! | --- | --- |
//! | `columns`, `batch` | the table's columns, filled from rows |
//! | `table`, `exec` | the table, and the leaf of plans that reads units |
//! | `sketch`, `tally_sum` | the two aggregate functions |
//! | `accounts` | sorted sketches on disk |
//! | `session` | threads, memory, spilling |
//! | `sql` | queries over logs and findings |

mod accounts;
mod batch;
mod columns;
mod error;
mod exec;
mod session;
mod sketch;
mod sql;
mod table;
mod tally;
mod tally_sum;

pub use accounts::{Accounts, AccountsIter, AccountsWriter};
pub use error::EngineError;
pub use session::{EngineParams, MEMORY_BYTES};
pub use sketch::SketchUdaf;
pub use sql::sql;
pub use table::ExchangesTable;
pub use tally::{REJECTS_MAX, Tally};
pub use tally_sum::TallyUdaf;

use crate::ScanError;
use crate::readers::{Unit, UnitReport};
use datafusion::arrow::array::{AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{AggregateUDF, col};
use datafusion::prelude::{DataFrame, SessionContext};
use error::{from_datafusion, into_datafusion};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use stillwatch_evidence::Reject;
use stillwatch_traffic::AccountSketch;

/// What was read, and the sketches, in memory.
#[derive(Debug, Default)]
pub struct Sketched {
    /// Sketches by account.
    pub accounts: BTreeMap<String, AccountSketch>,
    /// Exchanges read.
    pub n_exchanges: u64,
    /// Of these, without an account.
    pub n_without_account: u64,
    /// Of these, without a time.
    pub n_without_time: u64,
    /// Lines that can't be read.
    pub n_rejected: u64,
    /// The first of them, by file.
    pub rejects: Vec<(String, Reject)>,
    /// What was met besides.
    pub report: UnitReport,
    /// The latest time, milliseconds since the epoch.
    pub now_ms: i64,
}

/// What was read, and the sketches, on disk.
#[derive(Debug, Clone)]
pub struct Collected {
    /// Sketches by account.
    pub accounts: Accounts,
    /// Counters, and the lines that can't be read.
    pub tally: Tally,
}

/// The name of the table in our plans.
const TABLE: &str = "stillwatch_exchanges";

/// Reads all units; the sketches in memory, some 3 KB each.
///
/// # Errors
/// As [`collect`].
pub fn sketch(
    units: &[Unit],
    hash_key: &[u8; 32],
    params: &EngineParams,
) -> Result<Sketched, ScanError> {
    let Collected { accounts, tally } = collect(units, hash_key, params)?;
    let report = tally.report.clone();
    Ok(Sketched {
        n_exchanges: report.n_rows,
        n_without_account: report.n_without_account,
        n_without_time: report.n_without_time,
        n_rejected: report.n_rejected,
        rejects: tally.numbered(units)?,
        report,
        now_ms: accounts.last_ms(),
        accounts: accounts.load()?,
    })
}

/// Reads all units, in bounded memory.
///
/// # Errors
/// A file that can't be read, no room for what doesn't fit in memory.
pub fn collect(
    units: &[Unit],
    hash_key: &[u8; 32],
    params: &EngineParams,
) -> Result<Collected, ScanError> {
    session::runtime(params)?.block_on(async {
        let context = session::local(params)?;
        let plan = plan(&context, units, hash_key).await.map_err(from_datafusion)?;
        run(plan, AccountsWriter::temporary(&params.temp)?).await.map_err(from_datafusion)
    })
}

/// The plan, the same wherever it is run.
async fn plan(
    context: &SessionContext,
    units: &[Unit],
    hash_key: &[u8; 32],
) -> Result<DataFrame, DataFusionError> {
    let table = ExchangesTable::whole(units.to_vec(), *hash_key);
    context.register_table(TABLE, Arc::new(table))?;
    let sketch = AggregateUDF::new_from_impl(SketchUdaf::default());
    let tally = AggregateUDF::new_from_impl(TallyUdaf::default());
    context
        .table(TABLE)
        .await?
        .aggregate(
            vec![col("account")],
            vec![
                sketch.call(vec![col("features")]).alias("sketch"),
                tally.call(vec![col("tally")]).alias("tally"),
            ],
        )?
        .sort(vec![col("account").sort(true, true)])
}

/// Takes the result as it comes.
async fn run(plan: DataFrame, to: AccountsWriter) -> Result<Collected, DataFusionError> {
    let mut to = to;
    let mut tally = Tally::default();
    let mut stream = plan.execute_stream().await?;
    while let Some(batch) = stream.next().await {
        take(&batch?, &mut to, &mut tally)?;
    }
    let accounts = to.finish().map_err(into_datafusion)?;
    Ok(Collected { accounts, tally })
}

fn take(
    batch: &RecordBatch,
    to: &mut AccountsWriter,
    tally: &mut Tally,
) -> Result<(), DataFusionError> {
    let missing = || DataFusionError::Internal("the plan's result lacks a column".to_owned());
    let column = |name: &str| batch.column_by_name(name).ok_or_else(missing);
    let names = datafusion::arrow::compute::cast(column("account")?, &DataType::Utf8)?;
    let names = names.as_string_opt::<i32>().ok_or_else(missing)?;
    let sketches = column("sketch")?.as_binary_opt::<i64>().ok_or_else(missing)?;
    let tallies = column("tally")?.as_binary_opt::<i64>().ok_or_else(missing)?;
    for bytes in tallies.iter().flatten() {
        tally.merge(Tally::from_bytes(bytes).map_err(DataFusionError::Execution)?);
    }
    for (name, bytes) in names.iter().zip(sketches) {
        let (Some(name), Some(bytes)) = (name, bytes) else { continue };
        let sketch = AccountSketch::from_bytes(bytes)
            .map_err(|e| DataFusionError::Execution(format!("the sketch of {name:?}: {e}")))?;
        to.push(name, bytes, sketch.last_ms()).map_err(into_datafusion)?;
    }
    Ok(())
}
