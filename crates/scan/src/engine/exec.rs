//! The leaf of every plan: reads units of logs.

use super::batch::BatchSink;
use super::columns::ALL;
use super::error::into_datafusion;
use crate::readers::{Unit, read_unit};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Batches that wait between the thread that reads and what works on them.
const QUEUE: usize = 2;

/// Reads units, each partition its own, one after the other.
pub(crate) struct UnitsExec {
    pub(crate) what: What,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

/// What is read: all that another machine needs to know.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct What {
    pub(crate) partitions: Vec<Vec<Unit>>,
    pub(crate) projection: Vec<usize>,
    pub(crate) hash_key: [u8; 32],
    pub(crate) limit: Option<usize>,
}

impl UnitsExec {
    pub(crate) fn new(
        partitions: Vec<Vec<Unit>>,
        projection: Vec<usize>,
        hash_key: [u8; 32],
        limit: Option<usize>,
    ) -> Result<Self> {
        Self::from_what(What { partitions, projection, hash_key, limit })
    }

    pub(crate) fn from_what(what: What) -> Result<Self> {
        let schema = Arc::new(ALL.project(&what.projection)?);
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(what.partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Ok(Self { what, schema, properties })
    }
}

impl std::fmt::Debug for UnitsExec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DisplayAs for UnitsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units: usize = self.what.partitions.iter().map(Vec::len).sum();
        let names = self.schema.fields().iter().map(|f| f.name().as_str());
        let names: Vec<&str> = names.collect();
        write!(f, "UnitsExec: units={units}, columns=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for UnitsExec {
    fn name(&self) -> &'static str {
        "UnitsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let no_such = || DataFusionError::Internal(format!("no partition {partition}"));
        let units = self.what.partitions.get(partition).ok_or_else(no_such)?.clone();
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), QUEUE);
        let What { projection, hash_key, limit, .. } = &self.what;
        let schema = Arc::clone(&self.schema);
        let mut sink = BatchSink::new(schema, projection, hash_key, *limit, stream.tx());
        stream.spawn_blocking(move || {
            use crate::readers::Sink as _;
            for unit in &units {
                if !sink.goes_on() {
                    break;
                }
                sink.begin(unit).map_err(into_datafusion)?;
                let report = read_unit(unit, &mut sink).map_err(into_datafusion)?;
                sink.end(report);
            }
            sink.finish();
            Ok(())
        });
        Ok(stream.build())
    }
}
