//! `serve`: the real binary before a mock upstream, asked by curl as users ask.

mod capture;
mod passing;
mod real;
mod running;
mod settings;
