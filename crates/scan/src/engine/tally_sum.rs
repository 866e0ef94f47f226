//! The aggregate function `tally`: the tallies of units to the tally of all.

use super::tally::Tally;
use datafusion::arrow::array::Array as _;
use datafusion::arrow::array::{ArrayRef, AsArray as _, BooleanArray, LargeBinaryBuilder};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use std::sync::Arc;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TallyUdaf {
    signature: Signature,
}

impl Default for TallyUdaf {
    fn default() -> Self {
        Self { signature: Signature::exact(vec![DataType::LargeBinary], Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for TallyUdaf {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::LargeBinary)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneTally::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "tally");
        Ok(vec![Arc::new(Field::new(name, DataType::LargeBinary, true))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Tallies::default()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn missing() -> DataFusionError {
    DataFusionError::Internal("tally: a group or a column is missing".to_owned())
}

fn merge(tally: &mut Option<Box<Tally>>, bytes: &[u8]) -> Result<()> {
    let other = Tally::from_bytes(bytes).map_err(DataFusionError::Execution)?;
    tally.get_or_insert_default().merge(other);
    Ok(())
}

/// The tallies of groups; nearly all have none.
#[derive(Debug, Default)]
struct Tallies {
    tallies: Vec<Option<Box<Tally>>>,
    n_some: usize,
}

impl Tallies {
    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let mut out = LargeBinaryBuilder::new();
        for tally in emit_to.take_needed(&mut self.tallies) {
            self.n_some = self.n_some.saturating_sub(usize::from(tally.is_some()));
            out.append_option(tally.map(|t| t.to_bytes()));
        }
        Arc::new(out.finish())
    }
}

impl GroupsAccumulator for Tallies {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.tallies.resize_with(total_num_groups, || None);
        let values = values.first().and_then(|v| v.as_binary_opt::<i64>()).ok_or_else(missing)?;
        if values.null_count() == values.len() {
            return Ok(());
        }
        for (i, (value, group)) in values.iter().zip(group_indices).enumerate() {
            let Some(value) = value else { continue };
            if opt_filter.is_some_and(|f| f.is_null(i) || !f.value(i)) {
                continue;
            }
            let tally = self.tallies.get_mut(*group).ok_or_else(missing)?;
            self.n_some += usize::from(tally.is_none());
            merge(tally, value)?;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.emit(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values.first().and_then(|v| v.as_binary_opt::<i64>()).ok_or_else(missing)?;
        let Some(filter) = opt_filter else { return Ok(vec![Arc::new(values.clone())]) };
        let mut out = LargeBinaryBuilder::new();
        for (i, value) in values.iter().enumerate() {
            out.append_option(value.filter(|_| filter.is_valid(i) && filter.value(i)));
        }
        Ok(vec![Arc::new(out.finish())])
    }

    fn size(&self) -> usize {
        let held: usize = match self.n_some {
            0 => 0,
            _ => self.tallies.iter().flatten().map(|t| t.memory_bytes()).sum(),
        };
        self.tallies.capacity() * size_of::<Option<Box<Tally>>>() + held
    }
}

/// The tally of one group.
#[derive(Debug, Default)]
struct OneTally {
    tally: Option<Box<Tally>>,
}

impl Accumulator for OneTally {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values.first().and_then(|v| v.as_binary_opt::<i64>()).ok_or_else(missing)?;
        values.iter().flatten().try_for_each(|v| merge(&mut self.tally, v))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::LargeBinary(self.tally.as_ref().map(|t| t.to_bytes())))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.tally.as_ref().map_or(0, |t| t.memory_bytes())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
