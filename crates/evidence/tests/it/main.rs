//! Integration tests of the room, in one binary, one module per area.

mod bad_exposures;
mod bad_scores;
mod case_folder;
mod exposure_files;
mod fuzz_replay;
mod groups;
mod ledger;
mod plan;
mod score_files;
mod shared_texts;
