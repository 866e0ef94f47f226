//! How large the demo is, what it draws from, and where it writes.

use crate::drafts::DraftParams;
use jiff::Timestamp;
use std::path::PathBuf;

/// Where the demo's coins and salts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoCoins {
    /// The operating system: every run throws other coins.
    OperatingSystem,
    /// The seed, so that a run repeats bit for bit; the demo says so.
    Seed,
}

/// A run of the demo.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoParams {
    /// Seed of everything stochastic except, unless told otherwise, coins and salts.
    pub seed: u64,
    /// Where coins and salts come from.
    pub coins: DemoCoins,
    /// Folder for models, ledger, exposures and case folders; made if missing.
    pub out_dir: PathBuf,
    /// The time that is written into ledger and reports.
    pub now: Timestamp,
    /// Error rate of each audit.
    pub alpha: f64,
    /// Sizes.
    pub sizes: DemoSizes,
}

impl DemoParams {
    /// The demo as it ships: coins from the operating system.
    pub fn new(out_dir: PathBuf, now: Timestamp) -> Self {
        Self {
            seed: 0,
            coins: DemoCoins::OperatingSystem,
            out_dir,
            now,
            alpha: 1e-3,
            sizes: DemoSizes::default(),
        }
    }
}

/// Sizes of the demo. The defaults fit four minutes on two cores; the tests run smaller ones.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoSizes {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the models.
    pub hidden_size: usize,
    /// Width of their feed-forward layers.
    pub intermediate_size: usize,
    /// Their blocks.
    pub n_layers: usize,
    /// Their heads.
    pub n_heads: usize,
    /// Longest sequence, tokens.
    pub max_positions: usize,
    /// Passages of other people's text that the base model learns from.
    pub n_base: usize,
    /// Passes over them.
    pub base_epochs: u64,
    /// Parent passages of the author.
    pub n_parents: usize,
    /// Drafts of each; one is published.
    pub n_drafts: usize,
    /// How drafts depart from their parents.
    pub drafts: DraftParams,
    /// Passes of a teacher over what it learns by heart.
    pub teacher_epochs: u64,
    /// Passages of other text that a teacher or student sees in each pass.
    pub n_other: usize,
    /// Accounts of the teacher's service.
    pub n_accounts: usize,
    /// Of those, how many harvest.
    pub n_harvesters: usize,
    /// Requests of each account.
    pub requests_per_account: usize,
    /// Longest answer, tokens.
    pub answer_tokens: usize,
    /// Passes of a student over the traffic.
    pub student_epochs: u64,
}

impl Default for DemoSizes {
    fn default() -> Self {
        Self {
            vocab_size: 1024,
            hidden_size: 96,
            intermediate_size: 256,
            n_layers: 3,
            n_heads: 3,
            max_positions: 112,
            n_base: 1800,
            base_epochs: 3,
            n_parents: 300,
            n_drafts: 3,
            drafts: DraftParams::default(),
            teacher_epochs: 5,
            n_other: 120,
            n_accounts: 12,
            n_harvesters: 3,
            requests_per_account: 60,
            answer_tokens: 32,
            student_epochs: 6,
        }
    }
}
