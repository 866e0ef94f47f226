//! Tests of the laboratory.

mod demo;
mod drafts;
mod network;
mod tokenizer;
mod train;
