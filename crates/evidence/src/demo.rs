//! What the demo reports: every audit with its verdict beside what is known to be true.

use crate::VerdictKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One audit of the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DemoAudit {
    /// Name of the audit.
    pub name: String,
    /// The verdict that the known truth calls for.
    pub expected: VerdictKind,
    /// The verdict that was reached.
    pub verdict: VerdictKind,
    /// Accounts that harvested, sorted.
    pub accounts_expected: Vec<String>,
    /// Accounts that the audit named, sorted.
    pub accounts_rejected: Vec<String>,
    /// The case folder.
    pub case: String,
}

/// The demo as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DemoReport {
    /// The audits, in the order in which they ran.
    pub audits: Vec<DemoAudit>,
    /// Every verdict and every account is as expected.
    pub all_match: bool,
}

impl DemoReport {
    /// Compares what was reached with what was expected.
    pub fn new(audits: Vec<DemoAudit>) -> Self {
        let all_match = audits.iter().all(DemoAudit::matches);
        Self { audits, all_match }
    }
}

impl DemoAudit {
    /// Verdict and accounts are as expected.
    pub fn matches(&self) -> bool {
        self.verdict == self.expected && self.accounts_rejected == self.accounts_expected
    }
}
