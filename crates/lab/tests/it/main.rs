//! Tests of the laboratory.

mod drafts;
mod network;
mod tokenizer;
mod train;
