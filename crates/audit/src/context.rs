//! What is known of a case besides its scores: grades, ages of models, the plan, what was lost.

use crate::sampling::SamplingParams;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use stillwatch_evidence::{Coin, CoinEvidence, PlanState, Predates};

/// What a column of scores besides the suspect's is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes away the noise that it shares with the suspect.
    Reference {
        /// Whether its weights are older than the first coin.
        predates: Predates,
    },
    /// A model older than the coins that takes the identical test, two-sided.
    Placebo,
}

/// How the suspect was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// Log-likelihood of each text, nats.
    #[default]
    LogLikelihood,
    /// Similarity of each text to answers that the suspect gave; the same null, less power.
    Similarity,
    /// Which of the texts the suspect says that it wrote, order balanced; the same null, less power.
    ForcedChoice,
    /// Scores made elsewhere.
    Given,
}

/// Exposures that never became pairs, by a reason blind to the coin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SetAside {
    /// Why, in words.
    pub reason: String,
    /// How many.
    pub count: usize,
}

/// What was to be scored, known before any score: it fixes which accounts are tested, and so the
/// split of alpha, where a run may stop early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// Units of each account.
    pub units: BTreeMap<String, usize>,
    /// Fewest withheld siblings of any unit.
    pub k_min: usize,
}

/// What is known of a case besides its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditContext {
    /// The suspect's model string, or the name of the score file.
    pub suspect: String,
    /// How the suspect was asked.
    pub score_kind: ScoreKind,
    /// Answers per prompt where texts are compared with answers, or rounds of a forced choice.
    #[serde(default = "default_samples")]
    pub samples: usize,
    /// The grade declared for every row; absent: the rows' own, the lowest deciding.
    pub coin: Option<Coin>,
    /// What secures the coin.
    pub coin_evidence: CoinEvidence,
    /// Whether a plan was sealed before the first query.
    pub plan: PlanState,
    /// What each column besides the suspect's is for; one not named is a reference of unknown age.
    pub roles: BTreeMap<String, Role>,
    /// Names of the exposures that are asked about, where a ledger's range was narrowed by a filter;
    /// the others of the file only account for their leaves. Absent: all.
    pub only: Option<BTreeSet<String>>,
    /// What was to be scored; absent: what the table holds.
    pub planned: Option<Planned>,
    /// Exposures set aside before scoring or for want of a score.
    pub set_aside: Vec<SetAside>,
    /// Leaves of the named ledger range that were not opened; each counts as an adverse pair.
    pub unopened_leaves: usize,
    /// All prompts were fixed before the first coin was thrown (batches, canaries, benchmarks).
    pub prompts_fixed: bool,
    /// Scoring ended before its plan: what was scored is tested, resume is possible.
    pub partial: bool,
}

impl Default for AuditContext {
    fn default() -> Self {
        Self {
            suspect: "suspect".to_owned(),
            score_kind: ScoreKind::default(),
            samples: default_samples(),
            coin: None,
            coin_evidence: CoinEvidence::Declared,
            plan: PlanState::None,
            roles: BTreeMap::new(),
            only: None,
            planned: None,
            set_aside: Vec::new(),
            unopened_leaves: 0,
            prompts_fixed: false,
            partial: false,
        }
    }
}

fn default_samples() -> usize {
    SamplingParams::default().samples
}

impl AuditContext {
    /// The role of a column.
    pub fn role(&self, column: &str) -> Role {
        self.roles.get(column).copied().unwrap_or(Role::Reference { predates: Predates::Unknown })
    }

    /// Exposures set aside.
    pub fn n_set_aside(&self) -> usize {
        self.set_aside.iter().map(|s| s.count).sum()
    }
}
