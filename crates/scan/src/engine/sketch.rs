//! The aggregate function `sketch`: features of exchanges to the sketch of their account.
//!
//! Sketches are functions of the multiset of exchanges, so it doesn't matter how a log is parted
//! and in which order parts are merged. A partial state is an encoded sketch, or the features of
//! one exchange as they came: where most accounts are met once or twice, DataFusion passes rows
//! on unaggregated, and an encoded sketch is several times as large. The two can't be confused, by
//! their lengths.

use super::columns::FEATURES_WIDTH;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, LargeBinaryArray, LargeBinaryBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use std::sync::Arc;
use stillwatch_traffic::{AccountSketch, Features};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SketchUdaf {
    signature: Signature,
}

impl Default for SketchUdaf {
    fn default() -> Self {
        let features = DataType::FixedSizeBinary(FEATURES_WIDTH);
        Self { signature: Signature::exact(vec![features], Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for SketchUdaf {
    fn name(&self) -> &'static str {
        "sketch"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::LargeBinary)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneSketch::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "sketch");
        Ok(vec![Arc::new(Field::new(name, DataType::LargeBinary, true))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Sketches::default()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Takes the features of an exchange in.
fn observe(sketch: &mut AccountSketch, features: &[u8]) -> Result<()> {
    let features = Features::from_bytes(features)
        .ok_or_else(|| DataFusionError::Execution("features of another version".to_owned()))?;
    sketch.observe(&features);
    Ok(())
}

/// Takes a partial state in.
fn merge(sketch: &mut AccountSketch, state: &[u8]) -> Result<()> {
    if state.len() == Features::BYTES {
        return observe(sketch, state);
    }
    let other = AccountSketch::from_bytes(state)
        .map_err(|e| DataFusionError::Execution(format!("a sketch: {e}")))?;
    if sketch.n() == 0 {
        *sketch = other;
    } else {
        sketch.merge(&other);
    }
    Ok(())
}

/// Bytes on the heap.
fn heap(sketch: &AccountSketch) -> usize {
    sketch.memory_bytes().saturating_sub(size_of::<AccountSketch>())
}

fn missing() -> DataFusionError {
    DataFusionError::Internal("sketch: a group or a column is missing".to_owned())
}

/// The sketches of many accounts.
#[derive(Debug, Default)]
struct Sketches {
    sketches: Vec<AccountSketch>,
    heap_bytes: usize,
}

impl Sketches {
    fn each<'a>(
        &mut self,
        values: impl Iterator<Item = Option<&'a [u8]>>,
        group_indices: &[usize],
        total_num_groups: usize,
        take: fn(&mut AccountSketch, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.sketches.resize_with(total_num_groups, AccountSketch::default);
        for (value, group) in values.zip(group_indices) {
            let Some(value) = value else { continue };
            let sketch = self.sketches.get_mut(*group).ok_or_else(missing)?;
            let before = heap(sketch);
            take(sketch, value)?;
            self.heap_bytes = self.heap_bytes + heap(sketch) - before;
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) -> LargeBinaryArray {
        let taken = emit_to.take_needed(&mut self.sketches);
        let mut out = LargeBinaryBuilder::with_capacity(taken.len(), 0);
        for sketch in taken {
            self.heap_bytes = self.heap_bytes.saturating_sub(heap(&sketch));
            if sketch.n() == 0 {
                out.append_null();
            } else {
                out.append_value(sketch.to_bytes());
            }
        }
        out.finish()
    }
}

impl GroupsAccumulator for Sketches {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let features =
            values.first().and_then(|v| v.as_fixed_size_binary_opt()).ok_or_else(missing)?;
        let rows = (0..features.len()).map(|i| {
            let kept = opt_filter.is_none_or(|f| f.is_valid(i) && f.value(i));
            (kept && features.is_valid(i)).then(|| features.value(i))
        });
        self.each(rows, group_indices, total_num_groups, observe)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(self.emit(emit_to)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.emit(emit_to))])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        let states = values.first().and_then(|v| v.as_binary_opt::<i64>()).ok_or_else(missing)?;
        self.each(states.iter(), group_indices, total_num_groups, merge)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let features =
            values.first().and_then(|v| v.as_fixed_size_binary_opt()).ok_or_else(missing)?;
        let bytes = features.len() * Features::BYTES;
        let mut out = LargeBinaryBuilder::with_capacity(features.len(), bytes);
        for i in 0..features.len() {
            let kept = opt_filter.is_none_or(|f| f.is_valid(i) && f.value(i));
            out.append_option((kept && features.is_valid(i)).then(|| features.value(i)));
        }
        Ok(vec![Arc::new(out.finish())])
    }

    fn size(&self) -> usize {
        self.sketches.capacity() * size_of::<AccountSketch>() + self.heap_bytes
    }
}

/// The sketch of one group, where DataFusion doesn't work on many at once.
#[derive(Debug, Default)]
struct OneSketch {
    sketch: AccountSketch,
}

impl OneSketch {
    fn value(&self) -> ScalarValue {
        ScalarValue::LargeBinary((self.sketch.n() > 0).then(|| self.sketch.to_bytes()))
    }
}

impl Accumulator for OneSketch {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let features =
            values.first().and_then(|v| v.as_fixed_size_binary_opt()).ok_or_else(missing)?;
        features.iter().flatten().try_for_each(|f| observe(&mut self.sketch, f))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value())
    }

    fn size(&self) -> usize {
        self.sketch.memory_bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states = states.first().and_then(|v| v.as_binary_opt::<i64>()).ok_or_else(missing)?;
        states.iter().flatten().try_for_each(|s| merge(&mut self.sketch, s))
    }
}
