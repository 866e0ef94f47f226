//! What a log says: files are planned into units of work, a unit is read line by line, a line is
//! translated by the reader of its product's format.
//!
//! Units depend on the logs alone, never on how many threads or machines read them, so that a
//! result can't either. Rows of different lines are never joined here: where a product parts
//! prompt and answer, or user and answer, the row lacks what its line lacks and is counted so.

mod body;
mod detect;
mod format;
mod json;
mod lines;
mod mapping;
mod native;
mod numbering;
mod parquet;
mod plan;
mod products;
mod report;
mod tables;
mod text;
mod times;
mod translate;
mod unit;

pub use detect::Detected;
pub use format::{Format, UnknownFormat};
pub use mapping::{Mapping, MappingError};
pub use numbering::first_lines;
pub use plan::{Plan, ReadOptions, plan, plan_with};
pub use report::UnitReport;
pub use unit::{Container, Unit, read_unit, read_unit_from};

use crate::row::LogRow;
use stillwatch_evidence::Reject;

/// Takes what is read of a unit.
pub trait Sink {
    /// One exchange. `line`: counted from 1 in its *unit*; 0 where the file has no lines. Add
    /// what [`first_lines`] says of the unit to get the line in the file.
    fn row(&mut self, line: u64, row: &LogRow<'_>);
    /// A line that can't be read; its number counts as in [`Sink::row`].
    fn reject(&mut self, reject: Reject);
    /// Whether reading should go on; asked now and then.
    fn goes_on(&self) -> bool {
        true
    }
}
