//! Endpoints against a server in this process, and against a real one.

mod budget;
mod faults;
mod mock;
mod real;
mod scoring;
mod secrets;
mod toy;
