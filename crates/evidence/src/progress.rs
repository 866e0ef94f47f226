//! How long work tells that it goes on, without knowing who listens.
//!
//! The binary draws bars with it; tests and libraries pass [`Silent`].

/// Told of the progress of long work. Calls may come from any thread.
pub trait Progress: Sync {
    /// A step begins; `total` units of work are known to lie ahead (0: unknown).
    fn begin(&self, step: &str, total: u64);
    /// `n` more units are done.
    fn advance(&self, n: u64);
    /// The step is over.
    fn end(&self);
    /// One line worth telling now.
    fn note(&self, line: &str);
    /// Whether the user asked to stop (an interrupt): finish the unit in hand, keep what is
    /// done, return a partial result that can be resumed.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _step: &str, _total: u64) {}
    fn advance(&self, _n: u64) {}
    fn end(&self) {}
    fn note(&self, _line: &str) {}
}
