//! A request's way through the guard.
