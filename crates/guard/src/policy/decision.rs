//! A decision: what is done to which account, by which rule, for which measured reasons, how long.

use super::Measure;
use crate::GuardError;
use serde::{Deserialize, Serialize};
use stillwatch_evidence::ledger::Entropy;
use stillwatch_traffic::Reason;

/// The policy of decisions that an administrator made without one.
pub const BY_HAND: &str = "manual";
/// Reasons that a decision keeps at most.
pub const REASONS_MAX: usize = 32;
/// The longest note or name of an actor, bytes.
pub const NOTE_BYTES_MAX: usize = 2000;

/// Where a decision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionState {
    /// It waits for a human and does nothing.
    Proposed,
    /// It is in force.
    Active,
    /// It is in force, and an appeal against it is open.
    Contested,
    /// Its time is over.
    Expired,
    /// A human took it back.
    Revoked,
}

impl DecisionState {
    /// Its name in JSON and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Active => "active",
            Self::Contested => "contested",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Proposed, Self::Active, Self::Contested, Self::Expired, Self::Revoked]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether it may still change.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Proposed | Self::Active | Self::Contested)
    }

    /// Whether it is in force.
    pub const fn is_in_force(self) -> bool {
        matches!(self, Self::Active | Self::Contested)
    }
}

/// What is done to an account, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Name: 128 random bits, so that who knows it was told.
    pub id: String,
    /// Whom it is about.
    pub account: String,
    /// The campaign that the account is counted to.
    #[serde(default)]
    pub campaign: Option<String>,
    /// What is done.
    pub measure: Measure,
    /// Which rule: the policy's name, or `manual`.
    pub policy: String,
    /// The weightiest reason's code, snake case; stable.
    pub reason: String,
    /// What was measured.
    pub reasons: Vec<Reason>,
    /// The families of evidence that they belong to, sorted.
    #[serde(default)]
    pub families: Vec<String>,
    /// Whether it is only noted.
    pub dry_run: bool,
    /// Where it stands.
    pub state: DecisionState,
    /// When it was made, milliseconds since the epoch.
    pub made_ms: i64,
    /// When it ends, milliseconds since the epoch.
    pub expires_ms: i64,
    /// By whom it was made: `policy`, or `admin ` and the beginning of the key.
    pub made_by: String,
    /// When it was last changed, milliseconds since the epoch.
    pub changed_ms: i64,
    /// By whom it was last changed.
    pub changed_by: String,
    /// What a human said about it.
    #[serde(default)]
    pub note: Option<String>,
    /// Whether it ended because the account was verified.
    #[serde(default)]
    pub verified: bool,
    /// Hashes of the campaign's templates, sorted: `template_quarantine` refuses these.
    #[serde(default)]
    pub templates: Vec<u64>,
}

impl Decision {
    /// Whether it is in force and does something.
    pub fn is_enforced(&self) -> bool {
        self.state.is_in_force() && !self.dry_run
    }

    /// Changes the state.
    pub fn set_state(&mut self, state: DecisionState, by: &str, now_ms: i64) {
        self.state = state;
        by.clone_into(&mut self.changed_by);
        self.changed_ms = now_ms;
    }
}

/// A fresh name of a decision (`dec-`) or an appeal (`app-`): 128 bits in hexadecimal.
///
/// # Errors
/// The source of randomness failed.
pub fn fresh_id(kind: &str, entropy: &mut dyn Entropy) -> Result<String, GuardError> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    Ok(format!("{kind}-{}", stillwatch_evidence::ledger::to_hex(&bytes)))
}

/// Whether this is the form of a decision's name.
pub fn is_id(text: &str) -> bool {
    text.strip_prefix("dec-").is_some_and(|hex| {
        hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}
