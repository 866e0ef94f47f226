//! The room's tests.

mod thread;
