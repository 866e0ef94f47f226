//! What the report draws and the JSON leaves out: the curves behind the verdict.

/// An audit's result with the curves behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// What the JSON says.
    pub result: stillwatch_evidence::AuditResult,
    /// What the report draws.
    pub series: Series,
}

/// The curves behind a verdict. Empty where a case has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Corrected preference of each pair for its released text, over the pair's own scale, in
    /// the order of the rows.
    pub x: Vec<f64>,
    /// Base-10 logarithm of the pooled e-process after each pair, to the end of the data.
    pub e_path: Vec<f64>,
    /// Pairs after which the e-process first reached its threshold.
    pub e_crossing: Option<usize>,
    /// Base-10 logarithm of the threshold, the inverse of the pooled share of alpha.
    pub e_threshold: f64,
    /// Power of the pooled test against an effect: (effect in standard deviations, power).
    pub power: Vec<(f64, f64)>,
    /// Each account's strength.
    pub accounts: Vec<AccountPoint>,
    /// Strength (base-10 logarithm) that the strongest account must reach to be named.
    pub account_threshold: Option<f64>,
}

/// One account's strength.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountPoint {
    /// The account.
    pub account: String,
    /// Pairs of it.
    pub n: usize,
    /// `−log10 p`, or `log10 e` where e decides; larger is stronger.
    pub strength: f64,
    /// Named, with the family-wise error held.
    pub named: bool,
}
