//! What a log says: files are planned into units of work, a unit is read line by line, a line is
//! translated by the reader of its product's format.
//!
//! Units depend on the logs alone, never on how many threads or machines read them, so that a
//! result can't either.

mod native;
mod unit;

pub use unit::{Unit, plan, read_unit};

use crate::row::LogRow;
use serde::{Deserialize, Serialize};
use stillwatch_evidence::Reject;

/// The products whose logs can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Our own exchanges.
    Exchange,
}

/// Takes what is read of a unit.
pub trait Sink {
    /// One exchange. `line`: counted from 1 in its file; 0 where the file has no lines.
    fn row(&mut self, line: u64, row: &LogRow<'_>);
    /// A line that can't be read.
    fn reject(&mut self, reject: Reject);
    /// Whether reading should go on; asked now and then.
    fn goes_on(&self) -> bool {
        true
    }
}

/// Reads lines of one format. May keep state (rows to be joined); one per unit of work.
pub(crate) trait Reader {
    /// Reads one line (without its end) and hands out its exchanges: none, one or several.
    ///
    /// # Errors
    /// What is wrong with the line, naming the field; nothing was handed out then.
    fn read(&mut self, line: &[u8], out: &mut dyn FnMut(&LogRow<'_>)) -> Result<(), String>;
}

/// The reader of a format.
pub(crate) fn reader(format: Format) -> Box<dyn Reader> {
    match format {
        Format::Exchange => Box::new(native::Native),
    }
}
