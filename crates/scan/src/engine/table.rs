//! The table `exchanges`: logs as DataFusion sees them.

use super::columns::{ALL, N_SHOWN, SHOWN};
use super::exec::UnitsExec;
use crate::readers::Unit;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Logs as a table.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangesTable {
    pub(crate) units: Vec<Unit>,
    pub(crate) hash_key: [u8; 32],
    /// Whether the columns of our own plans are there too.
    pub(crate) whole: bool,
}

impl std::fmt::Debug for ExchangesTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is a secret, units can be many.
        f.debug_struct("ExchangesTable").field("n_units", &self.units.len()).finish_non_exhaustive()
    }
}

impl ExchangesTable {
    /// The table that SQL sees.
    pub fn shown(units: Vec<Unit>, hash_key: [u8; 32]) -> Self {
        Self { units, hash_key, whole: false }
    }

    /// The table of our own plans: with features and tallies.
    pub(crate) fn whole(units: Vec<Unit>, hash_key: [u8; 32]) -> Self {
        Self { units, hash_key, whole: true }
    }
}

#[async_trait]
impl TableProvider for ExchangesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(if self.whole { &ALL } else { &SHOWN })
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let n = if self.whole { ALL.fields().len() } else { N_SHOWN };
        let projection = projection.cloned().unwrap_or_else(|| (0..n).collect());
        let partitions = deal(&self.units, state.config().target_partitions());
        Ok(Arc::new(UnitsExec::new(partitions, projection, self.hash_key, limit)?))
    }
}

/// Deals units out, one to each partition in turn, so that large files spread; at least one
/// partition, none of them empty otherwise.
fn deal(units: &[Unit], n_partitions: usize) -> Vec<Vec<Unit>> {
    let n = n_partitions.min(units.len()).max(1);
    (0..n).map(|i| units.iter().skip(i).step_by(n).cloned().collect()).collect()
}
