//! Where in a body reading stands, so that an error names the field.

use std::cell::{Cell, RefCell};

/// Place of the first error, built from the inside out, and how many more values may be kept.
#[derive(Debug)]
pub(super) struct Reading {
    place: RefCell<String>,
    values_left: Cell<usize>,
}

impl Reading {
    pub(super) fn new() -> Self {
        let values_left = Cell::new(super::PARAM_VALUES_MAX);
        Self { place: RefCell::default(), values_left }
    }

    /// Names what failed; costs nothing where nothing did.
    pub(super) fn within<T, E>(
        &self,
        result: Result<T, E>,
        name: impl FnOnce() -> String,
    ) -> Result<T, E> {
        if result.is_err() {
            let mut place = self.place.borrow_mut();
            let dot = if place.is_empty() || place.starts_with('[') { "" } else { "." };
            *place = format!("{}{dot}{place}", name());
        }
        result
    }

    /// Takes one of the values that may be kept; `false` once there are none left.
    pub(super) fn take_value(&self) -> bool {
        match self.values_left.get().checked_sub(1) {
            Some(left) => {
                self.values_left.set(left);
                true
            }
            None => false,
        }
    }

    /// The error with its place.
    pub(super) fn explain(&self, error: &str) -> String {
        let place = self.place.borrow();
        if place.is_empty() { format!("the body: {error}") } else { format!("{place}: {error}") }
    }
}
