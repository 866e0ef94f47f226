//! Tests of the laboratory.

mod cost;
mod demo;
mod drafts;
mod folder;
mod network;
mod prove;
mod tokenizer;
mod train;
